"""Evaluations as tasks of a Ray cluster: this machine, or many. Extra: `pip install 'archwright[ray]'`.

A task takes a share of the cluster (CPUs, GPUs or a fraction of one) and evaluates its child in a process of its own
(`archwright.engines.worker_slot`), so a child's limits, crashes and exceptions are those of `LocalProcesses`. A child
is not to blame for Ray's own processes: if a worker of Ray is killed or a node is lost, it is submitted again, a few
times, and answers once. The evaluator with its data goes to the object store once; a child is sent its proposal only,
and each process takes the evaluator from the store of its node when it starts.
"""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from archwright.engines.cluster import OBJECT_STORE, connect, first_line, ray_module, room
from archwright.engines.worker import Failure, failure
from archwright.engines.worker_slot import Limits, WorkerSlot, as_error
from archwright.errors import ArchwrightError, ConfigError, WorkerDied
from archwright.loop import Evaluator, Proposal, Result, Stateless
from archwright.userfiles import pickled

RETRIES = 2  # for a child whose Ray worker or node was lost


@dataclass
class Sent(Stateless):
    """A handle of an evaluator in the object store, made by `send`. It stands for the evaluator in loop and engine."""

    reference: Any  # in a list: Ray would replace a bare one by its value
    key: str
    paths: tuple[str, ...]  # where modules are found; `spawn` passes them on likewise
    failure_reward: float
    trials_per_epoch: float

    def evaluate(self, proposal: Proposal) -> Result:
        raise NotImplementedError("only tasks evaluate")


def send(evaluator: Evaluator) -> Sent:
    """Put an evaluator into the object store."""
    reference = ray_module().put(packed(evaluator))
    return Sent([reference], reference.hex(), search_path(), evaluator.failure_reward, evaluator.trials_per_epoch)


def search_path() -> tuple[str, ...]:
    """Return where this process finds modules, as absolute paths."""
    return tuple(str(Path(path).absolute()) for path in sys.path)


def packed(thing: object) -> bytes:
    """Pickle a value for the cluster, with the classes and functions of a script and of the user's own files."""
    import cloudpickle

    return pickled(thing, cloudpickle.dump)


@dataclass(frozen=True)
class _Child:
    future: Future[Result]
    sent: Sent
    proposal: Proposal
    retries: int


class RayTasks(AbstractContextManager["RayTasks"]):
    """Evaluates up to `workers` proposals at once as tasks of a Ray cluster. A `concurrent.futures`-like engine.

    Close it, or use it as a context manager: that ends its children, and leaves the cluster if the engine joined it.

    Args:
        workers: how many tasks; those that do not fit into the cluster wait.
        address: of the cluster, see `archwright.engines.cluster.connect`.
        cpus, gpus: the share of a child; a fraction of a GPU is shared with others.
        time_limit, memory_limit: as in `LocalProcesses`.
        threads: for each child's torch and BLAS; None: as many as `cpus`.
        object_store: bytes, for a cluster of our own.
    """

    def __init__(
        self,
        workers: int = 2,
        address: str | None = None,
        *,
        cpus: float = 1.0,
        gpus: float = 0.0,
        time_limit: float | None = None,
        memory_limit: int | None = None,
        threads: int | None = None,
        object_store: int = OBJECT_STORE,
    ) -> None:
        if workers < 1 or not cpus >= 0 or not gpus >= 0 or not cpus + gpus > 0:
            raise ConfigError(
                f"RayTasks(workers={workers!r}, cpus={cpus!r}, gpus={gpus!r}): at least one worker is needed, and a "
                "child takes a share of CPUs or GPUs"
            )
        self.workers = workers
        self._limits = Limits(time_limit, memory_limit, max(1, int(cpus)) if threads is None else threads)
        self._ray = ray_module()
        with ExitStack() as opened:
            if connect(address, cpus=workers * cpus, object_store=object_store):
                opened.callback(self._ray.shutdown)
            room(address or "joined", cpus, gpus)
            self._open = opened.pop_all()
        # Ray cannot tell a child that failed from a worker that was lost, so `_collect` decides what is tried again.
        self._task = self._ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=0)(_evaluate)
        self._sent: tuple[Evaluator, Sent] | None = None
        self._under_way: dict[Any, _Child] = {}
        self._ended: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._closed = False
        self._collector = threading.Thread(target=self._collect, name="archwright ray", daemon=True)
        self._collector.start()

    def submit(self, evaluator: Evaluator, proposal: Proposal) -> Future[Result]:
        """Begin an evaluation; it waits while the cluster is full. ConfigError if the evaluator cannot be sent."""
        if self._closed:
            raise ConfigError("the engine has been closed; make a new one")
        if self._sent is None or self._sent[0] is not evaluator:
            self._sent = (evaluator, evaluator if isinstance(evaluator, Sent) else send(evaluator))
        future: Future[Result] = Future()
        future.set_running_or_notify_cancel()
        self._begin(_Child(future, self._sent[1], proposal, RETRIES))
        return future

    def close(self) -> None:
        """End all children, which then fail with `WorkerDied`, and leave the cluster if the engine joined it."""
        if self._closed:
            return
        self._closed = True
        self._ended.put(None)
        self._collector.join()
        for reference, child in self._under_way.items():
            with suppress(Exception):
                self._ray.cancel(reference, force=True)
            child.future.set_exception(WorkerDied("the engine was closed"))
        self._under_way = {}
        self._sent = None
        self._open.close()

    def __exit__(self, *_: object) -> None:
        self.close()

    def _begin(self, child: _Child) -> None:
        # One argument: Ray serialises each by itself, which is most of the work for small ones.
        reference = self._task.remote((child.sent, child.proposal, self._limits))
        self._under_way[reference] = child
        reference.future().add_done_callback(lambda done: self._ended.put((reference, done)))

    def _collect(self) -> None:
        while (item := self._ended.get()) is not None:
            reference, done = item
            child = self._under_way.pop(reference)
            error = done.exception()
            answer = _lost(self._ray, error) if error is not None else done.result()
            if answer is None and child.retries:
                try:
                    self._begin(replace(child, retries=child.retries - 1))
                except Exception as failed:
                    child.future.set_exception(failed)
            elif isinstance(answer, Result):
                child.future.set_result(answer)
            elif isinstance(answer, Failure):
                child.future.set_exception(as_error(answer))
            else:
                child.future.set_exception(answer or WorkerDied(f"Ray lost its worker, again: {first_line(error)}"))


def _lost(ray: Any, error: BaseException) -> ArchwrightError | None:
    """Return why another try would fail as well; None if it may succeed."""
    if isinstance(error, ray.exceptions.OutOfMemoryError):
        return WorkerDied(f"its node was short of memory: {first_line(error)}")
    if isinstance(error, ray.exceptions.RayTaskError) and not isinstance(error.cause, ray.exceptions.RayError):
        return ConfigError(f"a node of the cluster cannot run archwright; has it the same version? {error.cause!r}")
    return None


_slot: WorkerSlot | None = None  # a worker of Ray keeps it, with its process, for the next child


def _evaluate(task: tuple[Sent, Proposal, Limits]) -> Result | Failure:
    """Evaluate a child in a worker of Ray."""
    global _slot
    sent, proposal, limits = task
    ray = ray_module()
    sys.path.extend(path for path in sent.paths if path not in sys.path)
    if _slot is None or _slot.limits != limits:
        if _slot is not None:
            _slot.close()
        _slot = WorkerSlot(limits)
    try:
        with _no_script():
            return _slot.evaluate(sent.key, lambda: bytes(ray.get(sent.reference[0])), proposal)
    except ray.exceptions.RayError:  # the evaluator did not arrive
        raise
    except Exception as error:
        return failure(error)


@contextmanager
def _no_script() -> Iterator[None]:
    """Hide which script this process runs: `spawn` would load it, Ray's worker, into the child's process."""
    script = vars(sys.modules["__main__"])
    path = script.pop("__file__", None)
    try:
        yield
    finally:
        if path is not None:
            script["__file__"] = path
