"""Finalists of a front: each costs certainly more or less than each other one, and none is worse in everything."""

from __future__ import annotations

from collections.abc import Collection
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archwright.evaluators.aims import Aims
from archwright.evaluators.expression import Expression
from archwright.evaluators.objective import make_objective
from archwright.runs.front import APART, Values, apart

MODALITY: Any = SimpleNamespace(metric="accuracy")
NETWORKS = st.lists(st.tuples(st.floats(0.1, 0.9), st.floats(1, 4), st.integers(100, 400)), min_size=1, max_size=9)


def values(networks: list[tuple[float, float, int]], *objectives: str) -> tuple[Values, list[tuple[Any, float]]]:
    """Return the values of networks (accuracy, milliseconds, parameters), and these by their scores, the best first."""

    class Costs:
        def of(self, number: int, names: Collection[str]) -> dict[str, float]:
            _, took, size = networks[number]
            bounds = {"latency_ms_low": 0.9 * took, "latency_ms_high": 1.1 * took}
            return {"latency_ms": took, **bounds, "parameters": float(size)}

    aims = Aims(make_objective("accuracy", {}), (), tuple(map(Expression, objectives)))
    plan: Any = SimpleNamespace(search=SimpleNamespace(aims=aims))
    scored = sorted(((number, one[0]) for number, one in enumerate(networks)), key=lambda item: -item[1])
    return Values(plan, MODALITY, Costs()), scored  # type: ignore[arg-type]


@given(networks=NETWORKS, count=st.integers(1, 4))
def test_finalists_differ_in_a_cost_and_none_is_worse_in_everything(
    networks: list[tuple[float, float, int]], count: int
) -> None:
    made, scored = values(networks, "accuracy", "latency_ms", "parameters")
    found: list[Any] = made.finalists(scored, count)
    assert found[0] == scored[0][0]
    assert len(found) <= count

    def differ(a: int, b: int) -> bool:
        (_, took, size), (_, other, its) = networks[a], networks[b]
        surely = 0.9 * max(took, other) > 1.1 * min(took, other)
        return (surely and max(took, other) >= APART * min(took, other)) or max(size, its) >= APART * min(size, its)

    def worse(a: int, b: int) -> bool:
        (score, took, size), (other, less, its) = networks[a], networks[b]
        return score <= other and took >= less and size >= its

    for place, one in enumerate(found):
        assert all(differ(one, other) and not worse(one, other) for other in found[:place])
    if len(found) < count:
        left = {number for number, _ in scored} - {*found}
        assert all(any(not differ(one, other) or worse(one, other) for other in found) for one in left)


def test_networks_of_almost_one_latency_are_one_finalist() -> None:
    networks = [(0.90, 1.00, 100), (0.89, 0.95, 500), (0.88, 0.90, 900), (0.85, 0.5, 900)]
    assert values(networks, "accuracy", "latency_ms")[0].finalists([(0, 0.9), (1, 0.89), (2, 0.88), (3, 0.85)], 3) == [
        0,
        3,
    ]  # type: ignore[list-item]
    # Where the size is an objective, too, they differ.
    assert len(values(networks, "accuracy", "latency_ms", "parameters")[0].finalists([(0, None), (1, None)], 3)) == 2  # type: ignore[list-item]


@pytest.mark.parametrize(("high", "differ"), [(1.2, True), (1.31, False)])
def test_a_latency_that_measurement_does_not_tell_apart_is_the_same(high: float, differ: bool) -> None:
    one = {"latency_ms": 1.0, "latency_ms_low": 0.9, "latency_ms_high": high}
    other = {"latency_ms": 1.4, "latency_ms_low": 1.3, "latency_ms_high": 1.5}
    assert apart(one, other, ["latency_ms"]) == apart(other, one, ["latency_ms"]) == differ
    assert apart(one, one, [])  # no objective reads a cost
