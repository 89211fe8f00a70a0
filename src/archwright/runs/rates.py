"""What a plan costs in seconds, and the number of threads with which its steps are faster."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from archwright.errors import ChildFailure
from archwright.methods.cost import FORWARD, Rates
from archwright.runs.grid import GRID_SHARE, grid
from archwright.runs.timing import TIMED_STEPS, step_seconds, timed_architectures
from archwright.training import threads

if TYPE_CHECKING:
    from archwright.modalities.protocol import Modality
    from archwright.runs.plan import Plan
    from archwright.space import Architecture

SHORT = 1 / 6  # of final training, for the architectures on the shortlist
SLOW_STEP = 1.0  # seconds: a longer step is timed once with each number of threads
GAIN = 0.9  # of the seconds of one thread, at most, for more threads to be worth the cores that they take


def with_threads(plan: Plan, modality: Modality, architecture: Architecture | None = None) -> Plan:
    """Return the plan with the number of threads with which a step of final training is faster, in use from here on.

    That is one, or all that torch has here. Small networks are faster with one, and so are all beside other work, where
    threads wait for each other; more than one take more cores, so they have to be faster by a tenth.
    """
    most = threads.available()
    if most > 1 and torch.device(plan.device).type == "cpu":
        for timed in [architecture] if architecture is not None else timed_architectures(plan):
            with suppress(ChildFailure):  # another tells as well
                plan = replace(plan, threads=_faster(plan, modality, timed, most))
                break
    pin_threads(plan)
    return plan


def _faster(plan: Plan, modality: Modality, architecture: Architecture, most: int) -> int:
    seconds = dict.fromkeys((1, most), math.inf)
    for count in (1, most, 1, most):  # in turn: other work comes and goes
        if not SLOW_STEP < seconds[count] < math.inf:
            threads.use(count)
            took = step_seconds(replace(plan, threads=count), modality, architecture, TIMED_STEPS)
            seconds[count] = min(seconds[count], took)
    return most if seconds[most] < GAIN * seconds[1] else 1


def pin_threads(plan: Plan) -> None:
    """Use as many threads as the plan was made with: sums depend on it, and a resumed run must give the same bits."""
    if plan.threads:
        threads.use(plan.threads)


def estimate(plan: Plan, modality: Modality, rates: Rates) -> dict[str, float]:
    """Return the expected seconds by phase."""
    final = plan.final
    search, derive = plan.search.method.seconds(plan.context(modality), rates)
    one = plan.search.method.whole_seconds(plan.context(modality), rates)
    derive += final.shortlist * SHORT * one if final.shortlist > 1 else 0.0
    trained = plan.search.method.finalists_seconds(plan.context(modality), rates)
    return {
        "search": search,
        "derive": derive,
        "grid": len(grid(final.recipe)) * GRID_SHARE * one if final.grid else 0.0,
        "final training": trained,
        "known network": final.known * one,
        "random search": max(final.finalists, int((search + derive + trained) / one)) * one if final.baseline else 0.0,
        "reference": one if final.reference else 0.0,
        "test": test_seconds(plan, modality, rates),
    }


def test_seconds(plan: Plan, modality: Modality, rates: Rates) -> float:
    """Return what the test of the network found and a few random ones takes, and the pictures."""
    look = rates.child_step * FORWARD * len(modality.data.test) / modality.per_look(plan.final.recipe)
    look *= max(space.forwards for space in (plan.final.space, *plan.final.other_ways.values()))
    return 1.0 + (1 + 2 * (plan.final.baseline or plan.final.reference) + bool(plan.final.known)) * look
