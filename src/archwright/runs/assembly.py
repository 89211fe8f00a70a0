"""The components that a plan asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from archwright.evaluators.from_scratch import FromScratch
from archwright.evaluators.objective import OBJECTIVES
from archwright.evaluators.shared_weights import SharedWeights
from archwright.loop import Engine, Inline
from archwright.runs.components import controller_class

if TYPE_CHECKING:
    from archwright.data.images import ImageData
    from archwright.data.text import TextData
    from archwright.runs.plan import Plan


def controller(plan: Plan) -> Any:
    """The controller, untrained."""
    return controller_class(plan.controller)(plan.space, seed=plan.seed, **plan.controller_settings)


def evaluator(plan: Plan, data: ImageData | TextData) -> SharedWeights | FromScratch:
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
        device=plan.device,
        time_limit=plan.time_limit if plan.workers == 1 else None,  # otherwise the engine keeps it
    )


def shared_weights(plan: Plan, data: ImageData | TextData) -> SharedWeights:
    """The shared weights, untrained."""
    return SharedWeights(
        plan.space,
        data,
        plan.search_recipe,
        trials_per_epoch=plan.trials_per_epoch,
        steps_per_epoch=plan.steps_per_epoch,
        warmup=plan.warmup,
        architectures_per_step=plan.architectures_per_step,
        evaluation_batch=plan.evaluation_batch,
        objective=OBJECTIVES[plan.objective](),
        seed=plan.seed,
        device=plan.device,
    )


def engine(plan: Plan) -> Engine:
    """Where trials are scored."""
    if plan.workers == 1:
        return Inline()
    from archwright.engines.processes import LocalProcesses

    threads = max(1, plan.threads // plan.workers)
    return LocalProcesses(plan.workers, time_limit=plan.time_limit, threads=threads)
