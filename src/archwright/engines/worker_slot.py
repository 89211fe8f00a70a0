"""A worker slot: at most one worker process, which evaluates one child after the other and is replaced when it dies.

Workers start with `spawn`, a fresh interpreter: a fork of a process in which torch has threads can deadlock. A start
takes 0.1 s, and 1.3 to 2 s when the evaluator needs torch. A fork server would take 0.03 s after the first, but it is
one more process that outlives the engine, and a worker is replaced only after a death.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import pickle
import signal
import threading
import time
from collections.abc import Callable, Hashable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from typing import Any

from archwright import errors
from archwright.engines.worker import Failure, Kind, serve
from archwright.errors import ChildFailure, ConfigError, TimedOut, WorkerDied
from archwright.loop import Proposal, Result

START_SECONDS = 300.0  # for a worker's imports and the evaluator's data, on a slow disk
_LOOK_SECONDS = 1.0  # a death closes the pipe at once, unless a process that the worker started holds it open


@dataclass(frozen=True)
class Limits:
    """The limits of one child and of its process, as `archwright.engines.LocalProcesses` describes them."""

    time_limit: float | None = None
    memory_limit: int | None = None
    threads: int = 1

    def __post_init__(self) -> None:
        if self.threads < 1:
            raise ConfigError(f"threads is {self.threads!r}: at least 1 is needed")
        for name, limit in (("time_limit", self.time_limit), ("memory_limit", self.memory_limit)):
            if limit is not None and not limit > 0:
                raise ConfigError(f"{name} is {limit!r}: a limit must be greater than zero")


class WorkerSlot:
    """Evaluates in a process of its own. `evaluate` is for one thread, `close` for any.

    Errors of archwright that a child raises come back unchanged, others as a `ChildFailure` with name and message. A
    worker that dies is a `WorkerDied`, one that is too slow a `TimedOut`, an unusable evaluator a ConfigError.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._worker: _Worker | None = None
        self._starting, self._closed = threading.Lock(), False

    def evaluate(self, key: Hashable, load: Callable[[], bytes], proposal: Proposal) -> Result:
        """Return the result of `proposal`. `load` gives the pickled evaluator unless the worker has that of `key`."""
        payload = pickle.dumps(proposal)
        worker = self._ready(key, load)
        try:
            reply = worker.call("proposal", payload, self.limits.time_limit)
        except TimedOut:
            self.discard()
            raise
        except _Ended as end:
            self.discard()
            raise self._death(f"the worker process {end}") from None
        if not isinstance(reply, Result):
            raise as_error(reply)
        return reply

    def close(self) -> None:
        """Kill the worker, even in the middle of an evaluation, and start no other."""
        with self._starting:
            self._closed = True
            if self._worker is not None:
                self._worker.kill()

    def discard(self) -> None:
        """End the worker; the next evaluation begins with a new one."""
        if self._worker is not None:
            with self._starting:
                worker, self._worker = self._worker, None
            worker.kill()
            worker.connection.close()

    def _ready(self, key: Hashable, load: Callable[[], bytes]) -> _Worker:
        """Return a living worker that has the evaluator."""
        worker = self._worker
        if worker is None or not worker.process.is_alive() or worker.devices != _devices():
            self.discard()
            with self._starting:
                if self._closed:
                    raise self._death("")
                self._worker = worker = _Worker(self.limits)
        if worker.evaluator != key:
            try:
                reply = worker.call("evaluator", load(), START_SECONDS)
            except TimedOut:
                self.discard()
                raise WorkerDied(f"the worker process was not ready after {START_SECONDS:g} s") from None
            except _Ended as end:
                self.discard()
                if self._closed or end.code < 0:  # killed: the next one may have better luck
                    raise self._death(f"a starting worker {end}") from None
                raise ConfigError(
                    f"a worker process {end} while it started; a script must guard what it runs with "
                    "if __name__ == '__main__':"
                ) from None
            if isinstance(reply, Failure):
                raise ConfigError(f"the evaluator cannot be used in another process ({reply.name}: {reply.message})")
            worker.evaluator = key
        return worker

    def _death(self, how: str) -> WorkerDied:
        return WorkerDied("the engine was closed" if self._closed else how)


def _devices() -> str | None:
    """Return the GPUs of this process: Ray may give its worker others for the next child."""
    return os.environ.get("CUDA_VISIBLE_DEVICES")


class _Ended(Exception):
    """The end of a worker process; the message says how."""

    def __init__(self, code: int) -> None:
        self.code = code
        how = f"ended with exit status {code}"
        if code < 0:
            name = next((s.name for s in signal.Signals if s == -code), f"signal {-code}")
            how = f"was killed by {name}" + (" (was memory short?)" if name == "SIGKILL" else "")
        super().__init__(how)


class _Worker:
    """A process that runs `archwright.engines.worker.serve`, and the pipe to it. Used by one thread."""

    def __init__(self, limits: Limits) -> None:
        context = multiprocessing.get_context("spawn")
        self.evaluator: Hashable = None
        self.devices = _devices()
        self.connection, theirs = context.Pipe()
        self.process = context.Process(
            target=serve, args=(theirs, limits.threads, limits.memory_limit), name="archwright worker"
        )
        # Ctrl-C while a worker starts concerns the parent alone: the worker inherits this thread's mask, which
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
        """Return the worker's reply. `_Ended` if it dies, `TimedOut` after `limit` seconds."""
        end = math.inf if limit is None else time.monotonic() + limit
        try:
            self.connection.send_bytes(kind.encode())
            self.connection.send_bytes(payload)
            while True:
                left = max(0.0, end - time.monotonic())
                wait([self.connection, self.process.sentinel], min(left, _LOOK_SECONDS))
                alive = self.process.is_alive()  # asked before the pipe is: a last reply still counts
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
        """End the process and what it started; return the exit code."""
        self.process.kill()
        with suppress(OSError):  # no such group: it died before it made one, or nothing is left
            os.killpg(self.process.pid or 0, signal.SIGKILL)
        return self._exit_code(patience=math.inf)

    def _exit_code(self, patience: float = 1.0) -> int:
        """Return the exit code of a process that is about to end; kill it if it does not."""
        until = time.monotonic() + patience
        while (code := self.process.exitcode) is None:
            if time.monotonic() >= until:
                return self.kill()
            time.sleep(0.001)
        return code


def as_error(failure: Failure) -> Exception:
    """Rebuild the error of a worker: archwright's own types as they were, others as a ChildFailure of that name."""
    kind = getattr(errors, failure.name, None) if failure.module == errors.__name__ else None
    if kind is None:
        kind = type(failure.name, (ChildFailure,), {"__module__": failure.module})
    error: Exception = kind(failure.message)
    error.__cause__ = ChildFailure(f"in the worker process:\n{failure.traceback}")
    return error
