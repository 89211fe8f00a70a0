"""The search of NAS's figure 3 on a Ray cluster: shards and replicas are actors, children are tasks.

The process that searches holds the run's store and nothing that is learned. It gives minibatches to replicas, records
their events, and now and then saves the shards' states, once all minibatches that they have applied are recorded. Any
of the others may die:

- a child, or its worker: see `archwright.engines.ray`;
- a replica: another one goes on with its minibatch where the record ends;
- a shard: it restarts from its last save, and the recorded minibatches since then are replayed;
- the process that searches: all others end with it, and `resume` goes on from the store, as for a shard.

As pushes are numbered, no shard applies a minibatch twice.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import Any

from archwright.controllers.parameter_server import Applied
from archwright.controllers.reinforce import Reinforce
from archwright.controllers.sharding import joined, layout_of, split
from archwright.distributed.actors import ReplicaActor, ShardActor
from archwright.distributed.minibatches import Events, Minibatches, Order
from archwright.engines.cluster import OBJECT_STORE, connect, ray_module
from archwright.engines.ray import RayTasks, packed, search_path, send
from archwright.engines.settings import Cluster
from archwright.errors import ArchwrightError, ConfigError, RunError
from archwright.loop import Budget, Evaluator, Progress, State, Store, Tally, Trial

CHECKPOINT_SECONDS = 10.0  # between two saves of the shards' states; minibatches since the last one can be replayed
LOOK_SECONDS = 0.5  # between two looks at the shards
TRIES = 5  # replicas that may die one after the other without an event


class ReplicatedSearch:
    """A search by replicas of `controller`, each with `batch` children. Iterate over it once.

    Yields and records the same as `archwright.loop.run`. `close` ends all its processes.

    Args:
        controller: a `Reinforce` in its initial state; a saved state is loaded into it.
        evaluator, budget, store: as in `run`.
        cluster: the numbers of replicas, shards and gradients to an update, and what a child takes.
        object_store: bytes, for a Ray cluster of our own.
    """

    def __init__(
        self,
        controller: Any,
        evaluator: Evaluator,
        cluster: Cluster,
        *,
        budget: Budget,
        store: Store,
        checkpoint_seconds: float = CHECKPOINT_SECONDS,
        object_store: int = OBJECT_STORE,
    ) -> None:
        if type(controller) is not Reinforce:
            raise ConfigError(f"replicas need the controller reinforce, not {type(controller).__name__}")
        if evaluator.stateful:
            raise ConfigError(f"{type(evaluator).__name__} keeps its state in one process; replicas cannot share it")
        self._controller, self._evaluator, self._store = controller, evaluator, store
        self._budget, self._began = budget, time.monotonic()
        self._layout = layout_of(controller, cluster.shards)
        self._checkpoint_seconds, self._saved_at = checkpoint_seconds, self._began
        saved = store.load()
        if saved.controller is not None:
            controller.load_state_dict(saved.controller)
        self._saved = split(saved.controller or controller.state_dict(), self._layout)
        self._found: list[State] | None = None  # the shards' states, to be saved once all of it is recorded
        self._reported = len(saved.trials)
        self._streams = saved.streams
        self._minibatches = Minibatches(controller.batch, saved, _applied(self._saved))
        cpus = cluster.replicas * controller.batch * cluster.child_cpus
        self._ray = ray_module()
        self._deaths = 0
        with ExitStack() as opened:
            if connect(cluster.ray_address, cpus=cpus, object_store=object_store):
                opened.callback(self._ray.shutdown)
            engine = {"cpus": cluster.child_cpus, "gpus": cluster.child_gpus, **cluster.limits}
            RayTasks(1, **engine).close()  # raises now if they are wrong
            settings = {
                "adam": dict(controller.adam_settings),
                "accumulate": cluster.accumulate,
                "baseline_decay": controller.baseline_decay,
            }
            self._shards: list[Any] = []
            self._replicas: list[Any] = []
            opened.callback(self._kill)
            shard = self._ray.remote(num_cpus=0, max_restarts=-1)(ShardActor)
            for pieces, state in zip(self._layout, self._saved, strict=True):
                self._shards.append(shard.remote(pieces, settings))
                self._shards[-1].restore.remote(state)
            self._of_replica = search_path(), packed(controller), self._layout, self._shards, send(evaluator), engine
            for _ in range(cluster.replicas):
                self._start_replica()
            self._open = opened.pop_all()
        self._looks: dict[Any, int] = {}
        self._looked_at = 0.0

    def close(self) -> None:
        """End all actors and children; leave the cluster if this search joined it. May be called twice."""
        self._open.close()

    def _kill(self) -> None:
        for actor in (*self._replicas, *self._shards):
            with suppress(Exception):
                self._ray.kill(actor)

    def __iter__(self) -> Iterator[Trial | Progress]:
        idle = list(self._replicas)
        under_way: dict[Any, tuple[Any, Order]] = {}
        while True:
            while idle and (order := self._minibatches.take(self._room())) is not None:
                replica = idle.pop()
                under_way[replica.advance.remote(order)] = (replica, order)
            # Trials under way belong to the budget unless time has run out.
            if not under_way or (self._spent() >= 1 and self._spent(seconds=0.0) < 1):
                break
            done, _ = self._ray.wait(list(under_way), num_returns=1, timeout=LOOK_SECONDS)
            for reference in done:
                replica, order = under_way.pop(reference)
                events = self._events(reference)
                if events is None:
                    self._minibatches.lost(order)
                    idle.append(self._start_replica())
                    continue
                yield from self._recorded(events)
                if events.over:
                    self._minibatches.done(order)
                    idle.append(replica)
                else:
                    under_way[replica.advance.remote(None)] = (replica, order)
            self._look()
            self._save(self._checkpoint_seconds)
        self._found = None
        self._save(0.0)  # a shard that is gone at this moment keeps its last save: the next run replays the rest

    def _spent(self, ahead: int = 0, seconds: float | None = None) -> float:
        trials = self._reported + ahead
        elapsed = time.monotonic() - self._began if seconds is None else seconds
        return self._budget.spent(Tally(trials, trials / self._evaluator.trials_per_epoch, elapsed))

    def _room(self) -> int:
        """Return how many more trials a minibatch may begin."""
        ahead, room = self._minibatches.outstanding, 0
        while room < self._controller.batch and self._spent(ahead + room) < 1:
            room += 1
        return room

    def _start_replica(self) -> Any:
        actor = self._ray.remote(num_cpus=0, scheduling_strategy="SPREAD")(ReplicaActor)
        self._replicas.append(actor.remote(*self._of_replica))
        return self._replicas[-1]

    def _events(self, reference: Any) -> Events | None:
        """Return a replica's events; None if it died."""
        errors = self._ray.exceptions
        try:
            events: Events = self._ray.get(reference)
        except errors.RayTaskError as error:
            if isinstance(error.cause, ArchwrightError):
                raise error.cause from None
            raise RunError(f"a replica failed: {error.cause!r}") from error
        except errors.RayActorError as error:
            self._deaths += 1
            if self._deaths >= TRIES:
                raise RunError(f"{self._deaths} replicas died one after the other: {error}") from None
            return None
        self._deaths = 0
        return events

    def _recorded(self, events: Events) -> Iterator[Trial]:
        if events.proposed:
            self._streams = max(self._streams, *(proposal.stream + 1 for _, proposal in events.proposed))
            self._store.proposed(events.proposed, self._streams)
        self._minibatches.record(events)
        if events.reported:
            # The controller's figures, as the replica knew them that learned last, and the staleness of that.
            trials = [replace(trial, figures=events.figures) for trial in events.reported]
            self._store.told(trials, None)
            self._reported += len(trials)
            yield from trials

    def _look(self) -> None:
        """Restore shards that have restarted."""
        if not self._looks and time.monotonic() - self._looked_at >= LOOK_SECONDS:
            self._looks = {shard.restored.remote(): index for index, shard in enumerate(self._shards)}
            self._looked_at = time.monotonic()
        looks = list(self._looks)
        for reference in self._ray.wait(looks, num_returns=len(looks), timeout=0)[0] if looks else ():
            index = self._looks.pop(reference)
            with suppress(self._ray.exceptions.RayActorError):  # it is not back yet
                if not self._ray.get(reference):
                    self._shards[index].restore.remote(self._saved[index])
                    self._found = None
                    self._minibatches.replay(_applied(self._saved))

    def _save(self, every: float) -> None:
        """Save the shards' states if it is time and all minibatches that they have applied are recorded."""
        if self._found is None and time.monotonic() - self._saved_at >= every:
            states = self._states()
            if states is None or [s["applied"] for s in states] == [s["applied"] for s in self._saved]:
                return
            self._found = states
        if self._found is not None and self._minibatches.recorded(_applied(self._found)):
            self._saved, self._found = self._found, None
            state = joined(self._saved, self._layout, self._controller)
            self._controller.load_state_dict(state)
            self._store.told([], state)
            self._saved_at = time.monotonic()

    def _states(self) -> list[State] | None:
        errors = self._ray.exceptions
        try:
            states = self._ray.get([shard.state.remote() for shard in self._shards], timeout=60)
        except (errors.RayActorError, errors.GetTimeoutError):
            return None
        return None if None in states else states


def _applied(states: list[State]) -> list[Applied]:
    return [Applied(**state["applied"]) for state in states]
