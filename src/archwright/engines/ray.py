"""Evaluations as tasks of a Ray cluster: this machine, or many. Extra: `pip install 'archwright[ray]'`.

A task takes a share of the cluster (CPUs, GPUs or a fraction of one) and evaluates its child in a process of its own
(`archwright.engines.seat`), so a child's limits, crashes and exceptions are those of `LocalProcesses`: a failed trial.
What happens to Ray's own processes is not the child's fault: if a worker of Ray is killed or a node is lost, the child
is submitted again, a few times, and answers once. The evaluator with its data goes to the object store once; a child is
sent its proposal only, and each process takes the evaluator from the store of its node when it starts.
"""

from __future__ import annotations

import math
import os
import queue
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from archwright.engines.seat import Limits, Seat, as_error
from archwright.engines.worker import Failure, failure
from archwright.errors import ArchwrightError, ConfigError, MissingExtra, WorkerDied
from archwright.loop import Ask, Evaluator, Progress, Proposal, Result, State

RETRIES = 2  # of a child whose Ray worker or node was lost
OBJECT_STORE = 2**30  # bytes, of a cluster of our own; an evaluator that is larger goes to the disk


def ray_module() -> Any:
    """Ray, or how to get it."""
    try:
        import ray
    except ImportError as error:
        raise MissingExtra(f"--engine ray needs Ray: pip install 'archwright[ray]' ({error})") from None
    return ray


def connect(address: str | None, *, cpus: float, object_store: int = OBJECT_STORE) -> bool:
    """Be in a cluster: the one at `address` ("auto": the one that runs on this machine), or by default one of our own
    with `cpus`, which ends with this process. False if this process is in one already, which then is used as it is."""
    ray = ray_module()
    if address is not None and address.startswith("ray://"):
        raise ConfigError(f"--engine ray:{address} is a client's address; start archwright on a node of the cluster")
    if ray.is_initialized():
        return False
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    quiet: dict[str, Any] = {"logging_level": "error", "log_to_driver": False}
    if address is None:
        os.environ.setdefault("RAY_worker_niceness", "0")  # Ray's own 15 is for a machine that does other things too
        quiet |= {"address": "local", "num_cpus": math.ceil(cpus), "include_dashboard": False}
        quiet |= {"object_store_memory": object_store}
    else:
        quiet |= {"address": address}
    try:
        ray.init(**quiet)
    except (ConnectionError, ValueError, RuntimeError) as error:
        where = "a Ray cluster on this machine" if address is None else f"the Ray cluster at {address}"
        raise ConfigError(f"--engine ray: {where} cannot be used: {_first_line(error)}") from None
    return True


def room(address: str | None, cpus: float, gpus: float) -> int:
    """How many children of that share fit into the cluster at once. ConfigError if none does."""
    if address is None and not gpus:
        return max(1, int(_own_cpus() / cpus)) if cpus else _own_cpus()
    joined = connect(address, cpus=_own_cpus())
    nodes = [node["Resources"] for node in ray_module().nodes() if node["Alive"]]
    if joined:
        ray_module().shutdown()
    wanted = {name: amount for name, amount in (("CPU", cpus), ("GPU", gpus)) if amount}
    places = sum(int(min(node.get(name, 0.0) / amount for name, amount in wanted.items())) for node in nodes)
    if not places:
        share = " and ".join(f"{amount:g} {name}s" for name, amount in wanted.items())
        raise ConfigError(f"a child takes {share}, and no node of the Ray cluster has that")
    return places


def _own_cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass
class Sent:
    """An evaluator in the object store, and what a loop has to know of it. Made by `send`; the engine takes it too."""

    reference: Any  # in a list: Ray would put the value in the place of a bare one
    key: str
    paths: tuple[str, ...]  # where modules are found; `spawn` hands them on likewise
    failure_reward: float
    trials_per_epoch: float
    stateful: bool = False

    def prepare(self, ask: Ask, told: int) -> Iterator[Progress]:
        """Nothing: what prepares is stateful, and cannot be sent."""
        return iter(())

    def evaluate(self, proposal: Proposal) -> Result:
        """Only tasks evaluate."""
        raise NotImplementedError

    def state_dict(self) -> State:
        """Empty."""
        return {}

    def load_state_dict(self, state: State) -> None:
        """Nothing to take back."""


def send(evaluator: Evaluator) -> Sent:
    """Put an evaluator into the object store."""
    reference = ray_module().put(packed(evaluator))
    return Sent([reference], reference.hex(), search_path(), evaluator.failure_reward, evaluator.trials_per_epoch)


def search_path() -> tuple[str, ...]:
    """Where this process finds modules."""
    return tuple(str(Path(path).absolute()) for path in sys.path)


def packed(thing: object) -> bytes:
    """A pickle for the cluster. Classes and functions of a script or of a user's own file travel with it."""
    import cloudpickle

    own = [module for name, module in sys.modules.items() if name.startswith("archwright_user_")]
    for module in own:
        cloudpickle.register_pickle_by_value(module)
    try:
        data: bytes = cloudpickle.dumps(thing)
        return data
    except Exception as error:
        raise ConfigError(
            f"{type(thing).__name__} cannot be sent to another process ({type(error).__name__}: {error})"
        ) from error
    finally:
        for module in own:
            cloudpickle.unregister_pickle_by_value(module)


@dataclass(frozen=True)
class _Child:
    future: Future[Result]
    sent: Sent
    proposal: Proposal
    retries: int


class RayTasks:
    """Evaluates up to `workers` proposals at once as tasks of a Ray cluster. A `concurrent.futures`-like engine.

    Close it, or use it as a context manager: that ends its children, and leaves the cluster if the engine joined it.

    Args:
        workers: how many tasks; those for which there is no room in the cluster wait.
        address: of the cluster, see `connect`.
        cpus, gpus: what a child takes of the cluster; a fraction of a GPU is shared with others.
        time_limit, memory_limit: as of `LocalProcesses`.
        threads: for each child's torch and BLAS; None: as many as `cpus`.
        object_store: bytes, of a cluster of our own.
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
        self._joined = connect(address, cpus=workers * cpus, object_store=object_store)
        self._ray = ray_module()
        try:
            room(address or "joined", cpus, gpus)
        except ConfigError:
            if self._joined:
                self._ray.shutdown()
            raise
        # Ray does not know a child that failed from a worker that was lost, so it is not Ray that tries again.
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
        """End all children; those under way fail with `WorkerDied`."""
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
        if self._joined:
            self._ray.shutdown()

    def __enter__(self) -> RayTasks:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _begin(self, child: _Child) -> None:
        sent = child.sent
        reference = self._task.remote(sent.reference, sent.key, sent.paths, child.proposal, self._limits)
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
                child.future.set_exception(answer or WorkerDied(f"Ray lost its worker, again: {_first_line(error)}"))


def _lost(ray: Any, error: BaseException) -> ArchwrightError | None:
    """Why Ray has no answer, where it would have none another time; None where another try may have more luck."""
    if isinstance(error, ray.exceptions.OutOfMemoryError):
        return WorkerDied(f"its node was short of memory: {_first_line(error)}")
    if isinstance(error, ray.exceptions.RayTaskError) and not isinstance(error.cause, ray.exceptions.RayError):
        return ConfigError(f"a node of the cluster cannot run archwright; has it the same version? {error.cause!r}")
    return None


def _first_line(error: BaseException | None) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__


# What runs in a worker of Ray. It keeps one seat, and the seat its process, for the children to come.

_seat: tuple[Limits, Seat] | None = None


def _evaluate(
    reference: list[Any], key: str, paths: tuple[str, ...], proposal: Proposal, limits: Limits
) -> Result | Failure:
    global _seat
    ray = ray_module()
    sys.path.extend(path for path in paths if path not in sys.path)
    if _seat is None or _seat[0] != limits:
        if _seat is not None:
            _seat[1].close()
        _seat = (limits, Seat(limits))
    try:
        with _no_script():
            return _seat[1].evaluate(key, lambda: bytes(ray.get(reference[0])), proposal)
    except ray.exceptions.RayError:  # the evaluator did not come
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
