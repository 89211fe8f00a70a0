"""Words per second of a training step of NAS's recurrent children, beside the same mathematics written by hand.

    python benchmarks/recurrent_step.py [--rounds 5] [--units 200] [--vocabulary 1000] [--json]

The child is a language model of two NASCells (the published base-8 cell, read from its tokens), batch 32 x 35. The hand
writes TensorFlow's equations straight into PyTorch, with the same matrices and the same language model around them.
torch.nn.LSTM of as many units, whose loop is compiled, is there for scale. Variants take turns within every round;
figures are medians, ratios are medians of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from typing import Any

import torch
from torch import Tensor

from archwright.nets.language import LanguageModel
from archwright.nets.recurrent import LstmCell, RecurrentCell, TreeCell
from archwright.spaces.nas_recurrent import NAS_CELL, NasRecurrent
from archwright.training.measure import tune_process
from archwright.training.optimizer import Optimizer
from archwright.training.recipe import NAS_RECURRENT
from archwright.training.regularisation import token_loss

BATCH, LENGTH, LAYERS = 32, 35, 2


class ByHand(RecurrentCell):
    """NASCell, written out."""

    states = 2

    def __init__(self, inputs: int, units: int) -> None:
        super().__init__()
        self.units = units
        self.input = torch.nn.Parameter(torch.empty(inputs, 8 * units))
        self.hidden = torch.nn.Parameter(torch.empty(units, 8 * units))

    def forward(self, x: Tensor, state: Any, mask: Any = None, architecture: Any = None) -> tuple[Tensor, Any]:
        h, c = state
        outputs = []
        for product in (x @ self.input).unbind(0):
            i, m = product.chunk(8, 1), (h @ self.hidden).chunk(8, 1)
            a = torch.sigmoid(i[0] + m[0])
            b = torch.relu(i[1] + m[1])
            d = torch.sigmoid(i[2] + m[2])
            e = torch.relu(i[3] * m[3])
            f = torch.tanh(i[4] + m[4])
            g = torch.sigmoid(i[5] + m[5])
            j = torch.tanh(i[6] + m[6])
            k = torch.sigmoid(i[7] + m[7])
            c = torch.tanh(torch.tanh(a * b) + c) * torch.tanh(d + e)
            h = torch.tanh(c * torch.tanh(torch.tanh(f * g) + torch.sigmoid(j + k)))
            outputs.append(h)
        return torch.stack(outputs), (h, c)


def words_per_second(model: LanguageModel, steps: int) -> float:
    """Of forward, backward, clip and SGD, after one step that does not count."""
    recipe = NAS_RECURRENT
    optimizer = Optimizer(model, recipe)
    vocabulary = model.embedding.num_embeddings
    tokens = torch.randint(0, vocabulary, (LENGTH + 1, BATCH))
    for step in range(steps + 1):
        if step == 1:
            began = time.perf_counter()
        loss, _ = token_loss(model, tokens[:-1], tokens[1:], model.start(BATCH), recipe)
        loss.backward()
        optimizer.step(0.1, optimizer.gradient_norm().item())
        optimizer.clear()
    return BATCH * LENGTH * steps / (time.perf_counter() - began)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--units", type=int, default=200)
    parser.add_argument("--vocabulary", type=int, default=1000)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    tune_process()
    space = NasRecurrent()
    tree = space.tree(space.from_tokens(NAS_CELL))
    makers = {
        "archwright, from 34 tokens": lambda inputs, units: TreeCell(tree, inputs, units),
        "the same by hand": ByHand,
        "torch.nn.LSTM, as many units": LstmCell,
    }
    off = dict.fromkeys(("embedding_dropout", "input_dropout", "recurrent_dropout", "output_dropout"), 0.0)
    figures: dict[str, list[float]] = {name: [] for name in makers}
    for _ in range(given.rounds):
        for name, make in makers.items():
            torch.manual_seed(0)
            model = LanguageModel(make, given.vocabulary, given.units, LAYERS, tied=False, init=0.05, **off).train()
            figures[name].append(words_per_second(model, given.steps))
    hand = figures["the same by hand"]
    rows = {
        name: {
            "words_per_second": statistics.median(values),
            "ratio": statistics.median(value / other for value, other in zip(values, hand, strict=True)),
        }
        for name, values in figures.items()
    }
    if given.json:
        print(json.dumps({**rows, "threads": torch.get_num_threads()}))
        return
    print(f"{'step of a recurrent child':<32}{'words/s':>10}{'ratio':>8}")
    for name, row in rows.items():
        print(f"{name:<32}{row['words_per_second']:>10.0f}{row['ratio']:>8.2f}")
    print(
        f"{given.rounds} rounds of {given.steps} steps, {torch.get_num_threads()} threads, {LAYERS} layers of "
        f"{given.units} units, batch {BATCH} x {LENGTH}, vocabulary {given.vocabulary}"
    )


if __name__ == "__main__":
    main()
