"""Scores an architecture by looking it up: benchmarks in which every architecture has been trained already."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

from archwright.errors import ConfigError
from archwright.evaluators.aims import Aims
from archwright.evaluators.expression import Expression
from archwright.evaluators.objective import OBJECTIVES
from archwright.loop import Proposal, Result, Stateless
from archwright.space import Architecture, Space, sample

Look: TypeAlias = "Callable[[Architecture], Mapping[str, float]]"
COST = "cost"  # the metric of a trial that a budget in seconds counts
DRAWN = 100  # architectures, of which the worst is what a failure scores if the table does not say


@dataclass(frozen=True)
class Table(Stateless):
    """An evaluator that trains nothing: `look` gives the metrics of an architecture of `space`.

    A benchmark of one's own is a space and such a function, in one file (docs/tables.md). A search maximises the
    reward, so the reward of a metric of which less is better is minus that metric. A child that failed has a reward
    that is not finite; its trial is a failed one, with its cost and the reward of `failure`. An exception in `look` is
    a failed trial without a cost; `archwright bench` ends there.

    Args:
        space: what the table covers.
        look: from an architecture to its metrics, all of them.
        reward: the metric that a search sees.
        cost: the metric with the seconds that one evaluation would have taken. A table without it is searched with a
            budget of trials.
        score: the metric that judges the architecture found in the end; no search sees it.
        best: the best score in the table, if it is known.
        name: for tables and plots.
        less_is_better: names of metrics, the reward's or the score's.
        failure: what a failed child scores, as a value of the metric `reward`; None: the worst of 100 architectures
            drawn from the space.
        pareto: several objectives, metrics or expressions; the reward is then made of them, and the score replaces the
            first. `reference` are the worst values of each, and `whole` the volumes that all architectures dominate, by
            what a search sees and by the score (`archwright.lab.volumes.bounded`).
    """

    space: Space
    look: Look
    reward: str = "validation_accuracy"
    cost: str = "seconds"
    score: str = "test_accuracy"
    best: float | None = None
    name: str = "table"
    less_is_better: Collection[str] = ()
    failure: float | None = None
    pareto: tuple[str, ...] = ()
    reference: tuple[float, ...] = ()
    whole: tuple[float, ...] = (1.0, 1.0)

    def __post_init__(self) -> None:
        names: object = self.less_is_better
        if isinstance(names, str) or not isinstance(names, Collection) or not {*names} <= {self.reward, self.score}:
            some = f"({self.score!r},)"
            rule = f"some of {self.reward!r} (the reward) and {self.score!r} (the score), such as {some}"
            raise ConfigError(f"the table {self.name!r} has less_is_better={names!r}; it must hold {rule}")
        if self.failure is not None and not math.isfinite(self.failure):
            raise ConfigError(f"the table {self.name!r} has failure={self.failure}; it must be a finite number")

    def evaluate(self, proposal: Proposal) -> Result:
        """Return the reward, and as metrics the cost and several objectives: nothing else can be learned from."""
        found = self._metrics(proposal.architecture)
        cost, values = {COST: float(found[self.cost])} if self.cost in found else {}, {}
        if self.pareto:
            reward, values = (
                self.aims.reward(found),
                dict(zip(self.aims.objectives, self.aims.values(found), strict=True)),
            )
        else:
            reward = self.sign(self.reward) * self._figure(found, self.reward)
        if math.isfinite(reward):
            return Result(reward, cost | values)
        return Result(self._failed, cost, f"the metric {self.reward} is {reward}")

    def final(self, architecture: Architecture) -> float:
        """Return the score of an architecture that a search found."""
        return self._figure(self._metrics(architecture), self.score)

    def sign(self, metric: str) -> float:
        """Return -1 for a metric of which less is better, else 1."""
        return -1.0 if metric in self.less_is_better else 1.0

    def trials(self, seconds: float) -> int | None:
        """Return about how many evaluations fit into a time, by the mean cost of 100 drawn ones; None without costs."""
        costs = [float(metrics[self.cost]) for metrics in self._drawn if self.cost in metrics]
        known = [cost for cost in costs if math.isfinite(cost) and cost > 0]
        return max(1, int(seconds * len(known) / sum(known))) if known else None

    @cached_property
    def _drawn(self) -> list[Mapping[str, float]]:
        found = []
        for number in range(DRAWN):
            with suppress(Exception):  # a search that meets it says what is wrong
                found.append(self._metrics(sample(self.space, (0, number))))
        return found

    @cached_property
    def aims(self) -> Aims:
        """What is searched for, of several objectives."""
        return Aims(OBJECTIVES["accuracy"](), pareto=tuple(map(Expression, self.pareto)))

    @cached_property
    def _failed(self) -> float:
        """The reward of a failed trial: the same for all searches, and none that is better than a scored child's."""
        sign = self.sign(self.reward)
        if self.failure is not None:
            return sign * self.failure
        figures = [sign * float(metrics.get(self.reward, math.nan)) for metrics in self._drawn]
        return min((figure for figure in figures if math.isfinite(figure)), default=0.0)

    def _metrics(self, architecture: Architecture) -> Mapping[str, float]:
        found = self.look(architecture)
        if not isinstance(found, Mapping):
            raise ConfigError(f"the table {self.name!r} gave {found!r} for an architecture, not its metrics by name")
        return found

    def _figure(self, found: Mapping[str, float], metric: str) -> float:
        if metric not in found:
            raise ConfigError(
                f"the table {self.name!r} has no metric {metric!r} but {', '.join(map(str, found))}; say which is "
                "which with Table(reward=..., cost=..., score=...)"
            )
        return float(found[metric])
