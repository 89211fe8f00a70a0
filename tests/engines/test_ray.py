"""Children as Ray tasks: they fail as they do in local processes, and what Ray loses is tried again."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from pathlib import Path

import pytest

import archwright.engines.cluster
from archwright.engines.cluster import check_address, connect, ray_module, room
from archwright.engines.ray import RETRIES, RayTasks
from archwright.errors import ChildFailure, ConfigError, MissingExtra, TimedOut, WorkerDied
from archwright.evaluators.function import Function
from archwright.loop import Proposal
from archwright.space import Architecture
from children import EVALUATOR, Unloadable, act, proposal
from clusters import Scored, eventually, gone


@pytest.fixture(scope="module")
def engine(cluster: None):
    with RayTasks(2, time_limit=2.0, memory_limit=int(450e6)) as engine:
        yield engine


@pytest.mark.parametrize(
    ("what", "kind", "said"),
    [
        ("kill", WorkerDied, "was killed by SIGKILL"),
        ("os._exit", WorkerDied, "ended with exit status 3"),
        ("hang", TimedOut, "no result within 2 s"),
        ("allocate", ChildFailure, None),
    ],
)
def test_a_child_fails_as_it_does_in_a_local_process(engine, what, kind, said):
    futures = [engine.submit(EVALUATOR, proposal(name)) for name in ("a", what, "bb")]
    assert [futures[0].result().reward, futures[2].result().reward] == [1, 2]
    assert engine.workers == 2
    with pytest.raises(kind, match=said) as caught:
        futures[1].result()
    assert type(caught.value).__name__ == ("MemoryError" if what == "allocate" else kind.__name__)


class Unpicklable:
    def __reduce__(self):
        raise TypeError("it holds an open file")

    def __call__(self, architecture):
        return 1.0


def suicidal(architecture: Architecture) -> float:
    """Ends the worker of Ray that it is evaluated for, as often as asked."""
    folder = Path(str(architecture["folder"]))
    (folder / str(os.getpid())).touch()
    if len(list(folder.iterdir())) <= int(str(architecture["deaths"])):
        os.kill(os.getppid(), signal.SIGKILL)
        signal.pause()
    return 1.0


@pytest.mark.parametrize("deaths", [1, RETRIES + 1])
def test_a_child_whose_ray_worker_is_killed_is_tried_again_and_answers_once(engine, deaths, tmp_path):
    architecture = Architecture("test", (), (("folder", str(tmp_path)), ("deaths", deaths)))
    future = engine.submit(Function(suicidal), Proposal(0, architecture))
    if deaths > RETRIES:
        with pytest.raises(WorkerDied, match="Ray lost its worker, again"):
            future.result()
    else:
        assert future.result().reward == 1.0
    pids = [int(path.name) for path in sorted(tmp_path.iterdir(), key=lambda path: path.stat().st_mtime)]
    assert len(pids) == min(deaths, RETRIES) + 1
    assert eventually(lambda: all(gone(pid) for pid in pids[: len(pids) - (deaths <= RETRIES)]))


def test_the_evaluator_goes_to_the_store_once_and_to_each_process_once(engine):
    first = engine.submit(EVALUATOR, proposal("a"))
    assert first.result().reward == 1
    sent = engine._sent
    pids = [engine.submit(EVALUATOR, proposal("b")).result().metrics["pid"] for _ in range(6)]
    assert engine._sent is sent
    assert len(set(pids)) <= 2


def test_close_ends_children_and_leaves_a_cluster_that_it_did_not_start(cluster, tmp_path):
    scored = Scored(tmp_path)
    scored.f = act
    with RayTasks(1) as engine:
        future = engine.submit(scored, proposal("hang"))
        assert eventually(lambda: bool(scored.evaluated()))
    with pytest.raises(WorkerDied, match="the engine was closed"):
        future.result()
    assert eventually(lambda: gone(scored.evaluated()[0][1]))
    assert ray_module().is_initialized()
    with pytest.raises(ConfigError, match="closed"):
        engine.submit(scored, proposal("a"))


def test_what_the_cluster_cannot_give_is_said_before_anything_starts(engine):
    with pytest.raises(ConfigError, match="a child takes 64 CPUs, and no node of the Ray cluster has that"):
        RayTasks(2, cpus=64)
    with pytest.raises(ConfigError, match=r"a child takes 1 CPUs and 0\.5 GPUs, and no node"):
        RayTasks(2, gpus=0.5)
    with pytest.raises(ConfigError, match="at least one worker is needed"):
        RayTasks(0)
    with pytest.raises(ConfigError, match="cannot be used in another process"):
        engine.submit(Unloadable(act), proposal("a")).result()
    with pytest.raises(
        ConfigError, match=r"Function cannot be sent to another process \(TypeError: it holds an open file"
    ):
        engine.submit(Function(Unpicklable()), proposal("a"))
    assert room("joined", 2.0, 0.0) == 2
    assert not connect(None, cpus=1)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("127.0.0.1:{port}", r"nothing answers at .*:\d+ \(Connection refused\); `ray start --head`"),
        ("127.0.0.1", "Invalid address format"),
        ("127.0.0.1:head", "Unable to parse port|invalid literal"),
        ("127.0.0.1:99999", "nothing answers at"),
        ("ray://127.0.0.1:10001", "start archwright on a node of the cluster"),
    ],
)
def test_an_address_without_a_cluster_is_said_at_once(address, said):
    """Ray itself tries for three minutes."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'archwright[ray]'")
    with socket.socket() as taken:  # bound and not listening: nothing answers there
        taken.bind(("", 0))
        with pytest.raises(ConfigError, match=said) as caught:
            check_address(address.format(port=taken.getsockname()[1]))
    assert str(caught.value).startswith(f"--engine ray:{address.split('{')[0].removeprefix('ray:')}")


def test_without_the_extra_the_error_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtra, match=r"pip install 'archwright\[ray\]'"):
        RayTasks(2)


@pytest.mark.parametrize(
    ("says", "is_ray"),
    [
        (b"SSH-2.0-OpenSSH_9.6\r\n", False),
        (b"", False),
        (b"HTTP/1.1 400 Bad\r\n\r\n", False),
        (b"\0\0\6\4\0\0\0\0\0", True),
    ],
)
def test_what_answers_and_is_not_ray_is_said_at_once(says, is_ray, monkeypatch):
    """What a gRPC server says first are its settings; a port may also say nothing."""
    monkeypatch.setattr(archwright.engines.cluster, "ANSWER_SECONDS", 0.3 if not says else 10.0)
    with socket.create_server(("", 0)) as server:  # Ray makes another address of 127.0.0.1

        def answer():
            peer, _ = server.accept()
            with peer:
                peer.sendall(says)
                peer.recv(1000)

        thread = threading.Thread(target=answer)
        thread.start()
        address = f"127.0.0.1:{server.getsockname()[1]}"
        if is_ray:
            check_address(address)
        else:
            with pytest.raises(ConfigError, match=r"what answers at .* is not Ray"):
                check_address(address)
        thread.join()
