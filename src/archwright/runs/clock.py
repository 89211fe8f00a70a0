"""The time of a run: rates measured once and kept in the run folder, what is spent and left, and what fits."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from archwright.errors import ChildFailure, RunError
from archwright.loop import Engine, Minutes, Tally, Trials
from archwright.methods.cost import Cost, Rates, cost
from archwright.runs.assembly import recipe_of
from archwright.runs.events import Stage
from archwright.runs.plan import PHASES
from archwright.runs.rates import test_seconds
from archwright.runs.timing import TIMED_SHARE, TIMED_STEPS, at_batch, step_seconds, timing_engine

if TYPE_CHECKING:
    from archwright.modalities.protocol import Modality
    from archwright.runs.plan import Plan
    from archwright.space import Architecture
    from archwright.store import RunStore

LATEST, REPORT_SECONDS = 0.99, 5.0  # when the test begins, and what the model, pictures and report take
OVERRUN = 1.05  # of its estimate, that a timed search may take
KEPT = 0.95  # of what later phases are expected to take: the search ends when no more is left
MOST_RANDOM = 64


@dataclass(frozen=True)
class _Either:
    """Stops with the first of two budgets."""

    count: Trials
    time: Minutes

    def spent(self, tally: Tally) -> float:
        return max(self.count.spent(tally), self.time.spent(tally))


class Clock:
    """The seconds of a run by phase, resumed parts included, kept in its store."""

    def __init__(self, plan: Plan, modality: Modality, store: RunStore) -> None:
        self.plan, self.modality, self.store = plan, modality, store
        self._timed = plan.budget.minutes is not None
        self._tick = time.monotonic()
        self._timing: Engine | None = None
        self._test: float | None = None  # seconds, by the steps that were measured last

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
        test = budget.estimate.get("test", 0.0) if self._test is None else self._test
        until = min(LATEST * whole, whole - REPORT_SECONDS)
        return until - float(self.store.get("overhead", 0.0)) - test - self.spent()

    def measured(self, architecture: Architecture | None, step: float) -> None:
        """Note the seconds of a step of final training as it is now: the test takes as much longer or shorter."""
        step = at_batch(self.plan, self.modality, architecture, step)
        self._test = test_seconds(self.plan, self.modality, Rates(step))

    def expected(self, *phases: str) -> float:
        """Return the seconds that these phases are expected to take together."""
        estimate = self.store.get("estimate") or self.plan.budget.estimate
        return float(sum(estimate.get(phase, 0.0) for phase in phases))

    def search_budget(self) -> Trials | _Either:
        """Return the budget of the search: in a timed run the plan's count is a forecast, the clock decides.

        Later phases keep their time, whatever loading and planning took.
        """
        trials = Trials(self.plan.search.trials)
        if not self._timed:
            return trials
        own, kept = self.expected("search"), KEPT * self.expected(*PHASES[1:-1])
        left = min(OVERRUN * own - self.spent("search"), self.left - kept)
        return _Either(trials, Minutes(max(left, 1.0) / 60))

    def too_late(self, seconds: float) -> bool:
        """Return whether training one more candidate would overrun the deadline by a third of its duration."""
        return self._timed and self.left < seconds / 3 * 2

    def cost(self, architecture: Architecture | None, plan: Plan | None = None) -> Cost:
        """Return what final training of an architecture costs, measured once; by another plan if its space is."""
        plan = plan or self.plan
        key = f"rate/{'reference' if architecture is None else architecture.id}"
        step = self.store.get(key) or self.plan.budget.rates.get(key)  # some were measured for the plan
        if step is None:
            least = TIMED_SHARE * 60 * (self.plan.budget.minutes or 0.0)
            try:
                step = step_seconds(plan, self.modality, architecture, TIMED_STEPS, least, engine=self._timing)
            except ChildFailure:  # its training will say so
                step = self.plan.budget.rates.get("child step")
                if step is None:
                    raise
            self.store.put(key, step)
        return cost(recipe_of(plan, architecture), self.modality, step)

    def stage(self, phases: Sequence[str]) -> Stage:
        """Return the beginning of the first of these phases, with what it and all of them are expected to take."""
        return Stage(phases[0], self.expected(phases[0]), self.expected(*phases))

    def share_left(self, own: float, later: float = 0.0) -> Callable[[], float] | None:
        """Return what gives the seconds left for a training; None without a deadline.

        The training is expected to take `own` seconds, and others `later` ones: it has its part of the time that there
        is, so all become shorter on a machine that has become slower.
        """
        if not self._timed:
            return None
        begun, part = self.spent(), own / (own + later) if own > 0 else 1.0

        def left() -> float:
            spent = self.spent() - begun
            return part * (self.left + spent) - spent

        return left

    def settle(
        self,
        finalists: Sequence[Architecture],
        random: Callable[[int], Architecture],
        begun: Mapping[Architecture, float] | None = None,
    ) -> tuple[int, float, dict[str, float]]:
        """Return how many random architectures are trained, for how many epochs everything is, and what that takes.

        `begun` are the seconds that some finalists' trainings still take, which the search has begun.

        Architectures differ several times in cost, so those that will be trained are timed now. The random search gets
        the time that search and final training take together. `random` gives the random architecture of a number.
        In a timed run the finalists keep the part of the time that was planned for them: where random architectures are
        more expensive than they, these are trained for less.
        """
        final = self.plan.final
        spent, epochs = self.spent("search", "derive"), float(final.recipe.epochs)
        if begun:
            return self._settled_race(self.spent("search", "derive", "final training"), begun)
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
        others = {"known network": own.times(final.known), "random search": randoms, "reference": reference}
        if not self._timed:
            return count, epochs, {"final training": own.of(epochs), **{p: c.of(epochs) for p, c in others.items()}}
        left, planned = self.left, self.plan.budget.estimate
        part = planned["final training"] / sum(planned.get(phase, 0.0) for phase in ("final training", *others))
        epochs = max(sum(others.values(), own).epochs_within(left), own.epochs_within(part * left))
        expected = {phase: cost.of(epochs) for phase, cost in others.items()}
        fits = min(1.0, max(0.0, left - own.of(epochs)) / max(sum(expected.values()), 1e-9))
        return count, epochs, {"final training": own.of(epochs), **{p: fits * s for p, s in expected.items()}}

    def _settled_race(self, spent: float, begun: Mapping[Architecture, float]) -> tuple[int, float, dict[str, float]]:
        """Return the same where finalists go on with trainings of equal seconds: others then train for as long."""
        final, whole = self.plan.final, self.whole_seconds
        own = sum(begun.values())
        count = max(len(begun), min(MOST_RANDOM, int((spent + own) / whole))) if final.baseline else 0
        expected = {"final training": own, "known network": final.known * whole}
        expected |= {"random search": count * whole, "reference": whole * final.reference}
        return count, float(final.recipe.epochs), expected

    @property
    def whole_seconds(self) -> float:
        """What the whole training of one network is expected to take."""
        rates = Rates(self.plan.budget.rates.get("child step", 0.0), self.plan.budget.rates)
        return self.plan.search.method.whole_seconds(self.plan.context(self.modality), rates)
