"""Scores an architecture by looking it up: benchmarks in which every architecture has been trained already."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from archwright.loop import Ask, Progress, Proposal, Result, State
from archwright.space import Architecture, Space

Look: TypeAlias = "Callable[[Architecture], Mapping[str, float]]"
COST = "cost"  # the metric of a trial that a budget in seconds counts


@dataclass(frozen=True)
class Table:
    """An evaluator that trains nothing: `look` gives the metrics of an architecture of `space`.

    A benchmark of one's own is a space and such a function, in one file. What `look` raises makes a failed trial.

    Args:
        space: what the table covers.
        look: from an architecture to its metrics, all of them.
        reward: the metric that a search sees.
        cost: the metric with the seconds that one evaluation would have taken.
        score: the metric that what a search found is judged by in the end; no search sees it.
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

    stateful = False
    failure_reward = 0.0
    trials_per_epoch = 1.0

    def prepare(self, ask: Ask, told: int) -> Iterator[Progress]:
        """Nothing to prepare."""
        return iter(())

    def evaluate(self, proposal: Proposal) -> Result:
        """The reward; the metrics are the `cost` and no more, so that nothing else can be learned from."""
        found = self.look(proposal.architecture)
        return Result(float(found[self.reward]), {COST: float(found[self.cost])})

    def final(self, architecture: Architecture) -> float:
        """The score of an architecture that a search found."""
        return float(self.look(architecture)[self.score])

    def state_dict(self) -> State:
        """Empty."""
        return {}

    def load_state_dict(self, state: State) -> None:
        """Nothing to take back."""
