"""The time of a run: rates measured once and kept in the run folder, what is spent and left, and what fits."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from archwright.errors import ChildFailure, RunError
from archwright.loop import Engine, Minutes, Tally, Trials
from archwright.methods.cost import FORWARD, Cost, Rates, cost
from archwright.runs.assembly import recipe_of
from archwright.runs.events import Stage
from archwright.runs.grid import GRID_SHARE, grid
from archwright.runs.plan import PHASES
from archwright.runs.timing import TIMED_SHARE, TIMED_STEPS, step_seconds, timing_engine

if TYPE_CHECKING:
    from archwright.modalities.protocol import Modality
    from archwright.runs.plan import Plan
    from archwright.space import Architecture
    from archwright.store import RunStore

MARGIN = 0.97  # of a wall-time budget is planned; loading, measuring and writing take the rest
LATEST, REPORT_SECONDS = 0.99, 5.0  # when the test begins, and what the model, pictures and report take
SHORT = 1 / 6  # of final training, for the architectures on the shortlist
OVERRUN = 1.05  # of its estimate, that a timed search may take
MOST_RANDOM = 64


@dataclass(frozen=True)
class _Either:
    """Stops with the first of two budgets."""

    count: Trials
    time: Minutes

    def spent(self, tally: Tally) -> float:
        return max(self.count.spent(tally), self.time.spent(tally))


def estimate(plan: Plan, modality: Modality, rates: Rates) -> dict[str, float]:
    """Return the expected seconds by phase."""
    final = plan.final
    search, derive = plan.search.method.seconds(plan.context(modality), rates)
    one = plan.search.method.whole_seconds(plan.context(modality), rates)
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
    look *= plan.final.space.forwards
    return 1.0 + (1 + 2 * (plan.final.baseline or plan.final.reference)) * look


class Clock:
    """The seconds of a run by phase, resumed parts included, kept in its store."""

    def __init__(self, plan: Plan, modality: Modality, store: RunStore) -> None:
        self.plan, self.modality, self.store = plan, modality, store
        self._timed = plan.budget.minutes is not None
        self._tick = time.monotonic()
        self._timing: Engine | None = None

    @contextmanager
    def timing(self) -> Iterator[None]:
        """Keep what networks are timed in for several of them."""
        with closing(timing_engine(self.plan)) as self._timing:
            try:
                yield
            finally:
                self._timing = None

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Account for the seconds of a phase, however it ends."""
        self._tick = time.monotonic()
        try:
            yield
        finally:
            with suppress(RunError):
                self.account(name)

    def account(self, phase: str, every: float = 0.0) -> None:
        """Record the seconds since the last call as the phase's, if `every` seconds have passed.

        Phases that are no part of a run (a ranking of its shared weights) are not recorded.
        """
        now = time.monotonic()
        if phase not in PHASES or now - self._tick < every:
            return
        seconds = self.store.get("seconds", {})
        seconds[phase] = seconds.get(phase, 0.0) + now - self._tick
        self._tick = now
        self.store.put("seconds", seconds)

    def spent(self, *phases: str) -> float:
        """Return the seconds in these phases, or in all, the current moment included."""
        seconds = self.store.get("seconds", {})
        return float(sum(seconds.get(phase, 0.0) for phase in phases or PHASES)) + time.monotonic() - self._tick

    @property
    def left(self) -> float:
        """Seconds until the test has to begin, in a timed run."""
        budget = self.plan.budget
        assert budget.minutes is not None
        whole = 60 * budget.minutes
        return (
            min(LATEST * whole, whole - REPORT_SECONDS)
            - float(self.store.get("overhead", 0.0))
            - budget.estimate.get("test", 0.0)
            - self.spent()
        )

    def search_budget(self) -> Trials | _Either:
        """Return the budget of the search: in a timed run the plan's count is a forecast, the clock decides."""
        trials = Trials(self.plan.search.trials)
        if not self._timed:
            return trials
        left = OVERRUN * self.plan.budget.estimate["search"] - self.spent("search")
        return _Either(trials, Minutes(max(left, 1.0) / 60))

    def too_late(self, seconds: float) -> bool:
        """Return whether training one more candidate would overrun the deadline by a third of its duration."""
        return self._timed and self.left < seconds / 3 * 2

    def cost(self, architecture: Architecture | None) -> Cost:
        """Return what final training of an architecture costs, measured once."""
        key = f"rate/{'reference' if architecture is None else architecture.id}"
        step = self.store.get(key) or self.plan.budget.rates.get(key)  # some were measured for the plan
        if step is None:
            least = TIMED_SHARE * 60 * (self.plan.budget.minutes or 0.0)
            try:
                step = step_seconds(self.plan, self.modality, architecture, TIMED_STEPS, least, engine=self._timing)
            except ChildFailure:  # its training will say so
                step = self.plan.budget.rates.get("child step")
                if step is None:
                    raise
            self.store.put(key, step)
        return cost(recipe_of(self.plan, architecture), self.modality, step)

    def stage(self, phases: Sequence[str]) -> Stage:
        """Return the beginning of the first of these phases, with what it and all of them are expected to take."""
        expected = self.store.get("estimate") or self.plan.budget.estimate
        seconds = [expected.get(phase, 0.0) for phase in phases]
        return Stage(phases[0], seconds[0], sum(seconds))

    def share_left(self, phase: str, trainings: int) -> Callable[[], float] | None:
        """Return what gives the seconds left for the next of so many trainings of a phase; None without a deadline.

        Later phases keep the part of the time that they were expected to take.
        """
        if not self._timed:
            return None
        expected = self.store.get("estimate") or self.plan.budget.estimate
        later = PHASES[PHASES.index(phase) + 1 : -1]
        own, others = expected.get(phase, 0.0), sum(expected.get(name, 0.0) for name in later)
        part = (own / (own + others) if own else 1.0) / max(1, trainings)
        begun, whole = self.spent(), self.left * part
        return lambda: whole - (self.spent() - begun)

    def settle(
        self,
        finalists: Sequence[Architecture],
        random: Callable[[int], Architecture],
        done: Mapping[Architecture, float] | None = None,
    ) -> tuple[int, float, dict[str, float]]:
        """Return how many random architectures are trained, for how many epochs everything is, and what that takes.

        `done` is the share of their training that some finalists have behind them.

        Architectures differ several times in cost, so those that will be trained are timed now. The random search gets
        the time that search and final training take together. `random` gives the random architecture of a number.
        """
        final = self.plan.final
        spent, epochs = self.spent("search", "derive"), float(final.recipe.epochs)
        if done:
            return self._settled_race(self.spent("search", "derive", "final training"), done)
        with self.timing():
            own = sum(map(self.cost, finalists), Cost(0.0, 0.0))
            reference = self.cost(None) if final.reference else Cost(0.0, 0.0)
            randoms, count = Cost(0.0, 0.0), 0
            while count < (MOST_RANDOM if final.baseline else 0):
                more = randoms + self.cost(random(count))
                fitting = (own + reference + more).epochs_within(self.left) if self._timed else epochs
                if count >= len(finalists) and more.of(fitting) > spent + own.of(fitting):
                    break
                randoms, count = more, count + 1
        if self._timed:
            epochs = (own + reference + randoms).epochs_within(self.left)
        costs = {"final training": own, "random search": randoms, "reference": reference}
        return count, epochs, {phase: cost.of(epochs) for phase, cost in costs.items()}

    def _settled_race(self, spent: float, done: Mapping[Architecture, float]) -> tuple[int, float, dict[str, float]]:
        """Return the same where finalists go on with trainings of equal seconds: others then train for as long."""
        final, whole = self.plan.final, self.whole_seconds
        own = whole * sum(1 - share for share in done.values())
        count = max(len(done), min(MOST_RANDOM, int((spent + own) / whole))) if final.baseline else 0
        expected = {"final training": own, "random search": count * whole, "reference": whole * final.reference}
        return count, float(final.recipe.epochs), expected

    @property
    def whole_seconds(self) -> float:
        """What the whole training of one network is expected to take."""
        rates = Rates(self.plan.budget.rates.get("child step", 0.0), self.plan.budget.rates)
        return self.plan.search.method.whole_seconds(self.plan.context(self.modality), rates)
