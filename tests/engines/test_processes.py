from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import CancelledError

import pytest

from archwright.engines import LocalProcesses
from archwright.errors import ConfigError, TimedOut, WorkerDied
from archwright.evaluators.function import Function
from archwright.spaces import SPACES
from archwright.userfiles import module_of
from children import EVALUATOR, Counting, Threaded, Unloadable, act, proposal
from clusters import eventually, gone


@pytest.fixture(scope="module")
def engine():
    with LocalProcesses(2) as engine:
        yield engine


@pytest.fixture(scope="module")
def hurried():
    with LocalProcesses(1, time_limit=0.5) as engine:
        yield engine


def ask(engine, what, **answers):
    return engine.submit(EVALUATOR, proposal(what, **answers))


def test_results_come_from_as_many_other_processes_as_there_are_workers(engine):
    futures = [ask(engine, "x" * n) for n in range(20)]
    assert [future.result().reward for future in futures] == list(range(20))
    pids = {future.result().metrics["pid"] for future in futures}
    assert os.getpid() not in pids
    assert 1 <= len(pids) <= 2


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("os._exit", "ended with exit status 3"),
        ("sys.exit", "ended with exit status 4"),
        ("kill", "was killed by SIGKILL"),
        ("segfault", "was killed by SIGSEGV"),
        ("exit with a child", "ended with exit status 5"),
    ],
)
def test_a_dead_worker_costs_only_the_child_it_was_evaluating(engine, how, said):
    futures = [ask(engine, what) for what in ("a", how, "bb", "ccc")]
    with pytest.raises(WorkerDied, match=said):
        futures.pop(1).result()
    assert [future.result().reward for future in futures] == [1, 2, 3]


def test_a_worker_killed_while_idle_costs_nothing(hurried):
    pid = int(ask(hurried, "a").result().metrics["pid"])
    os.kill(pid, signal.SIGKILL)
    assert eventually(lambda: gone(pid))
    assert ask(hurried, "bb").result().reward == 2


def test_a_child_that_runs_out_of_time_is_killed_with_what_it_started(hurried, tmp_path):
    before = ask(hurried, "a").result().metrics["pid"]
    file = tmp_path / "pid"
    with pytest.raises(TimedOut, match=r"within 0\.5 s"):
        ask(hurried, "hang with a child", file=str(file)).result()
    assert gone(int(before))
    assert eventually(lambda: gone(int(file.read_text())))
    assert ask(hurried, "bb").result().reward == 2


def test_the_cause_of_an_exception_is_the_traceback_in_the_worker(engine):
    assert "in act" in str(ask(engine, "value error").exception().__cause__)


def test_the_evaluator_is_sent_once_to_each_worker():
    with LocalProcesses(1) as engine:
        one, other = Counting(act), Counting(act)
        loads = [engine.submit(e, proposal("a")).result().metrics["loads"] for e in (one, one, one, other, other)]
    assert loads == [1, 1, 1, 2, 2]


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA is enforced by Linux only")
def test_the_memory_limit_fails_the_allocation_and_spares_the_worker():
    with LocalProcesses(1, memory_limit=300_000_000) as engine:
        pid = ask(engine, "a").result().metrics["pid"]
        error = ask(engine, "allocate").exception()
        assert type(error).__name__ == "MemoryError"
        assert ask(engine, "a").result().metrics["pid"] == pid


def test_threads_are_pinned_whenever_torch_comes(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    with LocalProcesses(1, threads=1) as engine:
        assert engine.submit(EVALUATOR, proposal("threads")).result().reward == 1
        assert engine.submit(Threaded(act), proposal("threads")).result().reward == 1


def test_an_evaluator_that_cannot_travel_is_a_config_error(engine):
    with pytest.raises(ConfigError, match="Function cannot be sent to another process"):
        engine.submit(Function(lambda architecture: 1.0), proposal("a"))
    with pytest.raises(ConfigError, match=r"cannot be used in another process \(RuntimeError: made somewhere else"):
        engine.submit(Unloadable(act), proposal("a")).result()
    assert ask(engine, "bb").result().reward == 2


@pytest.mark.parametrize("wrong", [{"workers": 0}, {"threads": 0}, {"time_limit": 0.0}, {"memory_limit": -1}])
def test_impossible_settings_are_config_errors(wrong):
    (name,) = wrong
    with pytest.raises(ConfigError, match=name):
        LocalProcesses(**wrong)


def test_close_leaves_no_process_and_no_future_open():
    engine = LocalProcesses(1)
    pid = int(ask(engine, "a").result().metrics["pid"])
    under_way, queued = ask(engine, "hang"), ask(engine, "a")
    assert eventually(under_way.running)
    engine.close()
    assert gone(pid)
    with pytest.raises(WorkerDied, match="closed"):
        under_way.result()
    with pytest.raises(CancelledError):
        queued.result()
    with pytest.raises(ConfigError, match="closed"):
        ask(engine, "a")
    engine.close()


SCRIPT = """
import os, signal, sys, time
from concurrent.futures import wait
from archwright.engines import LocalProcesses
from archwright.evaluators.function import Function
from archwright.spaces import SPACES
from archwright.userfiles import module_of
from archwright.loop import Proposal, Result
from archwright.space import Architecture

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell that runs tests in the background ignores it

def score(architecture):
    if architecture["do"] == "hang":
        print(os.getpid(), flush=True)
        time.sleep(60)
    return 1.0

def propose(do):
    return engine.submit(evaluator, Proposal(0, Architecture("test", (), (("do", do),))))

if __name__ == "__main__":
    engine, evaluator = LocalProcesses(2), Function(score)
    {body}
"""


def start(tmp_path, body, script=SCRIPT, **options):
    path = tmp_path / "script.py"
    path.write_text(script.replace("{body}", body))
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, str(path)], **pipes, **options)


def test_a_killed_parent_leaves_no_worker_though_it_is_busy(tmp_path):
    with start(tmp_path, 'propose("hang"); propose("hang").result()') as parent:
        pids = [int(parent.stdout.readline()) for _ in range(2)]
        assert not any(gone(pid) for pid in pids)
        parent.kill()
        assert eventually(lambda: all(gone(pid) for pid in pids))


def test_a_parent_that_fails_ends_with_its_own_traceback_and_no_worker(tmp_path):
    with start(tmp_path, 'propose("a").result(); propose("hang"); time.sleep(0.5); raise KeyError("mine")') as parent:
        out, err = parent.communicate(timeout=60)
    assert parent.returncode == 1
    assert err.count("Traceback") == 1
    assert all(gone(int(pid)) for pid in out.split())


@pytest.mark.parametrize("when", ["starting", "evaluating"])
def test_ctrl_c_is_the_parents_alone(tmp_path, when):
    body = """
    try:
        future = propose("hang")
        print("submitted", flush=True)
        while not wait([future], timeout=0.2).done:  # Python may miss a Ctrl-C at the moment when it begins to wait
            pass
    except KeyboardInterrupt:
        time.sleep(0.5)  # a worker that was hit would have died by now
        print("stopped with the future", "done" if future.done() else "under way")
        engine.close()
    """
    with start(tmp_path, body, start_new_session=True) as parent:
        for _ in range(1 if when == "starting" else 2):
            parent.stdout.readline()
        os.killpg(parent.pid, signal.SIGINT)
        out, err = parent.communicate(timeout=60)
    assert (out.splitlines()[-1], err) == ("stopped with the future under way", "")
    assert parent.returncode == 0


def test_a_script_without_guard_is_told_what_it_lacks(tmp_path):
    script = SCRIPT.replace('if __name__ == "__main__":', "if True:")
    with start(tmp_path, 'propose("a").result()', script) as parent:
        _, err = parent.communicate(timeout=60)
    assert parent.returncode == 1
    assert "ConfigError: a worker process ended with exit status 1 while it started; a script must guard" in err


def test_the_code_of_a_users_file_goes_to_workers_by_value(engine, tmp_path):
    """Also what the file does beside defining things, and as it was when it was loaded."""
    file = tmp_path / "mine.py"
    file.write_text(
        "from archwright.spaces import SPACES\nSPACES['mine'] = None\n"
        "def score(architecture):\n    return float('mine' in SPACES)\n"
    )
    module = module_of(file)
    SPACES.pop("mine")
    file.write_text("raise SystemExit")
    assert module_of(file) is module
    assert engine.submit(Function(module.score), proposal("a")).result().reward == 1
    (tmp_path / "broken.py").write_text("import nothing_of_this_name")
    for path in (tmp_path / "broken.py", tmp_path / "none.py"):
        with pytest.raises(ConfigError, match="cannot be loaded"):
            module_of(path)
