"""Optuna's samplers on conditional spaces, links and sets."""

from __future__ import annotations

import pytest

pytest.importorskip("optuna", reason="needs archwright[optuna]")

from archwright.controllers.optuna_sampler import OptunaSampler
from archwright.controllers.random import Random
from archwright.errors import ConfigError
from archwright.evaluators.function import Function
from archwright.loop import Trial, Trials, run
from archwright.space import Architecture
from archwright.testing.small_spaces import Ragged, Skips, Static


def mean_of_last(controller: object, reward: object) -> float:
    told = [e for e in run(controller, Function(reward), budget=Trials(60)) if isinstance(e, Trial)]  # type: ignore[arg-type]
    return sum(trial.reward for trial in told[30:]) / 30


def small(architecture: Architecture) -> float:
    return sum(answer == 8 for _, answer in architecture.answers) / len(architecture.answers)


@pytest.mark.parametrize("space", [Ragged(), Skips()], ids=lambda s: s.name)
def test_tpe_learns_where_random_search_does_not(space: Ragged | Skips) -> None:
    assert mean_of_last(OptunaSampler(space, seed=1), small) > mean_of_last(Random(space, seed=1), small) + 0.05


@pytest.mark.parametrize("sampler", ["RandomSampler", "QMCSampler", "NSGAIISampler"])
def test_any_sampler_will_do(sampler: str) -> None:
    controller = OptunaSampler(Ragged(), sampler=sampler, seed=1)
    assert len({proposal.architecture for proposal in controller.ask(range(8))}) > 1


def test_settings_reach_the_sampler_and_wrong_ones_are_named() -> None:
    OptunaSampler(Static(), settings={"n_startup_trials": 3}).ask([0])
    with pytest.raises(ConfigError, match=r"TPESampler.*n_startup"):
        OptunaSampler(Static(), settings={"n_startup": 3})
    with pytest.raises(ConfigError, match="no such class"):
        OptunaSampler(Static(), sampler="BestSampler")
