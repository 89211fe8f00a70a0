"""The language model that a person would write by hand: nn.LSTM, dropout, tied weights (`lstm-UNITSxLAYERS`).

Plain SGD was chosen in small trials on the first 300,000 tokens of Penn Treebank (docs/value.md).
"""

from __future__ import annotations

import re
import time
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from archwright.data.text import TextData
from archwright.training.perplexity import Rows, evaluate_perplexity
from by_hand_clock import Clock

DROPOUT = 0.2
ROWS, LENGTH = 20, 35  # of a step
CLIP = 0.25
PEAK = 20.0  # of plain SGD

States = tuple[Tensor, Tensor]


class Lstm(nn.Module):
    """Embedding, layers of LSTM, and the embedding again as the classifier."""

    def __init__(self, vocabulary: int, units: int, layers: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, units)
        self.layers = nn.LSTM(units, units, layers, dropout=DROPOUT if layers > 1 else 0.0)
        self.dropout = nn.Dropout(DROPOUT)
        self.classify = nn.Linear(units, vocabulary)
        self.classify.weight = self.embedding.weight
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
        nn.init.zeros_(self.classify.bias)

    def start(self, batch: int) -> States:
        zeros = torch.zeros(self.layers.num_layers, batch, self.layers.hidden_size)
        return zeros, zeros

    def forward(self, tokens: Tensor, states: States) -> tuple[Tensor, States]:
        x, states = self.layers(self.dropout(self.embedding(tokens)), states)
        return self.classify(self.dropout(x)), states


def train_text(data: TextData, net: str, deadline: float) -> dict[str, Any]:
    """Train until there is just time for the test, states carried along the text; test over the whole test text."""
    found = re.fullmatch(r"lstm-(\d+)(?:x(\d+))?", net)
    if found is None:
        raise SystemExit(f"{net}: no network for text; there are lstm-UNITS and lstm-UNITSxLAYERS")
    model = Lstm(len(data.vocabulary), units=int(found[1]), layers=int(found[2] or 1))
    optimizer = torch.optim.SGD(model.parameters(), PEAK)
    rows = Rows(data.train, ROWS, LENGTH)
    part = data.test[: len(data.test) // 10]
    began = time.monotonic()
    evaluate_perplexity(model, part, length=LENGTH)
    end = deadline - 1.2 * (time.monotonic() - began) * len(data.test) / len(part)
    clock, steps, states = Clock(end), 0, model.start(rows.batch)
    model.train()
    while (progress := clock.progress()) < 1:
        if steps % len(rows) == 0:
            states = model.start(rows.batch)
        x, following = rows[steps % len(rows)]
        logits, states = model(x, states)
        states = (states[0].detach(), states[1].detach())
        loss = functional.cross_entropy(logits.flatten(0, 1), following.flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.param_groups[0]["lr"] = PEAK * min(1.0, 20 * progress, 2 * (1 - progress))
        optimizer.step()
        steps += 1
    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        "epochs": round(steps / len(rows), 2),
        "test_perplexity": evaluate_perplexity(model, data.test, length=LENGTH).perplexity,
    }
