"""What a run notes of itself for those who watch it: curves, how far it is, who is at it, why it ended."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from archwright import api
from archwright.errors import RunError
from archwright.files import holder
from archwright.loop import Progress
from archwright.runs.curves import Curve
from archwright.runs.versions import command, versions
from archwright.store import RunStore
from made_runs import SPACE


def train(store: RunStore, begin: int, end: int, *, saved_at: tuple[int, ...]) -> None:
    """A training of 1,000 steps from one to another, whose curve is saved at some."""
    fit: Any = SimpleNamespace(step=begin, steps=1000, per_epoch=100)
    curve = Curve(store, "net", fit)
    for step in range(begin + 1, end + 1):
        metrics = {"loss": 1 / step, **({"validation_loss": 2 / step} if step % 100 == 0 else {})}
        curve.see(Progress("training", step, 1000, metrics), ends_epoch=step % 100 == 0)
        if step in saved_at:
            curve.save(fit)


def test_the_curve_of_a_killed_training_is_that_of_one_that_was_not(tmp_path: Path) -> None:
    with RunStore(tmp_path / "whole", create=True) as store:
        train(store, 0, 1000, saved_at=(1000,))
        whole = store.get("curve/net")
    with RunStore(tmp_path / "killed", create=True) as store:
        train(store, 0, 437, saved_at=(200, 400))  # the state of step 200 was recorded last
        train(store, 200, 1000, saved_at=(500, 1000))
        assert store.get("curve/net") == whole
    assert len(whole["points"]) == 200
    assert [step for step, figures in whole["points"] if "validation_loss" in figures] == list(range(100, 1001, 100))


def test_who_is_at_a_run_is_seen_without_its_lock(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    assert holder(folder) is None
    with RunStore(folder, create=True):
        found = holder(folder)
        assert found is not None
        assert found["pid"] == os.getpid()
    assert holder(folder) is None
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    for pid, host, expected in (
        (gone.pid, socket.gethostname(), False),  # killed
        (os.getpid(), socket.gethostname(), False),  # another process has its number now
        (gone.pid, "elsewhere", True),
    ):
        (folder / "lock").write_text(json.dumps({"pid": pid, "host": host, "since": "today"}))
        assert (holder(folder) is not None) == expected, (pid, host)
    for damaged in ("", "{", "[]", '{"pid": "x", "host": 3}', '{"pid": -1}'):
        (folder / "lock").write_text(damaged)
        assert holder(folder) is None


class Job:
    """A job that reports some progress and ends with an error."""

    plan = SimpleNamespace(search=SimpleNamespace(trials=5, space=SPACE))

    def __init__(self, store: RunStore) -> None:
        self.store = store

    def __iter__(self) -> Iterator[Progress]:
        yield Progress("search", 3, 5, {"loss": 0.5})
        raise RunError("nothing could be trained")


def test_progress_and_the_error_that_ended_it_stay_in_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "NOTED_SECONDS", -1.0)
    with RunStore(tmp_path / "run", create=True) as store:
        with pytest.raises(RunError, match="nothing could be trained"):
            api._result(Job(store), lambda event: None)  # type: ignore[arg-type]
        assert store.get("progress") == {"phase": "search", "step": 3, "steps": 5, "metrics": {"loss": 0.5}}
        assert store.get("failure") == "RunError: nothing could be trained"


def test_versions_and_the_command_are_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    assert {"python", "torch", "system", "cores"} <= versions().keys()
    monkeypatch.setattr(sys, "argv", ["/usr/bin/archwright", "search", "--data", "my photos"])
    assert command() == "archwright search --data 'my photos'"
    monkeypatch.setattr(sys, "argv", ["/usr/bin/pytest"])
    assert command() is None
