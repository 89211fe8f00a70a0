"""The main loop of a worker process: wait for an evaluator and for proposals, evaluate, answer.

This module imports nothing heavy, so that the settings are in place before torch is.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import resource
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from archwright.userfiles import unpickled

if TYPE_CHECKING:
    from archwright.loop import Evaluator

Kind: TypeAlias = Literal["evaluator", "proposal"]  # a message is two byte strings: its kind, then its pickle
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True)
class Failure:
    """An exception as text: not every exception can be pickled, or imported by the parent."""

    module: str
    name: str
    message: str
    traceback: str


def serve(connection: Connection, threads: int, memory_limit: int | None) -> None:
    """Answer messages until the parent closes the pipe. A reply is a pickled Result, None (ready) or `Failure`."""
    begin(threads)
    if memory_limit is not None:
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        limit = memory_limit if hard == resource.RLIM_INFINITY else min(memory_limit, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    evaluator: Evaluator | None = None

    def load(payload: bytes) -> None:
        nonlocal evaluator
        evaluator = None  # so that memory never holds two
        evaluator = unpickled(payload)

    def evaluate(payload: bytes) -> Any:
        assert evaluator is not None
        if "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(threads)
        return evaluator.evaluate(pickle.loads(payload))

    with suppress(EOFError, BrokenPipeError):
        while True:
            answer = load if connection.recv_bytes() == b"evaluator" else evaluate
            connection.send_bytes(_reply(answer, connection.recv_bytes()))


def begin(threads: int) -> None:
    """Make this process a worker: it ignores Ctrl-C, and ends when its parent does, however that ends."""
    os.setpgid(0, 0)  # out of reach of the terminal's Ctrl-C; processes of the evaluator can be ended with this one
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ.update(dict.fromkeys(_THREADS, str(threads)))  # for libraries that are imported later


def _reply(answer: Callable[[bytes], Any], payload: bytes) -> bytes:
    try:
        return pickle.dumps(answer(payload))
    except Exception as error:
        return pickle.dumps(failure(error))


def failure(error: Exception) -> Failure:
    """Describe the exception as text."""
    kind, message, trace = type(error), "(its message cannot be shown)", ""
    with suppress(Exception):  # of the error's own methods
        message = str(error)
        trace = "".join(traceback.format_exception(error))
    return Failure(kind.__module__, kind.__name__, message, trace)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os.killpg(0, signal.SIGKILL)
