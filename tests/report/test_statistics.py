"""Intervals against published examples, against scipy, and by how often they cover the truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from archwright.errors import ConfigError
from archwright.report.statistics import kendall_tau, mean_interval, paired_difference, wilson


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_reproduces_newcombe(successes: int, n: int, low: float, high: float) -> None:
    """Newcombe 1998, Statistics in Medicine 17, table I, method 3."""
    assert wilson(successes, n) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 2000), st.data(), st.sampled_from([0.8, 0.95, 0.99]))
def test_wilson_equals_scipy_and_is_symmetric(n: int, data: st.DataObject, confidence: float) -> None:
    successes = data.draw(st.integers(0, n))
    low, high = wilson(successes, n, confidence)
    expected = stats.binomtest(successes, n).proportion_ci(confidence, method="wilson")
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-9)
    assert (1 - high, 1 - low) == pytest.approx(wilson(n - successes, n, confidence), abs=1e-12)
    assert 0 <= low <= successes / n <= high <= 1
    assert low < high


def answers(both: int, only_a: int, only_b: int, neither: int) -> tuple[list[bool], list[bool]]:
    a = [True] * both + [True] * only_a + [False] * only_b + [False] * neither
    b = [True] * both + [False] * only_a + [True] * only_b + [False] * neither
    return a, b


def test_paired_difference_reproduces_a_published_example() -> None:
    """Agresti & Min 2005; the example of R's PropCIs::diffpropci.mp(b = 40, c = 20, n = 160)."""
    difference, low, high = paired_difference(*answers(50, 20, 40, 50))
    assert difference == -20 / 160
    assert (low, high) == pytest.approx((-0.21601726, -0.03089632), abs=5e-9)


def test_models_that_never_disagree_still_have_an_uncertain_difference() -> None:
    difference, low, high = paired_difference([True] * 360, [True] * 360)
    assert difference == 0
    assert low == -high
    assert 0.005 < high < 0.01


@given(*[st.integers(0, 60)] * 4)
def test_paired_difference_turns_round_with_its_arguments(both: int, only_a: int, only_b: int, neither: int) -> None:
    a, b = answers(both, only_a, only_b, neither)
    if not a:
        return
    difference, low, high = paired_difference(a, b)
    assert paired_difference(np.array(b), np.array(a)) == pytest.approx((-difference, -high, -low))
    assert -1 <= low <= difference <= high <= 1
    assert low < high


@pytest.mark.parametrize(("n", "p"), [(20, 0.5), (100, 0.9), (360, 0.985), (360, 0.995)])
def test_wilson_covers(n: int, p: float) -> None:
    bounds = np.array([wilson(k, n) for k in range(n + 1)])
    likely = stats.binom.pmf(np.arange(n + 1), n, p)  # exact: no simulation needed
    assert 0.93 < likely[(bounds[:, 0] <= p) & (p <= bounds[:, 1])].sum() < 0.985


@pytest.mark.parametrize(
    ("n", "only_a", "only_b"), [(30, 0.05, 0.02), (360, 0.01, 0.005), (360, 0.003, 0.003), (100, 0.2, 0.1)]
)
def test_paired_difference_covers(n: int, only_a: float, only_b: float) -> None:
    rng, hits = np.random.default_rng(5), 0
    for _ in range(2000):
        u = rng.random(n)
        _, low, high = paired_difference(u < only_a, (u >= only_a) & (u < only_a + only_b))
        hits += low <= only_a - only_b <= high
    assert hits / 2000 > 0.94


@pytest.mark.parametrize(("n", "quantile"), [(2, 12.706), (3, 4.303), (5, 2.776), (10, 2.262), (31, 2.042)])
def test_mean_interval_reproduces_the_table_of_student(n: int, quantile: float) -> None:
    values = np.arange(n, dtype=float)
    mean, low, high = mean_interval(values)
    assert (high - mean) / stats.sem(values) == pytest.approx(quantile, abs=5e-4)
    assert mean - low == pytest.approx(high - mean)


def test_mean_interval_equals_scipy() -> None:
    values = [98.1, 98.9, 98.6, 99.2, 98.3]
    expected = stats.t.interval(0.95, 4, loc=np.mean(values), scale=stats.sem(values))
    assert mean_interval(values) == pytest.approx((np.mean(values), *expected))
    assert mean_interval([98.1]) == (98.1, -math.inf, math.inf)
    assert mean_interval([2.0, 2.0]) == (2.0, 2.0, 2.0)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), min_size=2, max_size=30))
def test_kendall_tau_equals_scipy(pairs: list[tuple[int, int]]) -> None:
    a, b = zip(*pairs, strict=True)
    tau, low, high = kendall_tau(a, b, resamples=50)
    expected = stats.kendalltau(a, b).statistic
    assert tau == pytest.approx(expected, nan_ok=True)
    assert math.isnan(tau) or -1 - 1e-9 <= low <= high <= 1 + 1e-9


def test_kendall_tau_is_the_same_for_the_same_seed() -> None:
    rng = np.random.default_rng(3)
    a = rng.random(25)
    b = a + 0.3 * rng.random(25)
    assert kendall_tau(a, b, seed=1) == kendall_tau(a, b, seed=1)
    assert kendall_tau(a, b, seed=1)[1:] != kendall_tau(a, b, seed=2)[1:]
    assert kendall_tau(a, -a)[0] == pytest.approx(-1)


def test_the_kendall_interval_covers() -> None:
    """Normal pairs with correlation r have tau = 2/pi arcsin r."""
    rng, hits = np.random.default_rng(7), 0
    for _ in range(300):
        pairs = rng.multivariate_normal([0, 0], [[1, 0.5], [0.5, 1]], size=20)
        _, low, high = kendall_tau(pairs[:, 0], pairs[:, 1], resamples=400)
        hits += low <= 1 / 3 <= high
    assert 0.91 < hits / 300 < 0.99


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ConfigError, match="5 of 4 is not a proportion"):
        wilson(5, 4)
    with pytest.raises(ConfigError, match=r"confidence 95 is not between 0 and 1"):
        wilson(3, 4, confidence=95)
    with pytest.raises(ConfigError, match=r"shapes \(2,\) and \(1,\)"):
        paired_difference([True, False], [True])
    with pytest.raises(ConfigError, match="finite numbers"):
        mean_interval([1.0, math.nan])
    with pytest.raises(ConfigError, match="must be finite"):
        kendall_tau([1.0, math.nan], [1.0, 2.0])
    with pytest.raises(ConfigError, match="at least two items"):
        kendall_tau([1.0], [1.0])
