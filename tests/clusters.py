"""Searches on processes and on Ray, as the tests of failures run them: in a test, or as a program that is killed.

python clusters.py FOLDER local|ray|replica
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from archwright.controllers.reinforce import Reinforce
from archwright.engines import LocalProcesses
from archwright.evaluators.function import Function
from archwright.loop import Engine, Progress, Proposal, Result, Trial, Trials, run
from archwright.space import Architecture
from archwright.store import RunStore
from archwright.testing.small_spaces import Skips

CHILDREN = 2
STORE = 80 * 2**20  # bytes, the least that Ray takes
SECONDS = 0.1  # of a child


class Scored(Function):
    """Says who evaluated what, in files of `folder` named by stream, process and parent process."""

    def __init__(self, folder: Path) -> None:
        super().__init__(score, failure_reward=-1.0)
        self.folder = folder

    def evaluate(self, proposal: Proposal) -> Result:
        (self.folder / f"{proposal.stream}-{os.getpid()}-{os.getppid()}").touch()
        time.sleep(SECONDS)
        return super().evaluate(proposal)

    def evaluated(self) -> list[tuple[int, int, int]]:
        return [tuple(map(int, path.name.split("-"))) for path in self.folder.iterdir()]  # type: ignore[misc]


def score(architecture: Architecture) -> float:
    return len(architecture.id.translate(str.maketrans("", "", "01234567"))) / 10


def controller(**changes: Any) -> Reinforce:
    return Reinforce.nas(Skips(), **{"batch": CHILDREN, "learning_rate": 0.01, "units": 8, "clip": 1.0, **changes})


def engine(kind: str) -> Engine:
    if kind == "local":
        return LocalProcesses(2)
    from archwright.engines.ray import RayTasks

    return RayTasks(2, object_store=STORE)


@contextlib.contextmanager
def search(
    kind: str, evaluator: Any, store: RunStore, trials: int, shards: int = 2
) -> Iterator[Iterator[Trial | Progress]]:
    """A search of so many trials in all, going on with what the store has."""
    if kind.startswith("replica"):
        from archwright.distributed.search import ReplicatedSearch
        from archwright.engines.settings import Cluster

        found = ReplicatedSearch(
            controller(),
            evaluator,
            Cluster("ray", replicas=2 if kind == "replicas" else 1, shards=shards),
            budget=Trials(trials),
            store=store,
            checkpoint_seconds=0.3,
            object_store=STORE,
        )
        with contextlib.closing(found):
            yield iter(found)
    else:
        workers = engine(kind)
        with contextlib.closing(workers):
            yield run(controller(), evaluator, budget=Trials(trials), store=store, engine=workers)


def gone(pid: int) -> bool:
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    # "l": other threads of it are still ending, and it cannot be waited for.
    return not state.strip() or (state.startswith("Z") and "l" not in state)


def eventually(condition: Callable[[], bool]) -> bool:
    """Waits for what must happen soon, on a machine of any speed."""
    until = time.monotonic() + 60
    while not (holds := condition()) and time.monotonic() < until:
        time.sleep(0.05)
    return holds


def process(actor: Any) -> int:
    """Of an actor of Ray."""
    import ray

    return int(ray.get(actor.__ray_call__.remote(lambda self: os.getpid())))


def session(leader: int) -> dict[int, str]:
    """The processes that belong to the session of a process that was started as its leader, itself not; and what they
    are called."""
    words = ["ps", "-e", "-o", "sid=,pid=,stat=,cmd="]
    lines = subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()
    rows = [line.split(maxsplit=3) for line in lines]
    return {int(pid): name for sid, pid, stat, name in rows if int(sid) == leader and sid != pid and stat[0] != "Z"}


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell that runs tests in the background ignores it
    folder, how = Path(sys.argv[1]), sys.argv[2]
    (folder / "evaluated").mkdir(parents=True, exist_ok=True)
    with RunStore(folder, create=True) as run_store:
        try:
            with search(how, Scored(folder / "evaluated"), run_store, trials=10_000) as events:
                for _ in events:
                    print("told", flush=True)
        except KeyboardInterrupt:
            print("stopped", flush=True)
