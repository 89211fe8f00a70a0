"""Run folders and plans of version 0.1 are read, resumed and used."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

import archwright
from archwright.methods.from_scratch import FromScratchMethod
from archwright.methods.shared_weights import SharedWeightsMethod
from archwright.runs.folder import stored_plan
from archwright.runs.plan import FORMAT, Plan
from archwright.store import RunStore
from command import done

OLD = Path(__file__).parent / "old_runs"


@pytest.fixture
def unpacked(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    with tarfile.open(OLD / f"{request.param}_0_1.tgz") as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path / "run"


@pytest.mark.parametrize("unpacked", ["finished"], indirect=True)
def test_a_finished_run_is_read_and_predicts(unpacked: Path) -> None:
    run = archwright.load(unpacked)
    assert run.result["architecture"] == run.architecture.id == "69cddcdbe2d7"
    assert archwright.TrainedModel.load(unpacked / "model").architecture == run.architecture
    code, out, err = done("list", str(unpacked.parent), cwd=unpacked.parent)
    assert (code, "finished" in out, "digits" in out) == (0, True, True), err


@pytest.mark.parametrize("unpacked", ["interrupted"], indirect=True)
def test_an_interrupted_run_is_resumed_to_the_end_of_one_that_was_not(unpacked: Path) -> None:
    """What version 0.1 itself gave without the interruption is in the finished run."""
    with RunStore.reading(unpacked) as store:
        plan, trials = stored_plan(store), list(store.trials())
    assert plan.search.method == SharedWeightsMethod(
        trials_per_epoch=2, steps_per_epoch=2, warmup=1, samples=2, evaluation_batch=256
    )
    assert (len(trials), plan.search.trials, plan.final.baseline) == (10, 16, False)
    code, out, err = done("resume", str(unpacked), "--json", cwd=unpacked.parent)
    assert code == 0, err
    with tarfile.open(OLD / "finished_0_1.tgz") as archive:
        member = archive.extractfile("run/result.json")
        assert member is not None
        first = json.load(member)
    result = json.loads(out.splitlines()[-1])
    assert [result[name] for name in ("architecture", "trials")] == [first[name] for name in ("architecture", "trials")]


def test_a_plan_that_trains_every_child_is_read() -> None:
    plan = Plan.from_json(json.loads((OLD / "from_scratch_plan_0_1.json").read_text()))
    assert plan.search.method == FromScratchMethod(last_epochs=1)
    assert (plan.search.trials, plan.search.objective, plan.data.options) == (3, "accuracy-cubed", {"limit": 100})
    again = plan.to_json()
    assert again["format"] == FORMAT == 2
    assert Plan.from_json(json.loads(json.dumps(again))) == plan
