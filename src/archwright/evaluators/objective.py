"""From metrics to a reward: small values that are called with the metrics of an evaluator."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from archwright.components import objective_function
from archwright.errors import ChildFailure, ConfigError, offered

Objective: TypeAlias = "Callable[[Mapping[str, float]], float]"


class OfMetric:
    """An objective that reads one metric; `needs` are all that it reads."""

    metric: str

    @property
    def needs(self) -> tuple[str, ...]:
        return (self.metric,)


@dataclass(frozen=True)
class Accuracy(OfMetric):
    """The accuracy itself: NASNet and ENAS (NASNet 2018, section 3; ENAS 2018, section 2.2)."""

    metric: str = "validation_accuracy"

    def __call__(self, metrics: Mapping[str, float]) -> float:
        return metrics[self.metric]

    def words(self, reward: float) -> str:
        """Return a reward as a person reads it."""
        return f"{reward:.1%}"


@dataclass(frozen=True)
class AccuracyCubed(OfMetric):
    """The cube of the best accuracy of the last epochs: NAS (Zoph & Le 2017, section 4.1: of the last 5)."""

    metric: str = "best_validation_accuracy"

    def __call__(self, metrics: Mapping[str, float]) -> float:
        return metrics[self.metric] ** 3


@dataclass(frozen=True)
class Likelihood(OfMetric):
    """`exp(-loss)`, the likelihood of a label in the geometric mean: finer than the accuracy of a minibatch."""

    metric: str = "validation_loss"

    def __call__(self, metrics: Mapping[str, float]) -> float:
        return math.exp(-metrics[self.metric])


@dataclass(frozen=True)
class InversePerplexity(OfMetric):
    """`c / perplexity ** power`: power 1 is ENAS's (section 2.2), 2 is NAS's (Zoph & Le 2017, section 4.2); c is 80."""

    power: float = 1.0
    c: float = 80.0
    metric: str = "validation_perplexity"

    def __call__(self, metrics: Mapping[str, float]) -> float:
        return float(self.c / metrics[self.metric] ** self.power)


@dataclass(frozen=True)
class InversePerplexitySquared(InversePerplexity):
    """`c / perplexity ** 2`: NAS's (Zoph & Le 2017, section 4.2)."""

    power: float = 2.0


@dataclass(frozen=True)
class LatencyWeighted(OfMetric):
    """`accuracy * (latency / target) ** weight`: MnasNet's soft constraint (Tan et al. 2019, 3.1: weight -0.07).

    `target` and the metric `latency` are seconds for one image.
    """

    target: float
    weight: float = -0.07
    metric: str = "validation_accuracy"

    def __post_init__(self) -> None:
        if not self.target > 0:
            raise ConfigError(f"LatencyWeighted: target is {self.target!r}; it must be seconds greater than zero")

    @property
    def needs(self) -> tuple[str, ...]:
        return self.metric, "latency"

    def __call__(self, metrics: Mapping[str, float]) -> float:
        return float(metrics[self.metric] * (metrics["latency"] / self.target) ** self.weight)


# By name; each value makes the objective from its arguments.
OBJECTIVES: dict[str, Callable[..., Objective]] = {
    "accuracy": Accuracy,
    "accuracy-cubed": AccuracyCubed,
    "likelihood": Likelihood,
    "inverse-perplexity": InversePerplexity,
    "inverse-perplexity-squared": InversePerplexitySquared,
    "latency-weighted": LatencyWeighted,
}


def make_objective(name: str, settings: Mapping[str, Any] | None = None) -> Objective:
    """Return the objective of that name with these arguments, of a user's file, or of an expression of metrics."""
    from archwright.evaluators.expression import written

    if name not in OBJECTIVES:
        return objective_function(name) if ".py:" in name else written(name, OBJECTIVES)
    maker, settings = OBJECTIVES[name], settings or {}
    arguments = inspect.signature(maker).parameters
    if unknown := [argument for argument in settings if argument not in arguments]:
        there = offered(unknown[0], arguments)
        raise ConfigError(f"the objective {name} has no setting {unknown[0]!r}; {there}")
    for argument, parameter in arguments.items():
        if parameter.default is parameter.empty and argument not in settings:
            raise ConfigError(f"the objective {name} needs its {argument}: --objective.{argument} VALUE")
    return maker(**settings)


def reward_words(objective: Objective, reward: float) -> str:
    """Return a reward as a person reads it: an accuracy in per cent, other rewards as numbers."""
    words: Callable[[float], str] | None = getattr(objective, "words", None)
    return f"reward {reward:.4g}" if words is None else words(reward)


def needs(objective: Objective) -> tuple[str, ...]:
    """Return the metrics that an objective declares; a plain function declares none."""
    return tuple(getattr(objective, "needs", ()))


def require(objective: Objective, offered: Collection[str], by: str) -> None:
    """Raise ConfigError if the objective reads a metric that the evaluator `by` does not measure."""
    if missing := [name for name in needs(objective) if name not in offered]:
        known = ", ".join(sorted(offered))
        raise ConfigError(f"{objective!r} needs {', '.join(missing)}, which {by} does not measure; it measures {known}")


def reward(objective: Objective, metrics: Mapping[str, float]) -> float:
    """Return the reward of the metrics; `ChildFailure` if it is not finite."""
    value = float(objective(metrics))
    if not math.isfinite(value):
        raise ChildFailure(f"the objective gave {value} for {dict(metrics)}")
    return value
