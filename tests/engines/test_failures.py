"""Searches whose processes are really killed: every recorded trial is kept, none counts twice, and they end."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import clusters
from archwright.controllers.parameter_server import Push, Shard
from archwright.controllers.sharding import Piece
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


@pytest.mark.parametrize(
    ("kind", "how"),
    [
        ("local", signal.SIGKILL),
        ("ray", signal.SIGINT),
        ("replica", signal.SIGKILL),  # on Ray, too
    ],
)
def test_a_driver_that_is_killed_leaves_no_process_and_loses_no_trial(
    kind: str, how: signal.Signals, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if kind != "local":
        pytest.importorskip("ray", reason="Ray is not installed: pip install 'archwright[ray]'")
    folder = tmp_path / "run"
    words = [sys.executable, clusters.__file__, str(folder), kind]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, start_new_session=True) as driver:
        assert driver.stdout is not None
        for _ in range(5):
            assert driver.stdout.readline().startswith("told")
        driver.send_signal(how)
        assert how == signal.SIGKILL or "stopped\n" in driver.communicate(timeout=120)[0]
        driver.wait(timeout=120)
    evaluator = Scored(folder / "evaluated")
    assert eventually(lambda: all(gone(pid) for _, pid, _ in evaluator.evaluated()))
    if kind != "local" and how == signal.SIGKILL:  # the agents of its Ray end themselves a minute later
        assert eventually(lambda: not [name for name in clusters.session(driver.pid).values() if "Agent" not in name])
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
        assert same_as_alone(folder, total)


def test_one_replica_on_ray_is_the_controller_to_the_bit(tmp_path: Path, cluster: None) -> None:
    """With one shard; with two the same is shown above, of a search that is killed on its way."""
    evaluator = Function(clusters.score)
    with RunStore(tmp_path, create=True) as store, clusters.search("replica", evaluator, store, 8, 1) as events:
        told = [event for event in events if isinstance(event, Trial)]
    alone = [event for event in run(clusters.controller(), evaluator, budget=Trials(8)) if isinstance(event, Trial)]
    ours, theirs = ({t.number: (t.proposal, t.result) for t in trials} for trials in (alone, told))
    assert ours == theirs
    assert same_as_alone(tmp_path, 8)
    assert counted(tmp_path, shards=1) == [0, 1, 2, 3]


def test_a_shard_whose_process_is_killed_comes_back_from_its_last_save_and_learns_the_rest_again(cluster: None) -> None:
    import ray

    from archwright.distributed.actors import RemoteServers, ShardActor

    pieces, adam = [Piece("p", 0, 20)], {"lr": 0.1}
    gradients = np.random.default_rng(0).normal(size=(5, 20)).astype(np.float32)
    pushes = [Push(number, 0, gradient, frozenset(), (number / 10,)) for number, gradient in enumerate(gradients)]
    settings = {"adam": adam, "accumulate": 2}
    shard = ray.remote(num_cpus=0, max_restarts=-1)(ShardActor).remote(pieces, settings)
    assert ray.get(shard.state.remote()) is None
    ray.get(shard.restore.remote(Shard(pieces, **settings).state_dict()))
    servers = RemoteServers([shard])
    for push in pushes[:3]:
        assert servers.push([push]) != [None]
    saved = ray.get(shard.state.remote())
    for push in pushes[3:]:
        servers.push([push])
    before = ray.get(shard.state.remote())
    os.kill(clusters.process(shard), signal.SIGKILL)

    def back() -> bool:
        with contextlib.suppress(ray.exceptions.RayActorError):
            return ray.get(shard.restored.remote()) is False
        return False

    assert eventually(back)
    ray.get(shard.restore.remote(saved))
    assert pack({"state": ray.get(shard.state.remote())}) == pack({"state": saved})
    answers = [servers.push([push])[0] for push in pushes]
    assert [answer is None for answer in answers] == [True, True, True, False, False]
    after = ray.get(shard.state.remote())
    assert pack({"state": {**after, "staleness": 0}}) == pack({"state": {**before, "staleness": 0}})
    ray.kill(shard)


def same_as_alone(folder: Path, total: int) -> bool:
    """Whether the controller that is stored is the one that is trained in this process, to the bit."""
    alone = clusters.controller()
    list(run(alone, Function(clusters.score), budget=Trials(total)))
    with RunStore.reading(folder) as store:
        state = store.load().controller
    parts = ("policy", "adam", "baseline", "updates")
    assert state is not None
    return pack({part: state[part] for part in parts}) == pack({part: alone.state_dict()[part] for part in parts})


def learned(folder: Path) -> list[int]:
    """The minibatches of which every trial is recorded."""
    numbers = [trial.number // clusters.CHILDREN for trial in record(folder)]
    return sorted({number for number in numbers if numbers.count(number) == clusters.CHILDREN})


def counted(folder: Path, shards: int = 2) -> list[int]:
    """The minibatches that all shards have taken in, once each."""
    with RunStore.reading(folder) as store:
        state = store.load().controller
    assert state is not None
    pushes = [sorted(shard["pushes"].tolist()) for shard in state["shards"]]
    assert len(pushes) == shards
    assert all(each == pushes[0] for each in pushes)
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
    from archwright.distributed.search import ReplicatedSearch

    folder = tmp_path / "run"
    with RunStore(folder, create=True) as store, clusters.search("replicas", scored, store, 41) as events:
        found: ReplicatedSearch = events.gi_frame.f_locals["self"]  # type: ignore[attr-defined]
        first, second = map(clusters.process, found._shards)
        victims = {14: clusters.process(found._replicas[0]), 22: first}
        for count, _ in enumerate(events):
            if second and count >= 6 and found._saved[1]["version"]:  # so that there is something to come back to
                os.kill(second, signal.SIGKILL)
                second = 0
            if count in victims:
                os.kill(victims[count], signal.SIGKILL)
            if count == 30:
                os.kill(max(scored.evaluated())[2], signal.SIGKILL)
        assert not second
    trials = record(folder)
    assert all(trial.figures["staleness"] >= 0 for trial in trials)
    assert len({trial.number for trial in trials}) == len(trials) == 41
    assert all(trial.result.error is None for trial in trials)
    assert counted(folder) == learned(folder)
