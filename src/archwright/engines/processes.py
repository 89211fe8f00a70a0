"""Evaluations in other processes of this machine, each child under its own time limit.

A worker that crashes, is killed or runs out of time costs the child it was evaluating and nothing else: its slot gets a
new process (see `archwright.engines.worker_slot`).

As always with `spawn`, a script must guard what it runs with `if __name__ == "__main__":`, and the evaluator and all it
holds must be picklable: the worker finds its class and functions by name, and has those of the user's files
(`archwright.userfiles`). POSIX only.
"""

from __future__ import annotations

import atexit
import os
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager, suppress
from typing import TypeAlias

from archwright.engines.worker_slot import Limits, WorkerSlot
from archwright.errors import ConfigError
from archwright.loop import Evaluator, Proposal, Result
from archwright.userfiles import pickled

_Job: TypeAlias = "tuple[Future[Result], Callable[[WorkerSlot], Result]]"


class LocalProcesses(AbstractContextManager["LocalProcesses"]):
    """Evaluates up to `workers` proposals at once, each in its own process. A `concurrent.futures`-like engine.

    The evaluator is sent to each worker once, not with every child: workers do not see later changes (evaluators with
    such state are `stateful`, and `run` refuses them). An exception of the child comes back as a `ChildFailure` with
    the type's name and the message, whether or not the exception itself can be pickled.
    Close it, or use it as a context manager; the end of the program, however it ends, ends the workers too.

    Args:
        workers: how many processes.
        time_limit: seconds for one child, without the start of a worker; then it is killed (`TimedOut`).
        memory_limit: bytes of data (heap and anonymous mappings, RLIMIT_DATA) that a worker may have, including the
            data of libraries: torch needs about 0.25e9. An allocation beyond it fails inside the child, as an exception
            that the worker survives. Unlike RLIMIT_AS this does not count reserved addresses, of which CUDA takes many,
            and unlike a watch over the resident size it cannot be overrun. Enforced by Linux only.
        threads: for each worker's torch and BLAS.
    """

    def __init__(
        self,
        workers: int = 2,
        time_limit: float | None = None,
        memory_limit: int | None = None,
        threads: int = 1,
    ) -> None:
        if workers < 1:
            raise ConfigError(f"workers is {workers!r}: at least 1 is needed")
        self.workers = workers
        limits = Limits(time_limit, memory_limit, threads)
        self._sent: tuple[Evaluator, object, bytes] | None = None
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._slots = [WorkerSlot(limits) for _ in range(workers)]
        self._threads = [threading.Thread(target=_serve, args=(self._jobs, s), daemon=True) for s in self._slots]
        for thread in self._threads:
            thread.start()
        self._owner = os.getpid()
        atexit.register(self.close)

    def submit(self, evaluator: Evaluator, proposal: Proposal) -> Future[Result]:
        """Begin an evaluation; it waits while all workers are busy. ConfigError if the evaluator cannot be pickled."""
        if not self._slots:
            raise ConfigError("the engine has been closed; make a new one")
        if self._sent is None or self._sent[0] is not evaluator:
            self._sent = (evaluator, object(), pickled(evaluator))
        _, key, data = self._sent
        future: Future[Result] = Future()
        self._jobs.put((future, lambda slot: slot.evaluate(key, lambda: data, proposal)))
        return future

    def close(self) -> None:
        """Kill all workers. Queued evaluations are cancelled, those under way fail with `WorkerDied`."""
        if os.getpid() != self._owner:  # a fork of the owner ends; the workers are not its own
            return
        atexit.unregister(self.close)
        slots, self._slots = self._slots, []
        with suppress(queue.Empty):
            while (job := self._jobs.get_nowait()) is not None:
                job[0].cancel()
        for slot in slots:
            self._jobs.put(None)
            slot.close()
        for thread in self._threads:
            thread.join()

    def __exit__(self, *_: object) -> None:
        self.close()


def _serve(jobs: queue.SimpleQueue[_Job | None], slot: WorkerSlot) -> None:
    """Take jobs to the slot until None comes."""
    while (job := jobs.get()) is not None:
        future, evaluate = job
        if not future.set_running_or_notify_cancel():
            continue
        try:
            future.set_result(evaluate(slot))
        except Exception as error:
            future.set_exception(error)
    slot.discard()
