"""Candidates, and the folder of a run, where a process ends in the middle."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import archwright
from archwright import files
from archwright.errors import RunError
from archwright.loop import Progress
from archwright.modalities import modality
from archwright.runs import outcome
from archwright.runs.candidates import Candidates
from archwright.runs.clock import Clock
from archwright.runs.folder import begin, stored_plan
from archwright.runs.job import Job
from archwright.runs.plan import Plan
from archwright.runs.planner import UserSettings, make_plan
from archwright.spaces import NasConv
from archwright.store import RunStore
from small_images import noise_data

FIELDS = {"layers": 1, "first_layers": 1}


def plan() -> Plan:
    recipe = {"epochs": 2, "batch": 16}
    user = UserSettings(space="nas-conv", space_fields=FIELDS, final_recipe=recipe, settings={"trials": 1})
    return make_plan(noise_data(), user, data_name="python", data_options={}, device="cpu", timed=False)


def trained(folder: Path, *, killed: bool = False, old: bool = False) -> dict[str, Any]:
    """Train a candidate; `killed` after its last checkpoint, before its record, and resumed."""
    with RunStore(folder, create=True) as store:
        data = modality(noise_data())
        candidates = Candidates(plan(), data, store, Clock(plan(), data, store))
        architecture = candidates.random(0)
        if killed:
            training = candidates.train("found-0", architecture, "final training", (0, 1))
            next(event for event in training if isinstance(event, Progress) and event.step == event.steps)
            next(training)  # the message comes after the checkpoint, and before the record
            assert candidates.record("found-0") is None
            training.close()
            if old:  # as version 0.1 wrote it
                state = store.restore("training")
                del state["fit"]["metrics"]
                store.save("training", state)
        list(candidates.train("found-0", architecture, "final training", (0, 1)))
        record = candidates.record("found-0")
        record.pop("seconds")
        return record


@pytest.mark.parametrize("old", [False, True])
def test_a_kill_between_the_last_checkpoint_and_the_record_loses_no_figure(tmp_path: Path, old: bool) -> None:
    whole = trained(tmp_path / "whole")
    assert whole["validation_loss"] > 0
    assert trained(tmp_path / "killed", killed=True, old=old) == whole


def test_a_run_begins_with_all_its_facts_or_none(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        begin(plan(), tmp_path / "run", 0.0, {}, ranked=[], settled=object())
    with RunStore.reading(tmp_path / "run") as store:
        assert store.get("ranked") is None
        with pytest.raises(RunError, match="was stopped before it began"):
            stored_plan(store)


def test_a_network_without_a_figure_of_validation_is_an_error_and_gets_no_record(tmp_path: Path) -> None:
    """It would be sorted by a figure that nobody measured."""
    whole = noise_data()
    data = modality(replace(whole, validation=whole.validation[:0]))
    with RunStore(tmp_path / "run", create=True) as store:
        candidates = Candidates(plan(), data, store, Clock(plan(), data, store))
        with pytest.raises(RunError, match="no validation part to judge"):
            list(candidates.train("found-0", candidates.random(0), "final training", (0, 1)))
        assert candidates.record("found-0") is None


def test_a_random_candidate_that_diverges_is_replaced_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RunStore(tmp_path / "run", create=True) as store:
        store.put("settled", {"random": 2, "epochs": 1, "seconds": None})
        job = Job(plan(), noise_data(), store)
        asked: list[str] = []

        def train(key: str, *_: Any, **__: Any) -> Iterator[Any]:
            asked.append(key)
            store.put(f"candidate/{key}", {"error": "Diverged" if key == "random-0" else None, "seconds": 0.1})
            yield from ()

        monkeypatch.setattr(job.candidates, "train", train)
        list(job._train_random())
        assert asked == ["random-0", "random-1", "random-2"]
        assert job.candidates.trained("random") == ["random-1", "random-2"]
        list(job._train_random())  # resumed: nothing is left to do
        assert len(asked) == 3


class Killed(BaseException):
    """The end of the process."""


def test_a_kill_right_after_the_record_leaves_no_state_of_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RunStore(tmp_path / "run", create=True) as store:
        put_all = store.put_all

        def dying(facts: dict[str, Any], **others: Any) -> None:
            put_all(facts, **others)
            if "candidate/found-0" in facts:
                raise Killed

        data = modality(noise_data())
        candidates = Candidates(plan(), data, store, Clock(plan(), data, store))
        monkeypatch.setattr(candidates.clock, "account", lambda phase: None)
        monkeypatch.setattr(store, "put_all", dying)
        with pytest.raises(Killed):
            list(candidates.train("found-0", candidates.random(0), "final training", (0, 1)))
        assert candidates.record("found-0")["error"] is None
        assert store.restore("training") is None
    assert [path.name.rpartition("-")[0] for path in (tmp_path / "run" / "checkpoints").iterdir()] == [
        "weights-found-0"
    ]


def test_a_kill_while_the_report_is_written_leaves_it_to_resume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dying(path: Path, data: bytes) -> None:
        if path.name == "report.md":
            path.with_name(f"report.md.{'0' * 16}.tmp").write_bytes(data)
            raise Killed
        files.write(path, data)

    folder, settings = tmp_path / "run", {"trials": 1, "shortlist": 1, "baseline": False}
    settings |= {"final_recipe": {"epochs": 1}, "search_recipe": {"epochs": 1}, "data_options": {"limit": 60}}
    monkeypatch.setattr(outcome, "write", dying)
    with pytest.raises(Killed):
        archwright.search("digits", space=NasConv(layers=1), run=folder, device="cpu", threads=1, **settings)
    monkeypatch.undo()
    with pytest.raises(RunError, match="has no result yet"):
        archwright.load(folder)
    run = archwright.resume(folder)
    assert json.loads((folder / "result.json").read_text()) == run.result
    assert sorted(folder.glob("report.md*")) == [folder / "report.md"]
