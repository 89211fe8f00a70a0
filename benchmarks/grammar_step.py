"""Seconds of a training step of the grammar's known networks, beside the same networks written by hand.

    python benchmarks/grammar_step.py [--rounds 5] [--steps 3] [--size 0.25] [--batch 64] [--json]

Both have the same layers at the same widths, for images of 3 x 32 x 32; by hand, convolutions before a BatchNorm have
no bias, as usual, and attention is torch.nn.MultiheadAttention. The sentence rule by rule, nothing fused, is there for
scale. Variants take turns within every round; figures are medians, ratios are medians of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time

import torch
from torch import Tensor, nn
from torch.nn import functional

from archwright.nets.grammar import GrammarNetwork
from archwright.sentences.fitting import after
from archwright.sentences.sentence import Sentence
from archwright.space import Task
from archwright.spaces import Grammar
from archwright.spaces.grammar.starters import starter
from archwright.training.measure import tune_process

TASK = Task(3, 32, 32, 10)


class Block(nn.Module):
    """A residual block."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)
        self.conv2, self.norm2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)
        short = (nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        self.shortcut = nn.Identity() if (inputs, stride) == (outputs, 1) else nn.Sequential(*short)

    def forward(self, x: Tensor) -> Tensor:
        inside = self.norm2(self.conv2(functional.relu(self.norm1(self.conv1(x)))))
        return functional.relu(inside + self.shortcut(x))


def resnet18(widths: list[int]) -> nn.Module:
    """ResNet-18 for small images."""
    layers: list[nn.Module] = [nn.Conv2d(3, widths[0], 3, 1, 1, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU()]
    before = widths[0]
    for number, width in enumerate(widths):
        layers += [Block(before, width, 2 if number else 1), Block(width, width, 1)]
        before = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, TASK.classes))


class Encoder(nn.Module):
    """A transformer's block."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, 4, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm1(x)
        x = x + self.attention(y, y, y, need_weights=False)[0]
        return x + self.mlp(self.norm2(x))


class Mixing(nn.Module):
    """A block of MLP-Mixer."""

    def __init__(self, positions: int, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mix = nn.Sequential(nn.Linear(positions, 2 * positions), nn.GELU(), nn.Linear(2 * positions, positions))
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.mix(self.norm1(x).mT).mT
        return x + self.mlp(self.norm2(x))


class Patches(nn.Module):
    """Patches, six blocks, the mean."""

    def __init__(self, width: int, attention: bool) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, width, 4, 4)
        self.position = nn.Parameter(torch.randn(1, 64, width) * 0.02) if attention else None
        self.blocks = nn.Sequential(*[Encoder(width) if attention else Mixing(64, width) for _ in range(6)])
        self.norm, self.classify = nn.LayerNorm(width), nn.Linear(width, TASK.classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x).flatten(2).mT
        return self.classify(self.norm(self.blocks(x if self.position is None else x + self.position)).mean(1))


def by_hand(name: str, sentence: Sentence, space: Grammar) -> nn.Module:
    """Build the same network as a starter's sentence."""
    width = after(sentence, space.input).features
    return (
        resnet18([width // 8, width // 4, width // 2, width]) if name == "resnet18" else Patches(width, name == "vit")
    )


def seconds(network: nn.Module, steps: int, batch: int) -> float:
    """Return the seconds of a step of SGD, after one that does not count."""
    network.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
    x = torch.randn(batch, 3, 32, 32).to(memory_format=torch.channels_last)
    labels = torch.randint(0, TASK.classes, (batch,))
    for step in range(steps + 1):
        if step == 1:
            began = time.perf_counter()
        functional.cross_entropy(network(x), labels).backward()
        optimizer.step()
        optimizer.zero_grad()
    return (time.perf_counter() - began) / steps


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--size", type=float, default=0.25)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    tune_process()
    space, rows = Grammar(), {}
    for name in ("resnet18", "vit", "mlp-mixer"):
        sentence = starter(name, space, given.size)
        makers = {
            "by hand": lambda name=name, sentence=sentence: by_hand(name, sentence, space),
            "sentence": lambda sentence=sentence: GrammarNetwork(sentence, TASK, fused=True, dropout=0.0),
            "rule by rule": lambda sentence=sentence: GrammarNetwork(sentence, TASK, fused=False, dropout=0.0),
        }
        figures: dict[str, list[float]] = {variant: [] for variant in makers}
        for _ in range(given.rounds):
            for variant, make in makers.items():
                torch.manual_seed(0)
                figures[variant].append(seconds(make(), given.steps, given.batch))
        for variant, values in figures.items():
            ratios = [value / hand for value, hand in zip(values, figures["by hand"], strict=True)]
            rows[f"{name}, {variant}"] = {"seconds": statistics.median(values), "ratio": statistics.median(ratios)}
    if given.json:
        print(json.dumps({**rows, "threads": torch.get_num_threads()}))
        return
    print(f"{'step':<28}{'ms':>8}{'ratio':>8}")
    for name, row in rows.items():
        print(f"{name:<28}{1000 * row['seconds']:>8.1f}{row['ratio']:>8.2f}")
    print(
        f"{given.rounds} rounds of {given.steps} steps, {torch.get_num_threads()} threads, batch {given.batch} of "
        f"3 x 32 x 32, {given.size:g} of the published widths"
    )


if __name__ == "__main__":
    main()
