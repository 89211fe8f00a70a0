from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archwright.training.schedules import cosine_with_restarts, restart_periods


def official(epochs: int, high: float, low: float) -> list[float]:
    """The rate of each epoch by the recursion of the ENAS code, without its mix-up in a restart's step."""
    rates, last_reset, period = [], 0, 10
    for epoch in range(epochs):
        if epoch - last_reset >= period:
            last_reset, period = epoch, period * 2
        rates.append(low + 0.5 * (high - low) * (1 + math.cos(math.pi * (epoch - last_reset) / period)))
    return rates


@pytest.mark.parametrize("epochs", [10, 150, 310, 630])  # micro search, macro, micro final
def test_the_published_lengths_follow_the_official_recursion(epochs):
    ours = [cosine_with_restarts(e, epochs, high=0.05, low=5e-4) for e in range(epochs)]
    assert ours == pytest.approx(official(epochs, 0.05, 5e-4))


@pytest.mark.parametrize("k", range(1, 7))
def test_the_last_period_ends_at_the_minimum_after_ten_times_a_power_of_two_less_one(k):
    total = 10 * (2**k - 1)
    assert restart_periods(total) == tuple(10 * 2**i for i in range(k))
    assert cosine_with_restarts(total, total, high=0.05, low=1e-4) == 1e-4
    assert cosine_with_restarts(total - 1e-6, total, high=0.05, low=1e-4) == pytest.approx(1e-4)


def test_other_lengths_stretch_the_periods_that_fit():
    assert restart_periods(4) == (4,)
    assert restart_periods(60) == (20, 40)
    assert restart_periods(25, period=10, factor=1) == (12.5, 12.5)


@given(
    total=st.integers(1, 2000),
    period=st.integers(1, 700),
    factor=st.integers(1, 4),
    share=st.floats(0, 1),
)
def test_the_periods_fill_the_training_and_the_rate_stays_between_its_ends(total, period, factor, share):
    lengths = restart_periods(total, period=period, factor=factor)
    assert sum(lengths) == pytest.approx(total)
    assert all(b == pytest.approx(a * factor) for a, b in itertools.pairwise(lengths))

    def rate(position):
        return cosine_with_restarts(position, total, high=1.0, low=0.1, period=period, factor=factor)

    assert 0.1 <= rate(share * total) <= 1.0
    assert rate(0) == 1.0
    assert rate(total) == rate(total + 5) == 0.1
