"""The components that a plan asks for, and the networks of its final training."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Generator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import torch

from archwright.components import controller_class
from archwright.controllers.admitting import Admitting
from archwright.controllers.starting import Starting
from archwright.costs.network_costs import Costs, Facts
from archwright.evaluators.costed import Costed
from archwright.loop import Engine, Inline, run
from archwright.nets.network import without_auxiliary
from archwright.runs.cluster import require_typed_address
from archwright.training.child import child_network, child_recipe
from archwright.training.randomness import Stream, seeded

Source: TypeAlias = "Exact | Predicted"

if TYPE_CHECKING:
    from archwright.evaluators.race import Trainings
    from archwright.loop import Budget, Progress, Store, Trial
    from archwright.modalities.protocol import Modality
    from archwright.runs.costing import Exact, Predicted
    from archwright.runs.plan import Plan
    from archwright.space import Architecture
    from archwright.training.recipe import Recipe


def costs_of(plan: Plan, modality: Modality, facts: Facts | None = None) -> Costs:
    """Return what measures the networks of final training, as they are delivered."""
    return Costs(partial(_delivered, plan, modality), modality.program, partial(_work, modality), plan.target, facts)


def _delivered(plan: Plan, modality: Modality, architecture: Architecture) -> Any:
    return without_auxiliary(network_of(plan, modality, architecture))


def _work(modality: Modality, network: Any) -> float:
    return float(modality.size(network)["multiply_adds"])


def controller(plan: Plan, source: Source | None = None) -> Any:
    """Return the untrained controller, which proposes known networks first where the method has any.

    What is known to break a limit is not proposed, except by replicas: there it fails.
    """
    search = plan.search
    settings = {**search.method.controller_settings(search), **search.controller_settings}
    make = controller_class(search.controller)
    if search.pareto and "objectives" in inspect.signature(make).parameters:
        settings = {"objectives": search.aims.objectives, **settings}
    made = make(search.space, seed=plan.seed, **settings)
    if source is not None and search.aims.limits and not plan.cluster.replicas:
        made = Admitting(made, source.admits)
    known = search.method.known(search)
    return Starting(made, list(known.values()), near=True) if known else made


def evaluator(plan: Plan, modality: Modality, source: Source | None = None, trainings: Trainings | None = None) -> Any:
    """Return what scores the trials of the search."""
    made, aims = plan.search.method.evaluator(replace(plan.context(modality), trainings=trainings)), plan.search.aims
    return made if source is None or aims.plain else Costed(made, source, aims)


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
    plan: Plan,
    modality: Modality,
    source: Source,
    *,
    budget: Budget,
    store: Store,
    trainings: Trainings | None = None,
) -> Generator[Trial | Progress, None, None]:
    """Yield what a search yields, by one controller or by replicas of it; closing the generator ends its workers."""
    parts: tuple[Any, Any] = controller(plan, source), evaluator(plan, modality, source, trainings)
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
