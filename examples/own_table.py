"""A benchmark of one's own in one file: a space, and from an architecture to its metrics and its cost.

archwright bench --table examples/own_table.py:TABLE --budget 3600s --strategies random,evolution,guided
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from archwright.evaluators.table import Table
from archwright.space import Architecture, Choice, Option, Program, Space

WIDTHS, KERNELS = (16, 32, 64, 128), (3, 5, 7)


@dataclass(frozen=True)
class Towers(Space):
    """One to six layers, each with a width and a kernel."""

    name: ClassVar[str] = "towers"

    @property
    def vocabularies(self) -> Mapping[str, tuple[Option, ...]]:
        return {"depth": (1, 2, 3, 4, 5, 6), "width": WIDTHS, "kernel": KERNELS}

    def decide(self) -> Program:
        depth = yield Choice("depth", self.vocabularies["depth"], vocabulary="depth")
        for layer in range(depth):
            yield Choice(f"{layer}/width", WIDTHS, vocabulary="width")
            yield Choice(f"{layer}/kernel", KERNELS, vocabulary="kernel")


def look(architecture: Architecture) -> Mapping[str, float]:
    """What a real table would have measured; here a formula stands in for the file."""
    depth = int(str(architecture["depth"]))
    layers = [(int(str(architecture[f"{i}/width"])), int(str(architecture[f"{i}/kernel"]))) for i in range(depth)]
    weights = sum(a * b * k * k for (a, k), (b, _) in zip(layers, [*layers[1:], (10, 1)], strict=True))
    fit = 1 - math.exp(-sum(math.log2(width) * kernel for width, kernel in layers) / 60)
    accuracy = 100 * (0.7 * fit + 0.25 * math.exp(-weights / 2e5))
    return {"validation_accuracy": accuracy, "test_accuracy": accuracy - 0.5, "seconds": 20 + weights / 1e4}


TABLE = Table(Towers(), look, name="towers")
