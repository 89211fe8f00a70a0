"""Plans of runs that fill a time: sizes, search and final training from measured rates."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from archwright.errors import ConfigError
from archwright.methods.cost import LEAST_PASSES, Rates, cost
from archwright.presets.values import SIZES
from archwright.runs.assembly import costs_of
from archwright.runs.clock import LATEST, REPORT_SECONDS
from archwright.runs.costing import Exact
from archwright.runs.floors import divide, require_half, require_passes, require_time
from archwright.runs.rates import SHORT, test_seconds
from archwright.runs.timing import TIMED_SHARE, TIMED_STEPS, at_batch, measure, step_seconds

if TYPE_CHECKING:
    from archwright.costs.network_costs import Remembered
    from archwright.runs.draft import Planner
    from archwright.runs.plan import Plan
    from archwright.space import Architecture, Space
    from archwright.training.recipe import Recipe

SEARCH_PASSES, FINAL_PASSES = 8.0, 20.0  # over the training part, at least, for a larger network to be worth it


@dataclass(frozen=True)
class TimedPlanner:
    """Makes the plan that fills `seconds` from the moment `begun` (`time.monotonic`).

    `costs` are facts of what networks cost, and the space of final training that they hold for.
    """

    planner: Planner
    seconds: float
    begun: float
    costs: tuple[Space, Remembered]

    def plan(self) -> Plan:
        """Return the plan, in which half of its own time at least goes to the network delivered (`floors`)."""
        planner, smallest = self.planner, self.planner.threaded(self.planner.plan(SIZES[0]))
        if (planned := self._by_method(smallest)) is not None:
            return planned
        smallest = planner.narrowed(smallest)
        rates = measure(smallest, planner.modality)
        chosen, passes = self._fitted(smallest, rates)
        for size in SIZES[1:]:
            if passes[0] < 2 * SEARCH_PASSES or passes[1] < 2 * FINAL_PASSES:
                break
            candidate = planner.threaded(planner.narrowed(planner.plan(size)))
            if candidate.final.space == chosen.final.space:  # the user fixed the size
                break
            rates = measure(candidate, planner.modality, rates)
            try:
                fitted, more = self._fitted(candidate, rates)
            except ConfigError:  # so large that nothing is left for the search
                break
            if more[0] < SEARCH_PASSES or more[1] < FINAL_PASSES:
                break
            chosen, passes = fitted, more
        if passes[1] < LEAST_PASSES and (fixed := [*self._fixed(smallest)]):
            require_passes(self.seconds / 60, passes[1], self._passes_without(smallest), fixed)
        return chosen

    @property
    def _left(self) -> float:
        """Seconds until the test, which takes some of them itself."""
        return min(LATEST * self.seconds, self.seconds - REPORT_SECONDS) - (time.monotonic() - self.begun)

    def _by_method(self, plan: Plan) -> Plan | None:
        """Return the plan with what its method plans by itself, if it does."""
        measured: dict[str, float] = {}
        steps: dict[str, float] = {}
        timed: dict[tuple[str, str, str], float] = {}
        modality, user, final = self.planner.modality, self.planner.user, plan.final

        def step(architecture: Architecture, recipe: Recipe) -> float:
            so = replace(plan, final=replace(final, recipe=recipe))
            key = architecture.id, recipe.precision, recipe.optimizer  # what else a plan changes takes no time
            if key not in timed:
                timed[key] = step_seconds(so, modality, architecture, TIMED_STEPS, TIMED_SHARE * self.seconds)
            seconds = timed[key]
            measured[f"rate/{architecture.id}"] = seconds
            steps[architecture.id] = at_batch(so, modality, architecture, seconds)
            return seconds

        require_time(self.seconds, self._left)
        parts = 1 + final.baseline + final.reference + final.known
        fixed = user.settings.keys() | user.final_recipe.keys()
        space, facts = self.costs
        known = costs_of(plan, modality, facts if space == final.space else None)
        context = replace(plan.context(modality), excess=Exact(plan, known).excess)
        settings = plan.search.method.planned(context, self._left / parts, fixed, step)
        if settings is None:
            return None
        recipe = replace(final.recipe, **{**settings.pop("recipe"), **user.final_recipe})
        near, given = settings.pop("near", []), {k: v for k, v in user.settings.items() if k != "starters"}
        sized = replace(plan, final=replace(final, recipe=recipe)).changed({**settings, **given})
        plan = self.planner.narrowed(sized, near)
        for before, now in zip(*(one.search.method.known(one.search).values() for one in (sized, plan)), strict=True):
            if (key := f"rate/{before.id}") in measured:
                measured[f"rate/{now.id}"] = measured[key]
        rates = Rates(min(steps.values()), measured) if measured else measure(plan, modality)
        return self.planner.estimated(plan, rates)

    def _fitted(self, plan: Plan, rates: Rates) -> tuple[Plan, tuple[float, float]]:
        """Return the plan with counts that fill the time, and the passes of search and final training."""
        modality, user, search, final = self.planner.modality, self.planner.user, plan.search, plan.final
        context, each = plan.context(modality), cost(final.recipe, modality, rates.child_step)
        left = self._left - test_seconds(plan, modality, rates)
        require_time(self.seconds, left)
        division = divide(self.seconds, left, final, each.of(LEAST_PASSES))
        shortlist = final.shortlist if "shortlist" in user.settings else division.shortlist(final.shortlist)
        short = shortlist * SHORT if shortlist > 1 else 0.0
        ranking, derive = search.method.derivation(context, rates, self.seconds)
        searching = max(0.05 * division.own, division.search - derive - short * division.delivered)
        counts, passes = search.method.fitted(context, rates, searching, user.search_recipe.keys())
        recipe = replace(search.recipe, **{"epochs": counts.pop("epochs"), **user.search_recipe})
        settings = {**ranking, **counts, "shortlist": shortlist}
        settings = {name: value for name, value in settings.items() if name not in user.settings}
        plan = replace(plan, search=replace(search, recipe=recipe)).changed(settings)
        spent, trainings = (
            sum(plan.search.method.seconds(plan.context(modality), rates)),
            (1 if search.pareto else final.finalists) + short,
        )
        require_half(self.seconds / 60, division.own, spent, trainings, [*self._fixed(plan)])
        epochs = each.epochs_within((division.own - spent) / (final.finalists + short))
        plan = replace(plan, final=replace(plan.final, recipe=replace(final.recipe, epochs=epochs)))
        return self.planner.estimated(self.planner.suited(plan), rates), (passes, epochs)

    def _fixed(self, plan: Plan) -> Iterator[str]:
        """Yield the user's flags on which sizes, the length of the search and the share of final training depend."""
        user = self.planner.user
        fields = {"space": user.space_fields, "final-space": user.final_space_fields}
        fields["search-recipe"] = user.search_recipe
        yield from (f"--{name.replace('_', '-')}" for name in sorted(_lengths(plan) & user.settings.keys()))
        yield from (f"--{part}.{name.replace('_', '-')}" for part, names in fields.items() for name in names)

    def _passes_without(self, plan: Plan) -> float:
        """Return the passes of final training without the settings of the user that make them few."""
        user = self.planner.user
        settings = {name: value for name, value in user.settings.items() if name not in _lengths(plan)}
        user = replace(user, space_fields={}, final_space_fields={}, search_recipe={}, settings=settings)
        free = replace(self, planner=replace(self.planner, user=user))
        smallest = free.planner.plan(SIZES[0])
        return free._fitted(smallest, measure(smallest, self.planner.modality))[1][1]


def _lengths(plan: Plan) -> set[str]:
    """Return the settings on which the length of the search, and the number of trainings, depend."""
    return {"trials", "shortlist", "finalists", *vars(plan.search.method)}
