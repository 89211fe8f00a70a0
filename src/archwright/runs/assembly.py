"""The components that a plan asks for, and the networks of its final training."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from archwright.components import controller_class
from archwright.controllers.starting import Starting
from archwright.loop import Engine, Inline, run
from archwright.runs.cluster import require_typed_address
from archwright.training.child import child_network, child_recipe
from archwright.training.randomness import Stream, seeded

if TYPE_CHECKING:
    from archwright.evaluators.race import Trainings
    from archwright.loop import Budget, Progress, Store, Trial
    from archwright.modalities.protocol import Modality
    from archwright.runs.plan import Plan
    from archwright.space import Architecture
    from archwright.training.recipe import Recipe


def controller(plan: Plan) -> Any:
    """Return the untrained controller, which proposes known networks first where the method has any."""
    search = plan.search
    settings = {**search.method.controller_settings(search), **search.controller_settings}
    made = controller_class(search.controller)(search.space, seed=plan.seed, **settings)
    known = search.method.known(search)
    return Starting(made, list(known.values())) if known else made


def evaluator(plan: Plan, modality: Modality, trainings: Trainings | None = None) -> Any:
    """Return what scores the trials of the search."""
    return plan.search.method.evaluator(replace(plan.context(modality), trainings=trainings))


def engine(plan: Plan) -> Engine:
    """Return where trials are scored."""
    cluster = plan.cluster
    if cluster.in_process:
        return Inline()
    if cluster.engine == "local":
        from archwright.engines.processes import LocalProcesses

        return LocalProcesses(cluster.workers, threads=max(1, plan.threads // cluster.workers), **cluster.limits)
    from archwright.engines.ray import RayTasks

    return RayTasks(
        cluster.workers, cluster.ray_address, cpus=cluster.child_cpus, gpus=cluster.child_gpus, **cluster.limits
    )


def search(
    plan: Plan, modality: Modality, *, budget: Budget, store: Store, trainings: Trainings | None = None
) -> Generator[Trial | Progress, None, None]:
    """Yield what a search yields, by one controller or by replicas of it; closing the generator ends its workers."""
    parts: tuple[Any, Any] = controller(plan), evaluator(plan, modality, trainings)
    cluster = plan.cluster
    require_typed_address(cluster.engine)
    if not cluster.replicas:
        with contextlib.closing(engine(plan)) as workers:
            yield from run(*parts, budget=budget, store=store, engine=workers)
        return
    from archwright.distributed.search import ReplicatedSearch

    with contextlib.closing(ReplicatedSearch(*parts, cluster, budget=budget, store=store)) as replicated:
        yield from replicated


def network_of(plan: Plan, modality: Modality, architecture: Architecture | None) -> Any:
    """Return a network of final training with the weights it starts from; None: the plan's reference network."""
    space: Any = plan.final.space
    if architecture is not None:
        return child_network(space, architecture, modality.data.task, plan.seed)
    with seeded(torch.device("cpu"), Stream.WEIGHTS, plan.seed):
        if plan.final.residual is None:
            return space.reference(modality.data.task)
        stride, dropout = getattr(space, "stem_stride", 1), getattr(space, "dropout", 0.0)
        return modality.residual(plan.final.residual, stem_stride=stride, dropout=dropout)


def recipe_of(plan: Plan, architecture: Architecture | None) -> Recipe:
    """Return the recipe of final training, with the fields that the architecture itself sets."""
    recipe = plan.final.recipe
    return recipe if architecture is None else child_recipe(plan.final.space, architecture, recipe)
