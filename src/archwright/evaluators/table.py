"""Scores an architecture by looking it up: benchmarks in which every architecture has been trained already."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from archwright.errors import ConfigError
from archwright.loop import Proposal, Result, Stateless
from archwright.space import Architecture, Space

Look: TypeAlias = "Callable[[Architecture], Mapping[str, float]]"
COST = "cost"  # the metric of a trial that a budget in seconds counts


@dataclass(frozen=True)
class Table(Stateless):
    """An evaluator that trains nothing: `look` gives the metrics of an architecture of `space`.

    A benchmark of one's own is a space and such a function, in one file. A child that failed has a reward of NaN, and
    its cost. An exception in `look` is a failed trial without a cost; `archwright bench` ends there.

    Args:
        space: what the table covers.
        look: from an architecture to its metrics, all of them.
        reward: the metric that a search sees.
        cost: the metric with the seconds that one evaluation would have taken.
        score: the metric that judges the architecture found in the end; no search sees it.
        best: the highest score in the table, if it is known.
        name: for tables and plots.
    """

    space: Space
    look: Look
    reward: str = "validation_accuracy"
    cost: str = "seconds"
    score: str = "test_accuracy"
    best: float | None = None
    name: str = "table"

    def evaluate(self, proposal: Proposal) -> Result:
        """Return the reward, with the `cost` as the only metric, so that nothing else can be learned from."""
        reward, cost = self._figures(proposal.architecture, self.reward, self.cost)
        return Result(reward, {COST: cost})

    def final(self, architecture: Architecture) -> float:
        """Return the score of an architecture that a search found."""
        return self._figures(architecture, self.score)[0]

    def _figures(self, architecture: Architecture, *metrics: str) -> list[float]:
        found = self.look(architecture)
        if not isinstance(found, Mapping):
            raise ConfigError(f"the table {self.name!r} gave {found!r} for an architecture, not its metrics by name")
        if missing := [metric for metric in metrics if metric not in found]:
            raise ConfigError(
                f"the table {self.name!r} has no metric {missing[0]!r} but {', '.join(map(str, found))}; say which is "
                "which with Table(reward=..., cost=..., score=...)"
            )
        return [float(found[metric]) for metric in metrics]
