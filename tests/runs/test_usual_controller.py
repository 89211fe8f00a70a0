"""Which controller a search has where nobody names one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from archwright.cli.flags import search_flags
from archwright.controllers.reinforce import NAS
from archwright.presets.budget import for_budget
from archwright.runs.draft import FEW_TRIALS
from archwright.runs.plan import Plan
from archwright.runs.planner import UserSettings, make_plan
from archwright.space import sample
from command import done
from small_images import noise_data

FEW = [
    *("--space", "nas-conv", "--space.layers", "1", "--space.first_layers", "1", "--trials", "5", "--limit", "64"),
    *("--search_recipe.epochs", "0.2", "--final_recipe.epochs", "0.2", "--last_epochs", "1", "--baseline", "false"),
    *("--device", "cpu", "--run", "run"),
]


def plan(*, space: str = "enas-micro", preset: str = "small", **user: Any) -> Plan:
    return make_plan(
        noise_data(),
        UserSettings(space=space, **user),
        data_name="python",
        data_options={},
        preset=preset,
        device="cpu",
        timed=False,
    )


def test_children_from_scratch_and_few_of_them_are_searched_by_a_model() -> None:
    for wishes in (
        {"space": "nas-conv"},
        {"space": "nas-conv", "settings": {"trials": FEW_TRIALS - 1}},
        {"settings": {"evaluator": "from-scratch"}},
    ):
        assert plan(**wishes).search.controller == "guided", wishes
    for wishes in (
        {"space": "nas-conv", "settings": {"trials": FEW_TRIALS}},
        {"space": "enas-micro"},
        {"space": "nas-conv", "preset": "paper", "settings": {"trials": 100}},
    ):
        assert plan(**wishes).search.controller == "reinforce", wishes


def test_the_paper_preset_has_the_controller_of_the_paper() -> None:
    """Zoph et al. 2018, appendix A.2: PPO with minibatches of 20; the best 250 of 20,000 are trained to the end."""
    nasnet = plan(space="nasnet", preset="paper")
    assert (nasnet.search.controller, nasnet.search.controller_settings) == ("ppo", {})
    assert (nasnet.search.trials, nasnet.final.finalists, nasnet.search.recipe.epochs) == (20_000, 250, 20)
    assert plan(space="nasnet", preset="paper", controller="random").search.controller == "random"
    assert plan(space="nasnet", settings={"trials": FEW_TRIALS}).search.controller == "ppo"


def test_a_small_budget_is_not_spent_on_the_start() -> None:
    settings = {"evaluator": "from-scratch", "trials": 20}
    assert plan(settings=settings).search.controller_settings == {"start": 5}
    assert plan(settings=settings, controller_settings={"start": 9}).search.controller_settings == {"start": 9}
    assert plan(space="nas-conv").search.controller_settings == {}


def test_a_controller_is_one_flag_away_and_its_settings_follow_the_budget() -> None:
    named = plan(space="nas-conv", controller="reinforce")
    deepest = sample(named.search.space.grown(named.search.trials), 0)
    assert named.search.controller == "reinforce"
    assert named.search.controller_settings == for_budget("reinforce", named.search.trials, len(deepest.answers))
    paper = plan(space="nas-conv", preset="paper", controller="reinforce")
    assert paper.search.controller_settings == NAS
    shared = plan(controller="reinforce")  # its reward changes with the weights
    assert shared.search.controller_settings == {"learning_rate": 3.5e-3}
    by_field = search_flags(["--space", "nas-conv", "--controller.learning_rate", "0.1"]).user
    assert (by_field.controller, by_field.controller_settings) == ("reinforce", {"learning_rate": 0.1})
    assert search_flags(["--space", "nas-conv"]).user.controller is None


@pytest.mark.parametrize("words", [["--controller", "evolution", "--controller.population", "2"], []], ids=str)
def test_a_search_runs_with_it(words: list[str], tmp_path: Path) -> None:
    code, out, err = done("search", *FEW, *words, "--json", cwd=tmp_path)
    assert code == 0, err
    assert json.loads(out.splitlines()[-1])["trials"] == 5
    assert f"controller: {'evolution' if words else 'guided'}" in (tmp_path / "run" / "config.yaml").read_text()
