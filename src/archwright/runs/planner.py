"""Making a plan: a preset, what the user set, and, for a wall-time budget, a short measurement."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from archwright.costs.network_costs import Remembered
from archwright.errors import ConfigError
from archwright.modalities import modality
from archwright.presets import as_published
from archwright.runs.assembly import costs_of
from archwright.runs.costing import Exact, check
from archwright.runs.draft import Planner
from archwright.runs.draft import UserSettings as UserSettings
from archwright.runs.plan import Budget, DataSource, Plan
from archwright.runs.timed import TimedPlanner
from archwright.runs.timing import measure
from archwright.training.device import resolve_device
from archwright.training.threads import available


def make_plan(
    data: Any,
    user: UserSettings,
    *,
    data_name: str,
    data_options: Mapping[str, Any],
    preset: str = "small",
    minutes: float | None = None,
    seed: int = 0,
    device: str = "auto",
    threads: int | None = None,
    timed: bool = True,
    begun: float | None = None,
    measured: dict[str, Any] | None = None,
) -> Plan:
    """Return the plan for `data`. `preset` gives what `user` leaves open; `minutes` sizes it by measurement instead.

    `threads`: None takes the faster of one and all (`rates.with_threads`). `timed` measures that, and what a counted
    plan will take. `begun` is the moment (`time.monotonic`) that `minutes` count from. `measured` takes what networks
    were found to cost, facts of the run.
    """
    begun = time.monotonic() if begun is None else begun
    if threads is not None and threads < 1:
        raise ConfigError(f"threads is {threads}; it must be at least 1")
    if minutes is not None and "epochs" in user.final_recipe:
        raise ConfigError(
            f"final_recipe.epochs is {user.final_recipe['epochs']:g}, and --minutes decides how many epochs fit; leave "
            "out one of them"
        )
    if minutes is not None and as_published(preset):
        raise ConfigError("the paper preset has a counted budget; leave out --minutes, or use --preset small")
    base = {
        "data": DataSource(data_name, dict(data_options), data.fingerprint, modality(data).contract()),
        "budget": Budget(minutes),
        "seed": seed,
        "device": str(resolve_device(device)),
        "threads": threads or available(),
    }
    planner = Planner(modality(data), user, preset, base, threads is None)
    first = planner.plan()
    if not timed and minutes is None and first.search.aims.plain:
        return planner.narrowed(first)
    facts = Remembered()
    costs = costs_of(first, planner.modality, facts)
    context = replace(first.context(planner.modality), excess=Exact(first, costs).excess)
    # In minutes the known networks are sized below; one of them shows whether there is any within the limits.
    first = first.changed(first.search.method.limited(context, None if minutes is None else 1))
    check(first, planner.modality, costs)  # before anything is measured
    if minutes is None:
        first = planner.narrowed(first)
    if minutes is not None:
        plan = TimedPlanner(planner, minutes * 60, begun, (first.final.space, facts)).plan()
    elif timed:
        plan = planner.threaded(first)
        plan = planner.estimated(plan, measure(plan, planner.modality))
    else:
        plan = first
    if measured is not None and plan.final.space == first.final.space:
        measured |= facts
    return plan
