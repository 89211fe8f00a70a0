"""How much training fits into a time, and the grid of recipes."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archwright.methods.cost import LEAST_EPOCHS, Cost, mean_seconds, median_seconds
from archwright.modalities import modality
from archwright.runs.grid import changed, grid
from archwright.runs.plan import Budget
from archwright.runs.planner import UserSettings, make_plan
from archwright.runs.timing import step_seconds
from archwright.space import sample
from archwright.training.recipe import NAS_CONV, NAS_RECURRENT
from small_images import noise_data

costs = st.builds(Cost, st.floats(0.01, 1e4), st.floats(0, 1e3))


@given(costs, st.floats(0, 1e6))
def test_as_many_epochs_as_fit_and_no_more(cost: Cost, seconds: float) -> None:
    epochs = cost.epochs_within(seconds)
    assert epochs == LEAST_EPOCHS or cost.of(epochs) <= seconds * (1 + 1e-9)
    assert cost.of(epochs + 0.02) > seconds * (1 - 1e-9)


@given(costs, st.integers(1, 50))
def test_a_part_of_an_epoch_pays_for_a_whole_look_at_the_validation_part(cost: Cost, whole: int) -> None:
    assert cost.of(whole) == pytest.approx(whole * (cost.training + cost.validation))
    assert cost.of(whole + 0.5) == pytest.approx(cost.of(whole) + cost.training / 2 + cost.validation)


@given(costs, costs, st.floats(0.1, 10))
def test_costs_of_two_networks_add_up(a: Cost, b: Cost, epochs: float) -> None:
    assert (a + b).of(epochs) == pytest.approx(a.of(epochs) + b.of(epochs))


def test_steps_are_timed_until_they_end() -> None:
    assert mean_seconds(iter(range(2)), 5) >= 0
    assert mean_seconds(iter(range(100)), 3, least=0.0) >= 0
    assert mean_seconds(iter(()), 3) >= 0


def test_one_slow_step_is_no_slow_network() -> None:
    def steps() -> Iterator[int]:
        for number in range(1, 10):
            time.sleep(0.1 if number == 3 else 0.002)
            yield number

    assert median_seconds(steps(), 7) < 0.05 < 7 * mean_seconds(steps(), 7)


def test_a_slow_machine_times_few_steps() -> None:
    taken: list[int] = []

    def steps() -> Iterator[int]:
        for number in range(1, 10):
            taken.append(number)
            time.sleep(0.02)
            yield number

    assert mean_seconds(steps(), 5, most=0.03) >= 0.02
    assert len(taken) == 2
    taken.clear()
    assert mean_seconds(steps(), 5, least=10.0, most=0.01) >= 0.02  # the first alone was slow enough
    assert len(taken) == 1
    assert (Budget().patience, Budget(2.0).patience) == (math.inf, 1.2)


@pytest.mark.parametrize("rate", [1e4, 1e30])
def test_a_network_that_diverges_is_timed_until_it_does(rate: float) -> None:
    data = noise_data()
    recipe = {"learning_rate": rate, "learning_rate_min": 0.0, "epochs": 5.0, "clip_norm": None}
    user = UserSettings(space="enas-micro", final_space_fields={"filters": 4, "repeats": 1}, final_recipe=recipe)
    plan = make_plan(data, user, data_name="python", data_options={}, device="cpu", timed=False)
    assert step_seconds(plan, modality(data), sample(plan.search.space, 0), 1000) > 0


def test_the_grid_varies_what_the_paper_varies() -> None:
    points = grid(NAS_CONV)
    assert len(points) == 3 * 2 * 2
    assert len({changed(NAS_CONV, point) for point in points}) == 12
    assert {point["decay_at"] for point in grid(NAS_RECURRENT)} == {(), (0.5, 0.75)}
    change = {"times_learning_rate": 2.0, "times_weight_decay": 1.0, "decay_at": [0.5]}
    assert changed(NAS_CONV, change).decay_at == (0.5,)
