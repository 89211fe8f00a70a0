"""Scores an architecture by what it costs as well: one that breaks a limit is not trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from archwright.evaluators import objective
from archwright.loop import Ask, Progress, Proposal, Result, State

if TYPE_CHECKING:
    from archwright.architecture import Architecture
    from archwright.evaluators.aims import Aims


class Source(Protocol):
    """Where the costs of architectures come from: they are measured, or predicted."""

    def prepare(self) -> Iterator[Progress]:
        """Do what is due before the first architecture."""

    def __call__(self, architecture: Architecture) -> Mapping[str, float]:
        """Return the costs of an architecture by name; `ChildFailure` where it has none."""


class Costed:
    """Wraps an evaluator: costs are measured first, join its metrics, and the aims make the reward of all of them.

    Args:
        evaluator: scores architectures that are within the limits.
        costs: gives the costs of an architecture by name; `prepare` is what it does before the first.
        aims: what is rewarded, and the limits.
    """

    def __init__(self, evaluator: Any, costs: Source, aims: Aims) -> None:
        self.evaluator, self.costs, self.aims = evaluator, costs, aims
        self.stateful, self.failure_reward = evaluator.stateful, evaluator.failure_reward
        self.trials_per_epoch = evaluator.trials_per_epoch

    def prepare(self, ask: Ask, told: int) -> Iterator[Progress]:
        yield from self.costs.prepare()
        yield from self.evaluator.prepare(ask, told)

    def evaluate(self, proposal: Proposal) -> Result:
        measured = self.costs(proposal.architecture)
        self.aims.admit(measured)
        result: Result = self.evaluator.evaluate(proposal)
        metrics = {**result.metrics, **measured}
        metrics |= dict(zip(self.aims.objectives, self.aims.values(metrics), strict=True))
        return replace(result, reward=objective.reward(self.aims.reward, metrics), metrics=metrics)

    def state_dict(self) -> State:
        state: State = self.evaluator.state_dict()
        return state

    def load_state_dict(self, state: State) -> None:
        self.evaluator.load_state_dict(state)
