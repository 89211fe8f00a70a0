"""Budgets: when a search stops."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from archwright.errors import ConfigError


@dataclass(frozen=True)
class Tally:
    """What a run has used so far."""

    trials: int
    epochs: float
    seconds: float


class Budget(Protocol):
    """When to stop."""

    def spent(self, tally: Tally) -> float:
        """Return the used share of the budget: 1 or more when it is used up."""


@dataclass(frozen=True)
class Trials:
    """Stop after `count` trials."""

    count: int

    def __post_init__(self) -> None:
        _require_positive("Trials", self.count)

    def spent(self, tally: Tally) -> float:
        return tally.trials / self.count


@dataclass(frozen=True)
class Epochs:
    """Stop after `count` epochs of training and the trials that go with them."""

    count: float

    def __post_init__(self) -> None:
        _require_positive("Epochs", self.count)

    def spent(self, tally: Tally) -> float:
        return tally.epochs / self.count


@dataclass(frozen=True)
class Minutes:
    """Stop when `minutes` have passed since the run began or was resumed."""

    minutes: float

    def __post_init__(self) -> None:
        _require_positive("Minutes", self.minutes)

    def spent(self, tally: Tally) -> float:
        return tally.seconds / 60 / self.minutes


def _require_positive(what: str, value: float) -> None:
    if not value > 0:
        raise ConfigError(f"{what}({value!r}): a budget must be greater than zero")
