"""What a step of training takes, measured where the children of a search are trained: there, whatever the user's code
does to its process is a failure of one network.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from statistics import fmean
from typing import TYPE_CHECKING, Any

from archwright.errors import ChildFailure, ConfigError
from archwright.loop import Engine, Inline, Proposal, Result, Stateless, result_of
from archwright.methods.cost import Rates, median_seconds
from archwright.runs.assembly import network_of, recipe_of
from archwright.space import sample
from archwright.training.fit import Fit

if TYPE_CHECKING:
    from archwright.modalities.protocol import Modality
    from archwright.runs.plan import Plan
    from archwright.space import Architecture

MEASURED = 6  # architectures that are timed: their costs differ several times over
TIMED_CHILDREN = 3  # of them, in final training
TIMED_STEPS, TIMED_SHARE = 3, 0.002  # of a wall-time budget, for timing one architecture


@dataclass(eq=False)
class _Timed(Stateless):
    """Scores an architecture by the median seconds of `count` steps of final training; None: the plan's reference."""

    plan: Plan
    modality: Modality
    count: int
    least: float
    failure_reward: float = 0.0
    trials_per_epoch: float = 1.0

    def evaluate(self, proposal: Proposal) -> Result:
        plan, architecture = self.plan, proposal.architecture
        recipe = replace(recipe_of(plan, architecture), epochs=1)
        network = network_of(plan, self.modality, architecture)
        fit = Fit(network, self.modality, recipe, seed=plan.seed, device=plan.device)

        def steps() -> Iterator[Any]:
            with contextlib.suppress(ChildFailure):  # one that diverges is not timed further; training records it
                yield from fit

        return Result(median_seconds(steps(), self.count, self.least, plan.budget.patience), {})


def timing_engine(plan: Plan) -> Engine:
    """Return what networks are timed in: this process, or, as the children, one that can be ended.

    It has the threads of final training, which is what is timed, and no limit of memory, as final training has none.
    """
    if plan.cluster.in_process:
        return Inline()
    from archwright.engines.processes import LocalProcesses

    return LocalProcesses(1, threads=max(1, plan.threads), time_limit=plan.cluster.time_limit)


def step_seconds(
    plan: Plan,
    modality: Modality,
    architecture: Architecture | None,
    count: int,
    least: float = 0.0,
    *,
    engine: Engine | None = None,
) -> float:
    """Return the median seconds of `count` steps of final training, and of as many more as `least` seconds take.

    Raises:
        ChildFailure: if the network cannot be built or trained.
    """
    timed, proposal = _Timed(plan, modality, count, least), Proposal(0, architecture)  # type: ignore[arg-type]
    with contextlib.ExitStack() as opened:
        used = opened.enter_context(contextlib.closing(timing_engine(plan))) if engine is None else engine
        result = result_of(used.submit(timed, proposal), timed)
    if result.error is not None:
        raise ChildFailure(result.error)
    return result.reward


def at_batch(plan: Plan, modality: Modality, architecture: Architecture | None, seconds: float) -> float:
    """Return the seconds of an architecture's step as if its batch were the plan's, which is what `Rates` have."""
    return seconds * modality.per_step(plan.final.recipe) / modality.per_step(recipe_of(plan, architecture))


def timed_architectures(plan: Plan) -> list[Architecture]:
    """Return the architectures that are timed for a plan: known networks, or else random ones."""
    known = list(plan.search.method.known(plan.search).values())
    return known or [sample(plan.search.space, (plan.seed, 99, i)) for i in range(MEASURED)]


def measure(plan: Plan, modality: Modality, known: Rates | None = None) -> Rates:
    """Time a few steps of everything the plan repeats, over several architectures: their mean is what a run pays.

    `known` are the rates of a plan that differs in the size of its networks: only children are timed then.
    """
    architectures = timed_architectures(plan)
    seconds: list[float] = []
    failure: ChildFailure | None = None
    with contextlib.closing(timing_engine(plan)) as engine:
        for architecture in architectures:
            if len(seconds) == TIMED_CHILDREN:
                break
            try:
                step = step_seconds(plan, modality, architecture, TIMED_STEPS, engine=engine)
                seconds.append(at_batch(plan, modality, architecture, step))
            except ChildFailure as error:
                failure = error
    if not seconds:
        raise ConfigError(f"none of {len(architectures)} architectures could be trained; the last: {failure}")
    if known is not None:
        return known.at_child_step(fmean(seconds))
    return Rates(fmean(seconds), plan.search.method.measure(plan.context(modality), architectures))
