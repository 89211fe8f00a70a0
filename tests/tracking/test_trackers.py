"""MLflow, TensorBoard, Weights & Biases and Trackio take a real run that was stopped and resumed; all of it offline."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeAlias

import pytest

import archwright
from archwright import NasConv
from archwright.loop import Trial
from archwright.runs.events import Message
from archwright.store import RunStore
from archwright.tracking import TRACKERS, following
from small_images import noise_data

# Their own warnings are theirs; in a thread of ours one would be a failure.
pytestmark = pytest.mark.filterwarnings("ignore")

HERE = [name for name in TRACKERS if find_spec(name)]
TINY = {"trials": 3, "finalists": 1, "search_recipe": {"epochs": 1}, "final_recipe": {"epochs": 1}, "device": "cpu"}


class Said:
    """Watches a run, keeps what is said, and stops it after a trial."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.texts: list[str] = []
        self._stop_after = stop_after

    def __call__(self, event: Any) -> None:
        if isinstance(event, Message):
            self.texts.append(event.text)
        if isinstance(event, Trial) and event.number == self._stop_after:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, list[str]]]:
    """The folder of a run, in whose folder the trackers kept it; and what was said."""
    if not HERE:
        pytest.skip("no tracker is installed: pip install 'archwright[mlflow]'")
    folder = tmp_path_factory.mktemp("tracked")
    space = NasConv(layers=1, first_layers=1, filter_counts=(4,))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(following, "HURRY", 100.0)  # a busy machine takes its time
        patch.setenv("WANDB_MODE", "offline")
        patch.setenv("TRACKIO_DIR", str(folder / "trackio"))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        first, second = Said(1), Said()
        with pytest.raises(KeyboardInterrupt):
            archwright.search(noise_data(), space=space, run="run", track=",".join(HERE), watch=first, **TINY)
        archwright.resume("run", data=noise_data(), track=",".join(HERE), watch=second)
        yield folder / "run", [*first.texts, *second.texts]


Tracked: TypeAlias = "tuple[Path, list[str]]"


def needs(name: str) -> None:
    if name not in HERE:
        pytest.skip(f"pip install 'archwright[{name}]'")


def rewards(run: Path) -> list[float]:
    with RunStore.reading(run) as store:
        return [trial.reward for trial in store.trials()]


def test_nothing_fails(tracked: Tracked) -> None:
    _, said = tracked
    assert [text for text in said if text.startswith("warning") and "the run itself goes on" in text] == []
    assert sorted(text.partition(":")[0] for text in said if ": tracked in " in text) == sorted([*HERE, *HERE])


def test_mlflow_has_the_run_with_its_trials_nested(tracked: Tracked) -> None:
    needs("mlflow")
    import mlflow

    run, _ = tracked
    client = mlflow.MlflowClient(f"sqlite:///{run.parent}/mlflow.db")
    found = client.search_runs([client.get_experiment_by_name("archwright").experiment_id])
    [whole] = [one for one in found if "mlflow.parentRunId" not in one.data.tags]
    children = [one for one in found if one.data.tags.get("mlflow.parentRunId") == whole.info.run_id]
    assert (whole.info.run_name, whole.info.status) == ("run", "FINISHED")
    assert whole.data.params["search.space.name"] == "nas-conv"
    assert 0 <= whole.data.metrics["result/test_accuracy"] <= 1
    assert sorted(one.info.run_name for one in children) == ["trial 0", "trial 1", "trial 2"]
    assert sorted(one.data.metrics["reward"] for one in children) == pytest.approx(sorted(rewards(run)))
    with RunStore.reading(run) as store:
        asked = {name for trial in store.trials() for name, _ in trial.architecture.answers}
    assert {name for one in children for name in one.data.params} == {"architecture", *asked}
    history = client.get_metric_history(whole.info.run_id, "trial/reward")
    assert [(point.step, point.value) for point in history] == [*enumerate(rewards(run))]
    files = {file.path for file in client.list_artifacts(whole.info.run_id)}
    assert {"search.png", "report.html", "result.json", "model"} <= files
    kept = {file.path for file in client.list_artifacts(whole.info.run_id, "model")}
    assert kept == {f"model/{path.name}" for path in (run / "model").iterdir()}


def test_tensorboard_has_curves_pictures_and_trials(tracked: Tracked) -> None:
    needs("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run, _ = tracked
    found = EventAccumulator(str(run / "tensorboard")).Reload()
    points = [(point.step, point.value) for point in found.Scalars("trial/reward")]
    assert points == [(step, pytest.approx(reward)) for step, reward in enumerate(rewards(run))]
    assert "search" in found.Tags()["images"]
    assert {"plan/text_summary", "report/text_summary"} <= {*found.Tags()["tensors"]}
    assert sorted(path.name for path in (run / "tensorboard" / "trials").iterdir()) == ["00000", "00001", "00002"]


def test_wandb_has_one_run_that_was_resumed_and_one_for_each_trial(tracked: Tracked) -> None:
    needs("wandb")
    run, _ = tracked
    ids = [path.name.rpartition("-")[2] for path in (run.parent / "wandb").glob("offline-run-*")]
    assert sorted(ids.count(id) for id in {*ids}) == [1, 1, 1, 2]


def test_trackio_has_the_run_and_its_trials(tracked: Tracked) -> None:
    needs("trackio")
    run, _ = tracked
    [file] = (run.parent / "trackio").glob("archwright*.db")
    with closing(sqlite3.connect(file)) as database:
        names = {name for (name,) in database.execute("SELECT DISTINCT run_name FROM metrics")}
    [whole] = [name for name in names if " trial " not in name]
    assert names - {whole} == {f"{whole} trial {number}" for number in range(3)}
