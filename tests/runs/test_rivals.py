"""A known network beside what a paper's method found: who is better in validation is said, and the other is kept."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

import archwright
from archwright.analysis.comparing import compared
from archwright.errors import ConfigError
from archwright.modalities import load_model, read
from archwright.runs.baseline import with_baseline
from archwright.runs.folder import stored_plan
from archwright.runs.plan import FinalTraining, wanted_phases
from archwright.runs.planner import UserSettings
from archwright.runs.preparation import prepare
from archwright.spaces import EnasMicro, Stages
from archwright.store import RunStore

# What is found is trained at a rate at which nothing is learned, so the known network is better.
ARGUMENTS: dict[str, Any] = {
    "space": EnasMicro(nodes=1, filters=4),
    "data_options": {"limit": 300},
    "final_recipe": {"epochs": 12, "batch": 32, "learning_rate": 1e-6, "learning_rate_min": 0.0},
    "trials": 2,
    "trials_per_epoch": 2,
    "steps_per_epoch": 2,
    "warmup": 0,
    "samples": 2,
    "shortlist": 1,
    "known": 1.0,
    "device": "cpu",
    "threads": 1,
}


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> archwright.Run:
    return archwright.search("digits", run=tmp_path_factory.mktemp("rivals") / "run", **ARGUMENTS)


def test_the_known_network_is_offered_where_it_is_better(searched: archwright.Run) -> None:
    known = searched.result["known"]
    assert (known["network"], known["share"], known["better"], known["delivered"]) == ("resnet9-gelu", 1.0, True, False)
    assert known["difference"] < 0
    assert known["difference_interval"][0] < known["difference"] < known["difference_interval"][1]
    assert known["found"]["test_accuracy"] == searched.test_accuracy
    (line,) = (line for line in searched.result["summary"] if line.startswith("known network "))
    assert f"archwright predict or export {searched.folder}/known takes it" in line
    labels = [point.label for group in compared([searched.folder]) for point in group.points]
    assert "run: resnet9-gelu" in labels
    assert searched.architecture.space == "enas-micro"
    assert searched.result["space"] == "enas-micro"
    model = load_model(searched.folder / "known")
    assert isinstance(model.space, Stages)
    digits = read("digits", seed=0, limit=300)
    labels = [digits.classes[int(y)] for y in digits.test.y]
    right = [found.label == label for found, label in zip(model.predict(digits.test.x), labels, strict=True)]
    assert sum(right) / len(right) == pytest.approx(known["test_accuracy"])
    assert len(model.export(searched.folder / "exported", formats=("source",))) > 0


def test_the_better_one_is_delivered_on_request(searched: archwright.Run, tmp_path: Path) -> None:
    shutil.copytree(searched.folder, tmp_path / "run")
    with RunStore(tmp_path / "run") as store:
        plan = stored_plan(store).changed({"deliver": "best"})
        store.put_all({"plan": plan.to_json(), "done/test": False, "result": None})
    run = archwright.resume(tmp_path / "run")
    known = run.result["known"]
    assert known["delivered"]
    assert run.architecture.space == run.result["space"] == "stages"
    assert run.test_accuracy == known["test_accuracy"]
    assert isinstance(run.trained.space, Stages)
    assert load_model(tmp_path / "run" / "found").architecture == searched.architecture
    assert any(f"what the search found is in {tmp_path}/run/found" in line for line in run.result["summary"])
    assert archwright.load(tmp_path / "run").architecture == run.architecture


def test_a_comparison_afterwards_trains_it_for_the_same_seconds(searched: archwright.Run, tmp_path: Path) -> None:
    shutil.copytree(searched.folder, tmp_path / "run")
    with RunStore(tmp_path / "run") as store:
        plan = stored_plan(store).changed({"known": 0.0})
        job = with_baseline(plan, read("digits", seed=0, limit=300), store)
    assert (job.plan.final.known, job.plan.final.reference) == (1.0, False)
    assert "known network" in job.plan.wanted_phases


def test_a_comparison_that_was_killed_is_gone_on_with_after_a_resume_too(
    searched: archwright.Run, tmp_path: Path
) -> None:
    shutil.copytree(searched.folder, tmp_path / "run")
    with RunStore(tmp_path / "run") as store:
        plan, data = stored_plan(store), read("digits", seed=0, limit=300)
        with_baseline(plan, data, store)
    assert archwright.resume(tmp_path / "run").result["random_search"] == {}  # the run as it was planned
    with RunStore(tmp_path / "run") as store:
        with_baseline(plan, data, store)
        assert not store.get("done/test")
        assert store.get("result") is None
        store.put_all({f"done/{phase}": True for phase in ("known network", "random search", "reference", "test")})
        with_baseline(plan, data, store)
        assert store.get("done/test")


def test_who_has_one() -> None:
    data: dict[str, Any] = {"data_options": {"limit": 200}, "device": "cpu", "threads": 1}

    def known(space: str, **settings: Any) -> float:
        return prepare("digits", user=UserSettings(space, settings=settings), timed=False, **data).plan.final.known

    assert known("enas-micro") == 0  # a counted budget
    assert known("enas-micro", deliver="best") == 0.1
    assert known("enas-micro", known=0.5) == 0.5
    assert known("stages", deliver="best") == 0  # a race has its own
    with pytest.raises(ConfigError, match="known is 2; it must be 0 to 1"):
        known("enas-micro", known=2)
    with pytest.raises(ConfigError, match="deliver is 'worst'; it must be found or best"):
        known("enas-micro", deliver="worst")


def test_plans_of_older_versions_have_none() -> None:
    assert "known network" not in wanted_phases({"grid": False, "baseline": True, "reference": False})
    assert FinalTraining(Stages()).known == 0
