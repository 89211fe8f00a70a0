"""Searches of composed operations: what the preset plans, and the real command from known networks and from nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from archwright.data.sources import load
from archwright.errors import ConfigError
from archwright.loop import Result, Trial
from archwright.presets.grammar import WORK, affordable
from archwright.runs.assembly import controller
from archwright.runs.planner import UserSettings, make_plan
from archwright.sentences.fitting import measured
from archwright.space import check
from archwright.spaces import Grammar
from command import done

DATA = load("digits", limit=100)
STARTING = Grammar(channels=1, height=8, width=8)
FEW = ["--space", "grammar", "--space.operations", "40", "--limit", "64", "--trials", "5", "--seed", "1"]
FEW += ["--final_recipe.epochs", "0.3", "--search_recipe.epochs", "0.3", "--baseline", "false"]
FEW += ["--device", "cpu", "--threads", "1"]


def test_the_small_preset_composes_for_the_images_at_hand_and_races_known_networks_of_a_size() -> None:
    user = UserSettings(space="grammar", controller="evolution")
    plan = make_plan(DATA, user, data_name="digits", data_options={}, device="cpu", threads=1, timed=False)
    space: Any = plan.search.space
    assert (space.channels, space.height, space.width) == (DATA.task.channels, DATA.task.height, DATA.task.width)
    assert plan.search.controller_settings == {"first": "varied"}
    known = plan.search.method.known(plan.search)
    assert set(known) == {"resnet18", "wrn", "vit", "mlp-mixer"}
    for architecture in known.values():
        check(space, architecture)
        assert measured(space.sentence(architecture), space.input)[1].multiply_adds <= WORK


def test_the_command_searches_from_known_networks(tmp_path: Path) -> None:
    search = [
        "search",
        *FEW,
        "--evaluator",
        "from-scratch",
        "--starters",
        "vit, mlp-mixer",
        "--controller",
        "evolution",
    ]
    code, out, err = done(*search, "--run", "run", "--json", cwd=tmp_path)
    assert code == 0, err
    assert 0 <= json.loads(out)["test_accuracy"] <= 1


def test_a_starter_that_breaks_a_limit_is_named() -> None:
    settings = {"evaluator": "from-scratch", "starters": "mlp-mixer, resnet18"}
    user = UserSettings(space="grammar", space_fields={"operations": 40}, settings=settings)
    with pytest.raises(ConfigError, match="starters: grammar with these settings cannot have resnet18"):
        make_plan(DATA, user, data_name="digits", data_options={}, device="cpu", threads=1, timed=False)


@pytest.mark.parametrize(
    ("name", "starters"),
    [("random", "none"), ("guided", "all")],
)
def test_every_controller_proposes_what_costs_about_as_much_as_known_networks(name: str, starters: str) -> None:
    user = UserSettings(space="grammar", controller=name, settings={"starters": starters, "trials": 12})
    plan = make_plan(DATA, user, data_name="digits", data_options={}, device="cpu", threads=1, timed=False)
    known = [measured(STARTING.sentence(one), STARTING.input)[1].work for one in affordable(STARTING).values()]
    proposing, works = controller(plan), list[int]()
    space: Any = plan.search.space
    first = len(plan.search.method.known(plan.search))
    assert first == (4 if starters == "all" else 0)
    for stream in range(first + 4):
        (proposal,) = proposing.ask([stream])
        works.append(measured(space.sentence(proposal.architecture), space.input)[1].work)
        proposing.tell([Trial(stream, proposal, Result(0.1 + 0.01 * stream), 0.0)])
    assert max(works) <= 2 * max(known)
    assert sorted(works)[1] >= min(known) / 3  # half of it, and a little less where weights are few; but for one


def test_the_command_races_from_nothing(tmp_path: Path) -> None:
    search = [
        "search",
        *FEW,
        "--starters",
        "none",
        "--trials",
        "4",
        "--final_recipe.epochs",
        "3",
        "--first_share",
        "0.4",
        "--run",
        "run",
        "--json",
    ]
    code, out, err = done(*search, cwd=tmp_path)
    assert code == 0, err
    assert 0 <= json.loads(out)["test_accuracy"] <= 1
