from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archwright.training.recipe import Recipe
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


shares = st.floats(0, 1)


@st.composite
def wsd(draw) -> Recipe:
    """A recipe with warm-up, constant rate and decay, of any shares."""
    warmup = draw(st.just(0.0) | st.floats(0.01, 0.9))
    decay = draw(st.floats(0.05, 1 - warmup))
    low, high = draw(st.floats(0, 0.1)), draw(st.floats(0.1, 2))
    epochs = draw(st.floats(0.1, 500))
    return Recipe(epochs=epochs, learning_rate=high, learning_rate_min=low, warmup=warmup, decay=decay)


@given(recipe=wsd(), share=shares)
def test_wsd_rises_stays_and_falls_to_the_minimum(recipe, share):
    rate, low, high = recipe.rate(share * recipe.epochs), recipe.learning_rate_min, recipe.learning_rate
    assert recipe.rate(recipe.epochs) == low
    assert low * (1 - 1e-12) <= rate <= high
    if recipe.warmup < share < 1 - recipe.decay:
        assert rate == high
    if recipe.warmup:
        assert recipe.rate(0) == low
        assert recipe.rate(recipe.warmup / 2 * recipe.epochs) == pytest.approx((low + high) / 2, rel=1e-6)
    assert recipe.rate((1 - recipe.decay / 2) * recipe.epochs) == pytest.approx((low + high) / 2, rel=1e-6)


@given(recipe=wsd(), share=shares, onward=st.floats(0, 0.01))
def test_wsd_does_not_jump(recipe, share, onward):
    steepest = (recipe.learning_rate - recipe.learning_rate_min) / min(recipe.warmup or 1, recipe.decay)
    before, after = (recipe.rate(part * recipe.epochs) for part in (share, min(1.0, share + onward)))
    assert abs(after - before) <= steepest * onward + 1e-9


@pytest.mark.parametrize("peak", [0.2, 0.3, 0.45])
def test_one_cycles_triangle_is_a_warm_up_and_its_decay(peak):
    recipe = Recipe(epochs=10, learning_rate=0.4, learning_rate_min=0, warmup=peak, decay=1 - peak)
    triangle = [0.4 * min(share / peak, (1 - share) / (1 - peak)) for share in (0, 0.1, 0.2, 0.3, 0.5, 0.9, 1)]
    assert [recipe.rate(10 * share) for share in (0, 0.1, 0.2, 0.3, 0.5, 0.9, 1)] == pytest.approx(triangle)


def test_a_warm_up_meets_the_cosine_and_leaves_the_rest_of_it():
    plain, warm = Recipe(epochs=10), Recipe(epochs=10, warmup=0.1)
    assert warm.rate(0) == warm.learning_rate_min
    assert warm.rate(0.5) < plain.rate(0.5) / 1.9
    assert [warm.rate(position) for position in (1, 4.2, 10)] == [plain.rate(position) for position in (1, 4.2, 10)]


@given(pixels=st.integers(4, 300), start=st.floats(0.1, 1), until=st.floats(0.1, 1), part=shares, onward=shares)
def test_images_grow_to_their_own_size_in_steps_of_four_pixels(pixels, start, until, part, onward):
    recipe = Recipe(small_from=start, small_until=until)
    sides = [recipe.side(pixels, progress) for progress in (part * onward, part)]
    assert 4 <= sides[0] <= sides[1] <= pixels
    assert all(side % 4 == 0 or side == pixels for side in sides)
    assert recipe.side(pixels, until) == recipe.side(pixels, 1.0) == pixels
    assert abs(recipe.side(pixels, 0) - start * pixels) <= 2 or recipe.side(pixels, 0) in (4, pixels)
    assert Recipe(small_until=until).side(pixels, part) == pixels
