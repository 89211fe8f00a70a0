"""Several objectives at once: hypervolume, its expected improvement, and controllers that search a front."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archwright.controllers.admitting import TRIES, Admitting
from archwright.controllers.features import Featurizer
from archwright.controllers.guided import Guided
from archwright.controllers.hypervolume import FrontModel, directions, hypervolume, reaches, scaled
from archwright.controllers.optuna_sampler import OptunaSampler
from archwright.controllers.random import Random
from archwright.controllers.reinforce import Reinforce
from archwright.controllers.surrogate import fit
from archwright.evaluators.function import Function
from archwright.fronts import front, knee
from archwright.loop import Controller, Result, Trial, Trials, run
from archwright.runs.front import spread
from archwright.space import Architecture, Space, sample
from archwright.testing import ControllerContract
from archwright.testing.small_spaces import SMALL, Static

OBJECTIVES = ("objective/0", "objective/1")
points = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=7)


@given(points, st.integers(1, 3))
def test_hypervolume_counts_the_unit_cubes_below_a_point(found: Sequence[tuple[int, ...]], parts: int) -> None:
    values = np.array(found, dtype=float)[:, :parts]
    cubes = {cube for value in values.astype(int) for cube in np.ndindex(*value)}
    assert hypervolume(values, np.zeros(parts)) == len(cubes)


@given(st.lists(st.tuples(st.floats(0.05, 1), st.floats(0.05, 1)), min_size=1, max_size=6))
def test_the_mean_reach_over_directions_is_the_hypervolume(found: Sequence[tuple[float, float]]) -> None:
    values = np.array(found)
    mean = reaches(values, directions(2)).max(0).mean()
    assert mean * np.pi / 4 == pytest.approx(hypervolume(values, np.zeros(2)), abs=0.04)  # polar coordinates


@given(points)
def test_a_front_has_what_none_dominates(found: Sequence[tuple[int, ...]]) -> None:
    places = front([*found, None])
    kept = [found[place] for place in places]
    for value in found:
        assert any(all(a >= b for a, b in zip(one, value, strict=True)) for one in kept)
    for one in kept:
        assert not any(o != one and all(a >= b for a, b in zip(o, one, strict=True)) for o in found)
    assert len({*kept}) == len(kept)
    assert 0 <= knee(kept) < len(kept)


def test_the_knee_and_the_spread_of_a_front() -> None:
    values = [(0.2, -1.0), (0.8, -2.0), (0.85, -9.0), (0.9, -30.0), (0.5, -5.0)]
    assert knee(values[:4]) == 1
    assert spread(values, 3) == [3, 1, 2]  # the best, then what adds most; costs count by their ratios
    assert spread([], 3) == []
    assert spread([(0.5, -1.0)] * 3, 2) == [0, 1]


def _values(architecture: Architecture) -> tuple[float, float]:
    first, second = float(str(architecture["first"])), float(str(architecture["second"]))
    return float(np.log2(first) * 0.2 + (architecture["extra"] == "relu") * 0.1), -first - second


def _score(architecture: Architecture) -> Any:
    return Result(0.5, dict(zip(OBJECTIVES, _values(architecture), strict=True)))


def test_the_model_expects_most_where_the_front_grows() -> None:
    space = Static()
    known = list(dict.fromkeys(sample(space, number) for number in range(40)))[:12]
    rest = list(dict.fromkeys(a for n in range(200) if (a := sample(space, (1, n))) not in known))
    featurizer = Featurizer(space)
    for one in known:
        featurizer.learn(featurizer.read(one))
    values = np.array([_values(one) for one in known])
    weights = [fit(featurizer.learned, scaled(column)) for column in values.T]
    model = FrontModel(featurizer.learned, values, weights)
    described = featurizer.describe([featurizer.read(one) for one in rest])
    expected, low = model.expected(described), values.min(0)
    others = (np.array([_values(one) for one in rest]) - low) / np.ptp(values, axis=0)
    base = (values - low) / np.ptp(values, axis=0)
    true = [hypervolume(np.vstack([base, one]), np.zeros(2)) - hypervolume(base, np.zeros(2)) for one in others]
    assert (expected >= 0).all()
    best_third = np.argsort(-expected)[: len(rest) // 3]
    assert np.mean(np.array(true)[best_third]) > 1.3 * np.mean(true)
    best = featurizer.describe([featurizer.read(rest[int(np.argmax(expected))])])
    assert model.believing(best).expected(best)[0] < model.expected(best)[0]


MADE: dict[str, Any] = {
    "guided": lambda space, seed: Guided(space, start=4, random=8, mutants=8, objectives=OBJECTIVES, seed=seed),
    "tpe": lambda space, seed: OptunaSampler(space, objectives=OBJECTIVES, seed=seed),
    "nsga2": lambda space, seed: OptunaSampler(
        space, sampler="NSGAIISampler", settings={"population_size": 6}, objectives=OBJECTIVES, seed=seed
    ),
}


@pytest.mark.parametrize("name", MADE)
def test_a_front_is_searched_and_a_resumed_search_goes_on(name: str) -> None:
    if name != "guided" and importlib.util.find_spec("optuna") is None:
        pytest.skip("needs archwright[optuna]")
    space = Static()

    def fails(architecture: Architecture) -> Any:
        if architecture["second"] == 16:
            raise ValueError("a failed child has no values")
        return _score(architecture)

    trials = list(run(MADE[name](space, 1), Function(fails), budget=Trials(24)))
    assert any(trial.result.error for trial in trials if isinstance(trial, Trial))
    resumed, whole = MADE[name](space, 1), MADE[name](space, 1)
    for trial in trials:
        assert isinstance(trial, Trial)
        whole.tell([trial])
    resumed.tell(trials)
    assert resumed.ask([24, 25]) == whole.ask([24, 25])


def test_genetic_samplers_fill_one_generation_after_another() -> None:
    pytest.importorskip("optuna")
    controller = MADE["nsga2"](Static(), 0)
    for _ in run(controller, Function(_score), budget=Trials(20)):
        pass
    generations = [trial.system_attrs["NSGAIISampler:generation"] for trial in controller._study.trials]
    assert generations == [number // 6 for number in range(20)]


class TestAdmitting(ControllerContract):
    spaces = SMALL

    def make(self, space: Space, seed: int) -> Controller:
        return Admitting(Random(space, seed=seed), lambda architecture: int(architecture.id[-1], 16) % 3 > 0)


@pytest.mark.parametrize("make", [Random, Guided, Reinforce])
def test_what_is_not_admitted_is_not_proposed(make: Any) -> None:
    def small(architecture: Architecture) -> bool:
        return float(str(architecture["first"])) <= 16

    controller = Admitting(make(Static(), seed=2), small)
    for trial in run(controller, Function(lambda a: float(str(a["first"]))), budget=Trials(25)):
        assert isinstance(trial, Trial)
        assert small(trial.architecture)
        assert trial.proposal.stream == trial.number
    asked = []
    Admitting(Random(Static(), seed=2), asked.append).ask([5])  # type: ignore[arg-type]
    assert len(asked) == TRIES - 1
