"""Evaluations in other processes of this machine, each child under its own time limit.

A worker that crashes, is killed or runs out of time costs the child it was evaluating, nothing else: its slot gets a
new process. Workers start with `spawn`, a fresh interpreter: a fork of a process in which torch has threads can
deadlock. Starting one takes 0.1 s, and 1.3 to 2 s when the evaluator needs torch. A fork server would take 0.03 s after
the first, but it is one more process that outlives the engine, and a worker is replaced only after a death.

As always with `spawn`, a script must guard what it runs with `if __name__ == "__main__":`, and the evaluator, with all
it holds, must be picklable: its class and functions are found by name in the worker. POSIX only.
"""

from __future__ import annotations

import atexit
import math
import multiprocessing
import os
import pickle
import queue
import signal
import threading
import time
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from typing import Any

from archwright import errors
from archwright.engines.worker import Failure, Kind, serve
from archwright.errors import ChildFailure, ConfigError, TimedOut, WorkerDied
from archwright.loop import Evaluator, Proposal, Result

START_SECONDS = 300.0  # for a worker's imports and the evaluator's data, on a slow disk
_LOOK_SECONDS = 1.0  # a death closes the pipe at once, unless a process that the worker started holds it open


@dataclass(frozen=True)
class _Job:
    future: Future[Result]
    evaluator: bytes
    proposal: Proposal


class LocalProcesses:
    """Evaluates up to `workers` proposals at once, each in its own process. A `concurrent.futures`-like engine.

    The evaluator is sent to each worker once, not with every child: what changes in it later, workers do not see
    (evaluators with such state are `stateful`, and refused by `run`). What the child raises comes back as a
    `ChildFailure` with the type's name and the message, whether or not the exception itself can be pickled.
    Close it, or use it as a context manager; the end of the program, however it ends, ends the workers too.

    Args:
        workers: how many processes.
        time_limit: seconds for one child, not counting the start of a worker; then it is killed (`TimedOut`).
        memory_limit: bytes of data (heap and anonymous mappings, RLIMIT_DATA) that a worker may have, libraries' data
            included: torch needs about 0.25e9. An allocation beyond it fails inside the child, as an exception that it
            survives. Unlike RLIMIT_AS this does not count reserved addresses, of which CUDA takes many, and unlike a
            watch over the resident size it cannot be overrun. Enforced by Linux only.
        threads: for each worker's torch and BLAS.
    """

    def __init__(
        self,
        workers: int = 2,
        time_limit: float | None = None,
        memory_limit: int | None = None,
        threads: int = 1,
    ) -> None:
        for name, value in (("workers", workers), ("threads", threads)):
            if value < 1:
                raise ConfigError(f"LocalProcesses({name}={value!r}): at least 1 is needed")
        for name, limit in (("time_limit", time_limit), ("memory_limit", memory_limit)):
            if limit is not None and not limit > 0:
                raise ConfigError(f"LocalProcesses({name}={limit!r}): a limit must be greater than zero")
        self.workers, self.time_limit, self.memory_limit, self.threads = workers, time_limit, memory_limit, threads
        self._sent: tuple[Evaluator, bytes] | None = None
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._slots = [_Slot(self) for _ in range(workers)]
        self._owner = os.getpid()
        atexit.register(self.close)

    def submit(self, evaluator: Evaluator, proposal: Proposal) -> Future[Result]:
        """Begin an evaluation; it waits while all workers are busy. ConfigError if the evaluator cannot be pickled."""
        if not self._slots:
            raise ConfigError("the engine has been closed; make a new one")
        if self._sent is None or self._sent[0] is not evaluator:
            self._sent = (evaluator, _pickled(evaluator))
        future: Future[Result] = Future()
        self._jobs.put(_Job(future, self._sent[1], proposal))
        return future

    def close(self) -> None:
        """Kill all workers. Queued evaluations are cancelled, those under way fail with `WorkerDied`."""
        if os.getpid() != self._owner:  # a fork of the owner ends; the workers are not its own
            return
        atexit.unregister(self.close)
        slots, self._slots = self._slots, []
        with suppress(queue.Empty):
            while (job := self._jobs.get_nowait()) is not None:
                job.future.cancel()
        for _ in slots:
            self._jobs.put(None)
        for slot in slots:
            slot.close()

    def __enter__(self) -> LocalProcesses:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _pickled(evaluator: Evaluator) -> bytes:
    try:
        return pickle.dumps(evaluator)
    except Exception as error:
        raise ConfigError(
            f"{type(evaluator).__name__} cannot be sent to another process ({type(error).__name__}: {error}); "
            "what it holds must be picklable, such as functions at the top level of a module"
        ) from error


class _Slot:
    """A thread that takes jobs from the engine's queue, with at most one worker process at a time."""

    def __init__(self, engine: LocalProcesses) -> None:
        self._jobs = engine._jobs
        self._time_limit = engine.time_limit
        self._settings = (engine.threads, engine.memory_limit)
        self._worker: _Worker | None = None
        self._starting, self._closed = threading.Lock(), False
        self._thread = threading.Thread(target=self._serve, name="archwright slot", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Kill the worker and end the thread."""
        with self._starting:
            self._closed = True
            if self._worker is not None:
                self._worker.kill()
        self._thread.join()

    def _serve(self) -> None:
        while (job := self._jobs.get()) is not None:
            if not job.future.set_running_or_notify_cancel():
                continue
            try:
                result = self._evaluate(job)
            except Exception as error:
                job.future.set_exception(error)
            else:
                job.future.set_result(result)
        self._discard()

    def _evaluate(self, job: _Job) -> Result:
        proposal = pickle.dumps(job.proposal)
        worker = self._ready(job.evaluator)
        try:
            reply = worker.call("proposal", proposal, self._time_limit)
        except TimedOut:
            self._discard()
            raise
        except _Ended as end:
            self._discard()
            raise WorkerDied("the engine was closed" if self._closed else f"the worker process {end}") from None
        if isinstance(reply, Failure):
            raise _exception(reply)
        result: Result = reply
        return result

    def _ready(self, evaluator: bytes) -> _Worker:
        """A living worker that has the evaluator."""
        worker = self._worker
        if worker is None or not worker.process.is_alive():
            self._discard()
            with self._starting:
                if self._closed:
                    raise WorkerDied("the engine was closed")
                self._worker = worker = _Worker(*self._settings)
        if worker.evaluator is not evaluator:
            try:
                reply = worker.call("evaluator", evaluator, START_SECONDS)
            except TimedOut:
                self._discard()
                raise WorkerDied(f"the worker process was not ready after {START_SECONDS:g} s") from None
            except _Ended as end:
                self._discard()
                if self._closed or end.code < 0:  # killed: the next one may have better luck
                    raise WorkerDied("the engine was closed" if self._closed else f"a starting worker {end}") from None
                raise ConfigError(
                    f"a worker process {end} while it started; a script must guard what it runs with "
                    "if __name__ == '__main__':"
                ) from None
            if isinstance(reply, Failure):
                raise ConfigError(f"the evaluator cannot be used in another process ({reply.name}: {reply.message})")
            worker.evaluator = evaluator
        return worker

    def _discard(self) -> None:
        if self._worker is not None:
            with self._starting:
                worker, self._worker = self._worker, None
            worker.kill()
            worker.connection.close()


class _Ended(Exception):
    """A worker process has ended; the message says how."""

    def __init__(self, code: int) -> None:
        self.code = code
        how = f"ended with exit status {code}"
        if code < 0:
            name = next((s.name for s in signal.Signals if s == -code), f"signal {-code}")
            how = f"was killed by {name}" + (" (was memory short?)" if name == "SIGKILL" else "")
        super().__init__(how)


class _Worker:
    """A process that runs `archwright.engines.worker.serve`, and the pipe to it. Used by its slot's thread only."""

    def __init__(self, threads: int, memory_limit: int | None) -> None:
        context = multiprocessing.get_context("spawn")
        self.evaluator: bytes | None = None
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs, threads, memory_limit), name="archwright worker")
        # Ctrl-C while a worker starts is the parent's affair: the worker inherits this thread's mask, which
        # multiprocessing would clear if it had yet to start its resource tracker.
        resource_tracker.ensure_running()
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self.process.start()
        except RuntimeError as error:  # this process is itself a worker, which is still importing the script
            raise ConfigError("a script must guard what it runs with if __name__ == '__main__':") from error
        finally:
            theirs.close()  # so that the pipe closes when the worker dies

    def call(self, kind: Kind, payload: bytes, limit: float | None) -> Any:
        """The worker's reply. `_Ended` if it dies, `TimedOut` after `limit` seconds."""
        end = math.inf if limit is None else time.monotonic() + limit
        try:
            self.connection.send_bytes(kind.encode())
            self.connection.send_bytes(payload)
            while True:
                left = max(0.0, end - time.monotonic())
                wait([self.connection, self.process.sentinel], min(left, _LOOK_SECONDS))
                alive = self.process.is_alive()  # before the look at the pipe: what it sent last still counts
                if self.connection.poll():
                    reply = self.connection.recv_bytes()
                    break
                if not alive:
                    raise EOFError
                if left == 0:
                    raise TimedOut(f"no result within {limit:g} s")
        except (EOFError, OSError):
            raise _Ended(self._exit_code()) from None
        return pickle.loads(reply)

    def kill(self) -> int:
        """End the process and what it started; the exit code."""
        self.process.kill()
        with suppress(OSError):  # no such group: it died before it made one, or nothing is left
            os.killpg(self.process.pid or 0, signal.SIGKILL)
        return self._exit_code(patience=math.inf)

    def _exit_code(self, patience: float = 1.0) -> int:
        """The exit code of a process that is about to end, or else is killed."""
        until = time.monotonic() + patience
        while (code := self.process.exitcode) is None:
            if time.monotonic() >= until:
                return self.kill()
            time.sleep(0.001)
        return code


def _exception(failure: Failure) -> Exception:
    """What was raised in the worker: archwright's own errors as they were, others as a ChildFailure of that name."""
    kind = getattr(errors, failure.name, None) if failure.module == errors.__name__ else None
    if kind is None:
        kind = type(failure.name, (ChildFailure,), {"__module__": failure.module})
    error: Exception = kind(failure.message)
    error.__cause__ = ChildFailure(f"in the worker process:\n{failure.traceback}")
    return error
