"""A method is one file and one line of the registry: flags, plans, runs and reports know it then."""

from __future__ import annotations

from pathlib import Path

import pytest

import archwright
from archwright.cli.flags import search_flags
from archwright.cli.searching import plan_lines
from archwright.loop import Trials
from archwright.methods import METHODS
from archwright.runs.folder import stored_plan
from archwright.runs.preparation import prepare
from archwright.store import RunStore
from own_method import Smallest

FLAGS = [
    *("--space", "enas-micro"),
    *("--evaluator", "smallest", "--scale", "2e4", "--space.nodes", "1", "--space.filters", "4", "--limit", "64"),
    *("--final-recipe.epochs", "0.1", "--device", "cpu", "--baseline", "false"),
]


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS, "smallest", "own_method:Smallest")


def test_its_settings_are_flags_and_its_words_are_in_the_plan() -> None:
    flags = search_flags([word.replace("-recipe", "_recipe") for word in FLAGS])
    plan = prepare(flags.data, user=flags.user, device="cpu", data_options=flags.data_options).plan
    assert plan.search.method == Smallest(scale=2e4)
    assert plan_lines(plan)[1] == "search: the smallest of 6"
    assert plan.budget.estimate["search"] == pytest.approx(0.6)


def test_it_searches_and_resumes(tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    def stop(event: object) -> None:
        if getattr(event, "name", None) == "final training":
            raise Stop

    arguments = {"data_options": {"limit": 64}, "final_recipe": {"epochs": 0.1}, "baseline": False, "device": "cpu"}
    space = archwright.EnasMicro(nodes=1, filters=4)
    with pytest.raises(Stop):
        archwright.search(
            "digits", space=space, evaluator="smallest", scale=2e4, run=tmp_path / "run", watch=stop, **arguments
        )
    with RunStore.reading(tmp_path / "run") as store:
        assert stored_plan(store).search.method == Smallest(scale=2e4)
        best = max(store.trials(), key=lambda trial: trial.reward)
    run = archwright.resume(tmp_path / "run")
    assert (run.architecture, run.result["trials"]) == (best.architecture, 6)
    assert archwright.load(tmp_path / "run").result == run.result
    assert Trials(1) == archwright.Trials(1)
