"""What training costs in seconds, from measured rates, and how much of it fits into a time."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from statistics import fmean, median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from archwright.modalities.protocol import Modality
    from archwright.training.recipe import Recipe

FORWARD = 1 / 3  # a forward pass is about a third of a training step
LEAST_EPOCHS = 0.01
# What a timed run gives the network that it delivers (docs/architecture.md).
LEAST_SHARE = 0.5  # of the time for search, deriving and final training
LEAST_PASSES = 2.0  # over the training part, where networks can be small enough for them


@dataclass(frozen=True)
class Rates:
    """Measured seconds: `child_step` is a step of a child's final training, `search` what the method repeats."""

    child_step: float
    search: Mapping[str, float] = field(default_factory=dict)

    def at_child_step(self, seconds: float) -> Rates:
        """Return the rates of networks of another size: a search costs more as a child's step does."""
        factor = seconds / self.child_step
        return Rates(seconds, {name: value * factor for name, value in self.search.items()})


@dataclass(frozen=True)
class Cost:
    """Seconds of one pass over the training part, and of one look at the validation part, which ends every pass."""

    training: float
    validation: float

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.training + other.training, self.validation + other.validation)

    def times(self, share: float) -> Cost:
        """Return what a share of it costs."""
        return Cost(share * self.training, share * self.validation)

    def of(self, epochs: float) -> float:
        """Return the seconds of `epochs`; a part of an epoch ends with a whole look at the validation part."""
        return epochs * self.training + math.ceil(epochs) * self.validation

    def epochs_within(self, seconds: float) -> float:
        """Return the most epochs that take at most `seconds`, to a hundredth, and at least a hundredth."""
        whole = max(0, math.floor(seconds / (self.training + self.validation)))
        rest = seconds - self.of(whole) - self.validation
        part = min(1.0, max(0.0, rest / self.training))
        return max(LEAST_EPOCHS, math.floor((whole + part) * 100) / 100)


def cost(recipe: Recipe, modality: Modality, step: float) -> Cost:
    """Return what training costs where a step takes `step` seconds."""
    data = modality.data
    looked_at = min(len(data.validation), recipe.validation_limit or len(data.validation))
    return Cost(step * steps(recipe, modality), step * FORWARD * looked_at / modality.per_look(recipe))


def steps(recipe: Recipe, modality: Modality) -> int:
    """Return the steps of a pass over the training part."""
    return -(-len(modality.data.train) // modality.per_step(recipe))


def mean_seconds(steps: Iterator[Any], count: int, least: float = 0.0, most: float = math.inf) -> float:
    """Return the mean of `count` steps after the first, and of more until `least` seconds have passed.

    After `most` seconds, the first step's included, what has been timed is enough.
    """
    return fmean(_durations(steps, count, least, most))


def median_seconds(steps: Iterator[Any], count: int, least: float = 0.0, most: float = math.inf) -> float:
    """Return the median where `mean_seconds` returns the mean: for steps that are alike, beside other work."""
    return median(_durations(steps, count, least, most))


def _durations(steps: Iterator[Any], count: int, least: float, most: float) -> list[float]:
    first = time.perf_counter()
    next(steps, None)  # the first step of a process plans its kernels and takes its memory
    begun = last = time.perf_counter()
    found: list[float] = []
    while (len(found) < count or last - begun < least) and last - first < most:
        if next(steps, None) is None:
            break
        now = time.perf_counter()
        found.append(now - last)
        last = now
    return found or [begun - first]
