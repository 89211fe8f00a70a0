"""The time of a run: rates measured once and kept in the run folder, what is spent and left, and what fits."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from archwright.errors import ChildFailure
from archwright.loop import Minutes
from archwright.methods.cost import FORWARD, Cost, Rates, cost, mean_seconds
from archwright.runs.grid import GRID_SHARE, grid
from archwright.runs.networks import network_of, recipe_of
from archwright.runs.plan import PHASES
from archwright.space import sample
from archwright.training.fit import Fit

if TYPE_CHECKING:
    from archwright.modalities.protocol import Modality
    from archwright.runs.plan import Plan
    from archwright.space import Architecture
    from archwright.store import RunStore

MARGIN = 0.97  # of a wall-time budget is planned; loading, measuring and writing take the rest
SHORT = 1 / 6  # of final training, for the architectures on the shortlist
MEASURED = 6  # architectures that are timed: their costs differ several times over
TIMED_STEPS, TIMED_SHARE = 3, 0.002  # of a wall-time budget, for timing one architecture
OVERRUN = 1.05  # of its estimate, that a timed search may take


def step_seconds(
    plan: Plan, modality: Modality, architecture: Architecture | None, count: int, least: float = 0.0
) -> float:
    """Return the mean seconds of `count` steps of final training, and of as many more as `least` seconds take."""
    network = network_of(plan, modality, architecture)
    recipe = replace(recipe_of(plan, architecture), epochs=1)
    return mean_seconds(
        _until_it_fails(iter(Fit(network, modality, recipe, seed=plan.seed, device=plan.device))), count, least
    )


def _until_it_fails(steps: Iterator[Any]) -> Iterator[Any]:
    """A network that diverges is not timed further; training it records the failure."""
    with suppress(ChildFailure):
        yield from steps


def measure(plan: Plan, modality: Modality, known: Rates | None = None) -> Rates:
    """Time a few steps of everything the plan repeats, over several architectures: their mean is what a run pays.

    `known` are the rates of a plan that differs in the size of its networks: only children are timed then.
    """
    architectures = [sample(plan.search.space, (plan.seed, 99, i)) for i in range(MEASURED)]
    child = sum(step_seconds(plan, modality, architecture, 3) for architecture in architectures[:3]) / 3
    if known is not None:
        return known.at_child_step(child)
    return Rates(child, plan.search.method.measure(plan.context(modality), architectures))


def estimate(plan: Plan, modality: Modality, rates: Rates) -> dict[str, float]:
    """Return the expected seconds by phase."""
    final = plan.final
    search, derive = plan.search.method.seconds(plan.context(modality), rates)
    one = cost(final.recipe, modality, rates.child_step).of(final.recipe.epochs)
    derive += final.shortlist * SHORT * one if final.shortlist > 1 else 0.0
    trained = final.finalists * one
    return {
        "search": search,
        "derive": derive,
        "grid": len(grid(final.recipe)) * GRID_SHARE * one if final.grid else 0.0,
        "final training": trained,
        "random search": max(final.finalists, int((search + derive + trained) / one)) * one if final.baseline else 0.0,
        "reference": one if final.reference else 0.0,
        "test": test_seconds(plan, modality, rates),
    }


def test_seconds(plan: Plan, modality: Modality, rates: Rates) -> float:
    """Return what the test of the network found and a few random ones takes, and the pictures."""
    look = rates.child_step * FORWARD * len(modality.data.test) / modality.per_step(plan.final.recipe)
    return 4.0 + 3 * look


class Clock:
    """The seconds of a run by phase, resumed parts included, kept in its store."""

    def __init__(self, plan: Plan, modality: Modality, store: RunStore) -> None:
        self.plan, self.modality, self.store = plan, modality, store
        self._tick = time.monotonic()

    def begin(self) -> None:
        """Begin a phase, or go on with it."""
        self._tick = time.monotonic()

    def account(self, phase: str, every: float = 0.0) -> None:
        """Record the seconds since the last call as the phase's, if `every` seconds have passed."""
        now = time.monotonic()
        if now - self._tick < every:
            return
        seconds = self.store.get("seconds") or {}
        seconds[phase] = seconds.get(phase, 0.0) + now - self._tick
        self._tick = now
        self.store.put("seconds", seconds)

    def spent(self, *phases: str) -> float:
        """Return the seconds in these phases, or in all, the current moment included."""
        seconds = self.store.get("seconds") or {}
        return float(sum(seconds.get(phase, 0.0) for phase in phases or PHASES)) + time.monotonic() - self._tick

    @property
    def left(self) -> float:
        """Seconds until the test has to begin, in a timed run."""
        minutes = self.plan.budget.minutes
        assert minutes is not None
        overhead = float(self.store.get("overhead") or 0.0)
        whole = max(MARGIN, 1 - 20 / (60 * minutes)) * minutes * 60  # the pictures take seconds
        return whole - overhead - self.plan.budget.estimate.get("test", 0.0) - self.spent()

    def search_budget(self) -> Minutes | None:
        """Return what is left for the search in a timed run: the plan's count is a forecast, the clock decides."""
        if self.plan.budget.minutes is None:
            return None
        left = OVERRUN * self.plan.budget.estimate["search"] - self.spent("search")
        return Minutes(max(left, 1.0) / 60)

    def too_late(self, seconds: float) -> bool:
        """Return whether training one more candidate would overrun the deadline by a third of its duration."""
        return self.plan.budget.minutes is not None and self.left < seconds / 3 * 2

    def cost(self, architecture: Architecture | None) -> Cost:
        """Return what final training of an architecture costs, measured once."""
        key = f"rate/{'reference' if architecture is None else architecture.id}"
        step = self.store.get(key)
        if step is None:
            least = TIMED_SHARE * 60 * (self.plan.budget.minutes or 0.0)
            step = step_seconds(self.plan, self.modality, architecture, TIMED_STEPS, least)
            self.store.put(key, step)
        return cost(self.plan.final.recipe, self.modality, step)

    def remaining(self, phases: Sequence[str]) -> list[float]:
        """Return the expected seconds of these phases."""
        expected = self.store.get("estimate") or dict(self.plan.budget.estimate)
        return [expected.get(phase, 0.0) for phase in phases]

    def settle(self, finalists: Sequence[Architecture], random: Any, most: int) -> tuple[int, float, dict[str, float]]:
        """Return how many random architectures are trained, for how many epochs everything is, and what that takes.

        Architectures differ several times in cost, so those that will be trained are timed now. The random search gets
        the time that search and final training take together. `random` gives the random architecture of a number.
        """
        final, timed = self.plan.final, self.plan.budget.minutes is not None
        spent, epochs = self.spent("search", "derive"), float(final.recipe.epochs)
        own = sum((self.cost(architecture) for architecture in finalists), Cost(0.0, 0.0))
        reference = self.cost(None) if final.reference else Cost(0.0, 0.0)
        randoms, count = Cost(0.0, 0.0), 0
        while count < (most if final.baseline else 0):
            more = randoms + self.cost(random(count))
            fitting = (own + reference + more).epochs_within(self.left) if timed else epochs
            if count >= len(finalists) and more.of(fitting) > spent + own.of(fitting):
                break
            randoms, count = more, count + 1
        if timed:
            epochs = (own + reference + randoms).epochs_within(self.left)
        return (
            count,
            epochs,
            {
                "final training": own.of(epochs),
                "random search": randoms.of(epochs),
                "reference": reference.of(epochs),
            },
        )
