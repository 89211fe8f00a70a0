"""Objectives as expressions, limits, and several objectives at once."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archwright.controllers.random import Random
from archwright.errors import ChildFailure, ConfigError
from archwright.evaluators.aims import Aims, Limit, limit, limit_texts, objective_texts
from archwright.evaluators.costed import Costed
from archwright.evaluators.expression import Expression
from archwright.evaluators.function import Function
from archwright.evaluators.objective import Accuracy, make_objective
from archwright.loop import Progress, Proposal, Result, Trials, run
from archwright.space import Architecture, sample
from archwright.testing.small_spaces import Static

METRICS = {"validation_accuracy": 0.8, "latency_ms": 10.0, "parameters": 2e5}
shares = st.floats(0.01, 1.0)


@given(accuracy=shares, latency=st.floats(0.01, 1e3), target=st.floats(0.01, 1e3))
def test_the_weighted_product_is_that_of_mnasnet(accuracy: float, latency: float, target: float) -> None:
    written = Expression(f"accuracy * (latency_ms / {target!r}) ** -0.07")
    metrics = {"validation_accuracy": accuracy, "latency_ms": latency}
    assert written(metrics) == pytest.approx(accuracy * (latency / target) ** -0.07)
    assert written.needs == ("validation_accuracy", "latency_ms")
    seconds = {"validation_accuracy": accuracy, "latency": latency}
    assert make_objective("latency-weighted", {"target": target})(seconds) == pytest.approx(written(metrics))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("accuracy - 0.1 * max(0, latency_ms - 5)", 0.3),
        ("min(accuracy, 1) ** 2", 0.64),
        ("-log(parameters)", -math.log(2e5)),
        ("2 * -sqrt(latency_ms) + abs(-1) + exp(0)", 2 - 2 * math.sqrt(10)),
    ],
)
def test_arithmetic(text: str, value: float) -> None:
    assert Expression(text)(METRICS) == pytest.approx(value)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "accuracy +",
            "__import__('os').system('true')",
            "accuracy.real",
            "accuracy if 1 else 2",
            "[accuracy]",
            "'a'",
        ),
        *("max(accuracy, key=abs)", "open(1)", "max()", "True", "accuracy % 2", "x" + "(" * 500, "lambda: 1"),
    ],
)
def test_nothing_but_arithmetic_is_read(text: str) -> None:
    with pytest.raises(ConfigError, match=r"names of metrics, \+ - \* / \*\* and min, max"):
        Expression(text)


@pytest.mark.parametrize(
    "text", ["log(accuracy - 0.8)", "1 / (accuracy - 0.8)", "9 ** 9 ** 9 ** accuracy", "(-1) ** 0.5"]
)
def test_an_expression_without_a_value_is_a_failed_trial(text: str) -> None:
    with pytest.raises(ChildFailure, match="has no value for"):
        Expression(text)(METRICS)


def test_a_word_is_a_name_or_a_metric() -> None:
    assert make_objective("accuracy") == Accuracy()
    assert make_objective("latency_ms")({"latency_ms": 4.0}) == 0.25  # smaller is better
    with pytest.raises(ConfigError, match="objective is 'acuracy'; did you mean accuracy"):
        make_objective("acuracy")


@pytest.mark.parametrize(
    ("text", "value"), [("latency_ms=5", 5.0), ("parameters=100k", 1e5), ("bytes=1.5MB", 1.5e6), ("bytes = 2e6", 2e6)]
)
def test_limits(text: str, value: float) -> None:
    found = limit(text)
    assert found.value == value
    found.require({found.cost: value})
    with pytest.raises(ChildFailure, match="it must be at most"):
        found.require({found.cost: 1.01 * value})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("parameters", "expected METRIC=VALUE"),
        ("parameters=many", "expected METRIC=VALUE"),
        ("parameters<5", "expected METRIC=VALUE"),
        ("accuracy=0.9", "what training measures belongs into --objective or --pareto"),
        ("size=5", "known before training"),
    ],
)
def test_limits_that_cannot_be(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        limit(text)


def test_aims_as_they_are_given() -> None:
    assert limit_texts({"latency_ms": 5}) == limit_texts("latency_ms=5") == limit_texts(["latency_ms=5"])
    assert objective_texts("accuracy, min(parameters, 5) ") == ("accuracy", "min(parameters, 5)")
    with pytest.raises(ConfigError, match="name two objectives"):
        Aims(Accuracy(), pareto=(Expression("accuracy"),))
    with pytest.raises(ConfigError, match="each objective once"):
        Aims(Accuracy(), pareto=(Expression("accuracy"), Expression("accuracy")))
    aims = Aims(lambda metrics: metrics["parameters"])
    assert {"parameters", "latency_ms"} <= {*aims.costs}  # a function may read any
    with pytest.raises(ConfigError, match="'speed' is not a metric of this search; pick from validation_accuracy"):
        Aims(Expression("speed * parameters")).require_measured(["validation_accuracy"])
    assert Aims(Accuracy()).plain


def test_the_reward_of_several_objectives_ranks_as_a_weighted_product() -> None:
    aims = Aims(Accuracy(), pareto=(Expression("accuracy"), Expression("latency_ms"), Expression("parameters")))
    assert aims.values(METRICS) == (0.8, -10.0, -2e5)
    assert aims.reward(METRICS) == pytest.approx(0.8 * 10**-0.07 * 2e5**-0.07)
    assert Aims(Accuracy(), pareto=(Expression("perplexity"), Expression("bytes"))).reward(
        {"validation_perplexity": 50.0, "bytes": 100.0}
    ) == pytest.approx(100**-0.07 / 50)


class Sizes:
    """A made-up cost."""

    def prepare(self) -> Iterator[Progress]:
        yield Progress("costs", 1, 1)

    def __call__(self, architecture: Architecture) -> Mapping[str, float]:
        return {"parameters": float(str(architecture["first"]))}


def score(architecture: Architecture) -> Any:
    trained.append(architecture)
    return Result(0.5, {"validation_accuracy": 0.5})


trained: list[Architecture] = []


def test_what_breaks_a_limit_is_not_trained() -> None:
    trained.clear()
    aims = Aims(Expression("accuracy / parameters"), (Limit("parameters", 16),), ())
    events = list(run(Random(Static(), seed=1), Costed(Function(score), Sizes(), aims), budget=Trials(30)))
    trials = [event for event in events if not isinstance(event, Progress)]
    assert [event for event in events if isinstance(event, Progress)]
    for trial in trials:
        size = float(str(trial.architecture["first"]))
        assert (trial.result.error is None) == (size <= 16)
        assert trial.reward == (0.5 / size if size <= 16 else 0.0)
    assert trained == [trial.architecture for trial in trials if trial.result.error is None]
    assert 0 < len(trained) < 30


def test_values_of_several_objectives_are_metrics_of_a_trial() -> None:
    aims = Aims(Accuracy(), pareto=(Expression("accuracy"), Expression("parameters")))
    architecture = sample(Static(), 0)
    result = Costed(Function(score), Sizes(), aims).evaluate(Proposal(0, architecture))
    assert [result.metrics[name] for name in aims.objectives] == [0.5, -float(str(architecture["first"]))]
    assert result.reward == aims.reward(result.metrics)
