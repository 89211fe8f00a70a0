"""The components that a plan asks for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from archwright.components import controller_class
from archwright.errors import RunError
from archwright.evaluators.from_scratch import FromScratch
from archwright.evaluators.objective import OBJECTIVES
from archwright.evaluators.shared_weights import SharedWeights
from archwright.loop import Describes, Engine, Inline, Saved, run

if TYPE_CHECKING:
    from archwright.distributed.search import ReplicatedSearch
    from archwright.loop import Budget, Progress, Store, Trial
    from archwright.modalities.protocol import Data
    from archwright.runs.plan import Plan


def controller(plan: Plan) -> Any:
    """The controller, untrained."""
    return controller_class(plan.controller)(plan.space, seed=plan.seed, **plan.controller_settings)


def evaluator(plan: Plan, data: Data) -> SharedWeights | FromScratch:
    """What scores the trials of the search."""
    if plan.evaluator == "shared-weights":
        return shared_weights(plan, data)
    return FromScratch(
        plan.space,
        data,
        plan.search_recipe,
        objective=OBJECTIVES[plan.objective](),
        last_epochs=plan.last_epochs,
        seed=plan.seed,
        device="auto" if plan.child_gpus else plan.device,  # of a cluster: what the child finds where it runs
        time_limit=plan.time_limit if plan.in_process else None,  # otherwise the engine keeps it
    )


def shared_weights(plan: Plan, data: Data) -> SharedWeights:
    """The shared weights, untrained."""
    return SharedWeights(
        plan.space,
        data,
        plan.search_recipe,
        trials_per_epoch=plan.trials_per_epoch,
        steps_per_epoch=plan.steps_per_epoch,
        warmup=plan.warmup,
        architectures_per_step=plan.architectures_per_step,
        sampling=plan.sampling,
        evaluation_batch=plan.evaluation_batch,
        objective=OBJECTIVES[plan.objective](),
        seed=plan.seed,
        device=plan.device,
    )


def trained_weights(plan: Plan, data: Data, saved: Saved) -> SharedWeights:
    """The shared weights as a search left them."""
    weights = shared_weights(plan, data)
    if saved.evaluator is None:
        raise RunError("the run has no shared weights: its search was stopped before they were stored")
    weights.load_state_dict(saved.evaluator)
    return weights


def engine(plan: Plan) -> Engine:
    """Where trials are scored."""
    if plan.in_process:
        return Inline()
    if plan.engine != "local":
        from archwright.engines.ray import RayTasks

        return RayTasks(plan.workers, plan.ray_address, cpus=plan.child_cpus, gpus=plan.child_gpus, **_limits(plan))
    from archwright.engines.processes import LocalProcesses

    return LocalProcesses(plan.workers, threads=max(1, plan.threads // plan.workers), **_limits(plan))


def _limits(plan: Plan) -> dict[str, Any]:
    memory = None if plan.memory_limit is None else int(plan.memory_limit * 1e9)
    return {"time_limit": plan.time_limit, "memory_limit": memory}


class Search:
    """The search of a plan: iterate over it for what `loop.run` yields, and close it."""

    def __init__(self, plan: Plan, data: Data, *, budget: Budget, store: Store) -> None:
        self._controller = controller(plan)
        scored_by = evaluator(plan, data)
        self._engine = engine(plan)
        self._events = run(self._controller, scored_by, budget=budget, store=store, engine=self._engine)

    def __iter__(self) -> Iterator[Trial | Progress]:
        return self._events

    def metrics(self) -> Mapping[str, float]:
        """Figures of the controller."""
        return self._controller.metrics() if isinstance(self._controller, Describes) else {}

    def close(self) -> None:
        """End what it started."""
        self._engine.close()


def search(plan: Plan, data: Data, *, budget: Budget, store: Store) -> Search | ReplicatedSearch:
    """The search of a plan, by one controller or by replicas of it."""
    if not plan.replicas:
        return Search(plan, data, budget=budget, store=store)
    from archwright.distributed.search import ReplicatedSearch, Scheme

    return ReplicatedSearch(
        controller(plan),
        evaluator(plan, data),
        scheme=Scheme(plan.replicas, plan.shards, plan.accumulate, plan.child_cpus, plan.child_gpus),
        budget=budget,
        store=store,
        address=plan.ray_address,
        limits=_limits(plan),
    )
