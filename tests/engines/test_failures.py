"""Searches whose processes are really killed: every recorded trial is kept, none counts twice, and they end."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import clusters
from archwright.evaluators.function import Function
from archwright.loop import Trial, Trials, run
from archwright.states import pack
from archwright.store import RunStore
from clusters import Scored, eventually, gone


@pytest.fixture
def scored(tmp_path: Path) -> Scored:
    (tmp_path / "evaluated").mkdir()
    return Scored(tmp_path / "evaluated")


def record(folder: Path) -> list[Trial]:
    with RunStore.reading(folder) as store:
        return list(store.trials())


@pytest.mark.parametrize("kind", ["local", "ray", "replica"])
def test_a_driver_that_is_killed_leaves_no_process_and_loses_no_trial(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if kind != "local":
        pytest.importorskip("ray", reason="Ray is not installed: pip install 'archwright[ray]'")
    folder = tmp_path / "run"
    words = [sys.executable, clusters.__file__, str(folder), kind]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, start_new_session=True) as driver:
        assert driver.stdout is not None
        for _ in range(5):
            assert driver.stdout.readline().startswith("told")
        driver.send_signal(signal.SIGINT if kind == "ray" else signal.SIGKILL)
        assert kind != "ray" or "stopped\n" in driver.communicate(timeout=120)[0]
        driver.wait(timeout=120)
    evaluator = Scored(folder / "evaluated")
    assert eventually(lambda: all(gone(pid) for _, pid, _ in evaluator.evaluated()))
    if kind == "replica":  # of a Ray whose driver was killed the agents stay for a minute more
        for pid in clusters.session(driver.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    assert eventually(lambda: not clusters.session(driver.pid))
    before = record(folder)
    assert len(before) >= 5
    if kind != "local":
        request.getfixturevalue("cluster")
    total = len(before) + 5 + len(before) % 2
    with RunStore(folder) as store, clusters.search(kind, evaluator, store, total) as events:
        told = list(events)
    after = record(folder)
    assert after[: len(before)] == before
    assert after[len(before) :] == told
    assert len({trial.number for trial in after}) == len(after) == total
    if kind == "replica":  # one replica is the controller itself, also across the kill
        assert counted(folder) == learned(folder)
        alone = clusters.controller()
        list(run(alone, Function(clusters.score), budget=Trials(total)))
        with RunStore.reading(folder) as store:
            state = store.load().controller
        parts = ("policy", "adam", "baseline", "updates")
        assert pack({part: state[part] for part in parts}) == pack({part: alone.state_dict()[part] for part in parts})


def learned(folder: Path) -> list[int]:
    """The minibatches of which every trial is recorded."""
    numbers = [trial.number // clusters.CHILDREN for trial in record(folder)]
    return sorted({number for number in numbers if numbers.count(number) == clusters.CHILDREN})


def counted(folder: Path) -> list[int]:
    """The minibatches that both shards have taken in, once each."""
    with RunStore.reading(folder) as store:
        state = store.load().controller
    assert state is not None
    pushes = [sorted(shard["pushes"].tolist()) for shard in state["shards"]]
    assert pushes[0] == pushes[1]
    assert all(shard["version"] == len(shard["pushes"]) == len(shard["staleness"]) for shard in state["shards"])
    return pushes[0]


@pytest.mark.parametrize("kind", ["local", "ray"])
def test_workers_that_are_killed_cost_at_most_what_they_evaluate(
    kind: str, tmp_path: Path, scored: Scored, request: pytest.FixtureRequest
) -> None:
    """A child's process that is killed is a failed trial; a worker of Ray is replaced, and its child tried again."""
    if kind == "ray":
        request.getfixturevalue("cluster")
    killed = set()
    with RunStore(tmp_path / "run", create=True) as store, clusters.search(kind, scored, store, 20) as events:
        for count, _ in enumerate(events):
            if count in (4, 10):
                newest = max(scored.evaluated())  # under way, or at least it was a moment ago
                pid = newest[1] if kind == "local" or count == 4 else newest[2]
                if pid != os.getpid():
                    killed.add(pid)
                    os.kill(pid, signal.SIGKILL)
        trials = list(store.trials())
        assert store.load().pending == []
    assert len(killed) == 2
    assert sorted(trial.number for trial in trials) == list(range(20))
    failed = [trial for trial in trials if trial.result.error is not None]
    assert len(failed) <= (2 if kind == "local" else 1)
    assert all("WorkerDied: the worker process was killed by SIGKILL" in str(trial.result.error) for trial in failed)


def test_replicas_shards_and_workers_that_are_killed_lose_nothing(
    tmp_path: Path, scored: Scored, cluster: None
) -> None:
    import ray

    from archwright.distributed.search import ReplicatedSearch

    def process(actor: object) -> int:
        return int(ray.get(actor.__ray_call__.remote(lambda self: os.getpid())))  # type: ignore[attr-defined]

    folder = tmp_path / "run"
    with RunStore(folder, create=True) as store, clusters.search("replicas", scored, store, 41) as events:
        found: ReplicatedSearch = events.gi_frame.f_locals["self"]  # type: ignore[attr-defined]
        victims = {6: process(found._shards[1]), 14: process(found._replicas[0]), 22: process(found._shards[0])}
        for count, _ in enumerate(events):
            if count in victims:
                os.kill(victims[count], signal.SIGKILL)
            if count == 30:
                os.kill(max(scored.evaluated())[2], signal.SIGKILL)
        assert found.metrics()["staleness"] >= 0
    trials = record(folder)
    assert len({trial.number for trial in trials}) == len(trials) == 41
    assert all(trial.result.error is None for trial in trials)
    assert counted(folder) == learned(folder)
