"""The actors of a search by replicas: a shard, and a replica that runs the loop of every search."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import torch

from archwright.controllers.parameter_server import Pulled, Push, Replica, Shard
from archwright.controllers.sharding import Piece
from archwright.distributed.minibatches import Events, Order, Record
from archwright.engines.cluster import ray_module
from archwright.engines.ray import RayTasks, Sent
from archwright.errors import RunError
from archwright.loop import Progress, State, Trial, Trials, run
from archwright.userfiles import unpickled

PATIENCE = 600.0  # seconds that a replica waits for a shard to come back
_PAUSE = 0.2


class ShardActor:
    """A shard. When its process dies Ray makes another, which answers None until it has been restored."""

    def __init__(self, pieces: Sequence[Piece], settings: Mapping[str, Any]) -> None:
        torch.set_num_threads(1)
        self._shard = Shard(pieces, **settings)
        self._restored = False

    def restore(self, state: State) -> None:
        self._shard.restore(state)
        self._restored = True

    def restored(self) -> bool:
        return self._restored

    def pull(self) -> Pulled | None:
        return self._shard.pull() if self._restored else None

    def push(self, push: Push) -> tuple[int | None] | None:
        return (self._shard.push(push),) if self._restored else None  # in a tuple: the answer may be None

    def state(self) -> State | None:
        return self._shard.state_dict() if self._restored else None


class RemoteServers:
    """The shards as a replica sees them: it asks until they answer. Shards apply each numbered push once."""

    def __init__(self, shards: Sequence[Any]) -> None:
        self._shards, self._ray = shards, ray_module()

    def pull(self) -> list[Pulled]:
        return self._all([shard.pull.remote for shard in self._shards])

    def push(self, pushes: Sequence[Push]) -> list[int | None]:
        calls = [partial(shard.push.remote, push) for shard, push in zip(self._shards, pushes, strict=True)]
        return [answer[0] for answer in self._all(calls)]

    def _all(self, calls: Sequence[Callable[[], Any]]) -> list[Any]:
        until = time.monotonic() + PATIENCE
        answers: list[Any] = []
        for call, reference in [(call, call()) for call in calls]:
            while (answer := self._answer(reference)) is None:
                if time.monotonic() > until:
                    raise RunError(f"a shard of the parameter server has been gone for {PATIENCE:g} s")
                time.sleep(_PAUSE)
                reference = call()
            answers.append(answer)
        return answers

    def _answer(self, reference: Any) -> Any:
        try:
            return self._ray.get(reference)
        except self._ray.exceptions.RayActorError:
            return None


class ReplicaActor:
    """A replica: runs the loop over one minibatch after the other, and returns the events to record.

    `controller`: pickled. `engine`: arguments of `RayTasks`.
    """

    def __init__(
        self,
        paths: Sequence[str],
        controller: bytes,
        layout: Sequence[Sequence[Piece]],
        shards: Sequence[Any],
        evaluator: Sent,
        engine: Mapping[str, Any],
    ) -> None:
        sys.path.extend(path for path in paths if path not in sys.path)
        torch.set_num_threads(1)
        self._replica = Replica(unpickled(controller), layout, RemoteServers(shards))
        self._evaluator = evaluator
        self._engine = RayTasks(self._replica.batch, **engine)
        self._loop: Iterator[Trial | Progress] = iter(())
        self._record: Record | None = None

    def advance(self, order: Order | None) -> Events:
        """Begin an order, or go on with it, until the next event. Earlier events have been recorded by now."""
        if order is not None:
            self._replica.begin(order.number)
            self._record = Record(order, self._replica.batch)
            self._loop = run(
                self._replica, self._evaluator, budget=Trials(order.count), store=self._record, engine=self._engine
            )
        assert self._record is not None
        over = next(self._loop, None) is None
        return self._record.take(over, self._replica.metrics())
