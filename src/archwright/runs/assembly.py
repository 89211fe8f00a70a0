"""The components that a plan asks for."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from archwright.components import controller_class
from archwright.loop import Engine, Inline, run

if TYPE_CHECKING:
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


def search(plan: Plan, modality: Modality, *, budget: Budget, store: Store) -> Generator[Trial | Progress, None, None]:
    """Yield what a search yields, by one controller or by replicas of it; closing the generator ends its workers."""
    cluster = plan.cluster
    if not cluster.replicas:
        with contextlib.closing(engine(plan)) as workers:
            yield from run(controller(plan), evaluator(plan, modality), budget=budget, store=store, engine=workers)
        return
    from archwright.distributed.search import ReplicatedSearch, Scheme

    replicated = ReplicatedSearch(
        controller(plan),
        evaluator(plan, modality),
        scheme=Scheme(cluster.replicas, cluster.shards, cluster.accumulate, cluster.child_cpus, cluster.child_gpus),
        budget=budget,
        store=store,
        address=cluster.ray_address,
        limits=cluster.limits,
    )
    with contextlib.closing(replicated):
        yield from replicated
