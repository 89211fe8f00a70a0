"""What a search is after: an objective or several, and limits that no network it delivers may break."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from archwright.costs.target import COSTS
from archwright.errors import ChildFailure, ConfigError
from archwright.evaluators.expression import Expression, larger_is_better, metric_name
from archwright.evaluators.objective import Objective, needs

UNITS = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9}
VALUE = "objective/{}"  # the metric that holds the value of one of several objectives; larger is better
SOFT = 0.07  # the exponent of a cost in a reward (MnasNet: Tan et al. 2019, section 3.1)


@dataclass(frozen=True)
class Limit:
    """A hard constraint: a cost is at most `value`."""

    cost: str
    value: float

    def require(self, costs: Mapping[str, float]) -> None:
        """Raise `ChildFailure` where the cost is above it."""
        if not costs[self.cost] <= self.value:
            raise ChildFailure(f"{self.cost} is {costs[self.cost]:,.6g}; it must be at most {self.value:,.6g}")

    def words(self) -> str:
        """Return the limit as a person reads it."""
        return f"at most {self.value:,.6g} {self.cost}"


def limit(text: str) -> Limit:
    """Read `latency_ms=5`, `parameters=100k` or `bytes=1MB`."""
    found = re.fullmatch(r"\s*(\w+)\s*=\s*([0-9.]+(?:[eE][+-]?\d+)?)([kKMG]?)B?\s*", text)
    try:
        if found is None:
            raise ValueError
        value = float(found[2]) * UNITS[found[3]]
    except ValueError:
        raise ConfigError(f"--within {text}: expected METRIC=VALUE, such as latency_ms=5 or parameters=100k") from None
    if found[1] not in COSTS:
        known = ", ".join(COSTS)
        raise ConfigError(
            f"--within {text}: limits are on what is known before training ({known}); "
            "what training measures belongs into --objective or --pareto"
        )
    return Limit(found[1], value)


def limit_texts(given: Any) -> tuple[str, ...]:
    """Return limits as they are stored, from `{"latency_ms": 5}`, one text, or several."""
    if isinstance(given, Mapping):
        return tuple(f"{name}={value}" for name, value in given.items())
    return (given,) if isinstance(given, str) else tuple(map(str, given))


def objective_texts(given: str | Iterable[str]) -> tuple[str, ...]:
    """Return several objectives as they are stored, from `accuracy,latency_ms` or a sequence."""
    parts = re.split(r",(?![^(]*\))", given) if isinstance(given, str) else given
    return tuple(part.strip() for part in parts)


@dataclass(frozen=True)
class Aims:
    """The aims of a search. `pareto` has several objectives; then the reward is one number made of them."""

    objective: Objective
    limits: tuple[Limit, ...] = ()
    pareto: tuple[Expression, ...] = ()

    def __post_init__(self) -> None:
        if len(self.pareto) == 1:
            raise ConfigError(f"--pareto {self.pareto[0].text}: name two objectives, such as accuracy,latency_ms")
        if len({one.text for one in self.pareto}) < len(self.pareto):
            raise ConfigError(f"--pareto {','.join(one.text for one in self.pareto)}: each objective once")

    @cached_property
    def needs(self) -> tuple[str, ...]:
        """The metrics that are read; of a function that does not say, all costs."""
        read = [] if self.pareto else list(needs(self.objective))
        if not self.pareto and not hasattr(self.objective, "needs"):
            read += COSTS
        read += [limit.cost for limit in self.limits]
        read += [name for one in self.pareto for name in one.needs]
        return tuple(dict.fromkeys(read))

    @property
    def costs(self) -> tuple[str, ...]:
        """The costs that are read: what is measured without training."""
        return tuple(name for name in self.needs if name in COSTS)

    @property
    def rewarded(self) -> tuple[str, ...]:
        """The costs that the objectives read, not the limits alone."""
        return replace(self, limits=()).costs

    @property
    def plain(self) -> bool:
        """Whether there is one objective of what an evaluator measures, and nothing else."""
        return not (self.limits or self.pareto or self.costs)

    def require_measured(self, trained: Collection[str]) -> None:
        """Raise `ConfigError` for a metric that is neither a cost nor in `trained`."""
        for name in self.needs:
            if name not in COSTS and name not in trained:
                known = ", ".join([*trained, *COSTS])
                raise ConfigError(f"{name!r} is not a metric of this search; pick from {known}")

    def admit(self, costs: Mapping[str, float]) -> None:
        """Raise `ChildFailure` where costs break a limit."""
        for one in self.limits:
            one.require(costs)

    @property
    def objectives(self) -> tuple[str, ...]:
        """The metrics that hold the values of several objectives."""
        return tuple(VALUE.format(place) for place in range(len(self.pareto)))

    def values(self, metrics: Mapping[str, float]) -> tuple[float, ...]:
        """Return the values of several objectives; larger is better for all."""
        return tuple(_larger(one) * one(metrics) for one in self.pareto)

    def reward(self, metrics: Mapping[str, float]) -> float:
        """Return the reward: the objective, or a product of several.

        The first one counts in full; each cost divides by its `SOFT`-th power, whose unit changes no ranking.
        """
        if not self.pareto:
            return float(self.objective(metrics))
        found = 1.0
        for place, one in enumerate(self.pareto):
            value = max(one(metrics), 1e-12)
            found *= value ** (_larger(one) * (SOFT if place and _larger(one) < 0 else 1.0))
        return found


def _larger(one: Expression) -> float:
    """Return 1, or -1 for a metric by itself of which smaller is better."""
    name = metric_name(one.text.strip())
    return -1.0 if one.needs == (name,) and not larger_is_better(name) else 1.0
