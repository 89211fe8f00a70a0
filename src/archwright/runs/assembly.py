"""The components that a plan asks for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from archwright.components import controller_class
from archwright.loop import Describes, Engine, Inline, run

if TYPE_CHECKING:
    from archwright.distributed.search import ReplicatedSearch
    from archwright.loop import Budget, Progress, Store, Trial
    from archwright.modalities.protocol import Modality
    from archwright.runs.plan import Plan


def controller(plan: Plan) -> Any:
    """Return the untrained controller."""
    search = plan.search
    return controller_class(search.controller)(search.space, seed=plan.seed, **search.controller_settings)


def evaluator(plan: Plan, modality: Modality) -> Any:
    """Return what scores the trials of the search."""
    return plan.search.method.evaluator(plan.context(modality))


def engine(plan: Plan) -> Engine:
    """Return where trials are scored."""
    cluster = plan.cluster
    if cluster.in_process:
        return Inline()
    if cluster.engine != "local":
        from archwright.engines.ray import RayTasks

        return RayTasks(
            cluster.workers, cluster.ray_address, cpus=cluster.child_cpus, gpus=cluster.child_gpus, **cluster.limits
        )
    from archwright.engines.processes import LocalProcesses

    return LocalProcesses(cluster.workers, threads=max(1, plan.threads // cluster.workers), **cluster.limits)


class Search:
    """The search of a plan: iterate over it for what `loop.run` yields, and close it."""

    def __init__(self, plan: Plan, modality: Modality, *, budget: Budget, store: Store) -> None:
        self._controller = controller(plan)
        scored_by = evaluator(plan, modality)
        self._engine = engine(plan)
        self._events = run(self._controller, scored_by, budget=budget, store=store, engine=self._engine)

    def __iter__(self) -> Iterator[Trial | Progress]:
        return self._events

    def metrics(self) -> Mapping[str, float]:
        """Return figures of the controller."""
        return self._controller.metrics() if isinstance(self._controller, Describes) else {}

    def close(self) -> None:
        """End the engine."""
        self._engine.close()


def search(plan: Plan, modality: Modality, *, budget: Budget, store: Store) -> Search | ReplicatedSearch:
    """Return the search of a plan, by one controller or by replicas of it."""
    cluster = plan.cluster
    if not cluster.replicas:
        return Search(plan, modality, budget=budget, store=store)
    from archwright.distributed.search import ReplicatedSearch, Scheme

    return ReplicatedSearch(
        controller(plan),
        evaluator(plan, modality),
        scheme=Scheme(cluster.replicas, cluster.shards, cluster.accumulate, cluster.child_cpus, cluster.child_gpus),
        budget=budget,
        store=store,
        address=cluster.ray_address,
        limits=cluster.limits,
    )
