"""A run from its plan to its result, in stages. Each stage is recorded when it ends and can be taken up in the middle.

search -> derive -> final training -> random search -> reference -> test. The test part of the data is used in the last
stage only.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from archwright.errors import RunError
from archwright.loop import Epochs, Minutes, Progress, Tally, Trial, Trials, restore
from archwright.runs import assembly
from archwright.runs.candidates import Candidates
from archwright.runs.collapse import Collapse
from archwright.runs.events import Event, Message, Scored, Stage
from archwright.runs.grid import GRID_SHARE, changed, described, grid
from archwright.runs.plan import PHASES, Plan, wanted_phases
from archwright.runs.planner import MARGIN, SHORT, pin_threads
from archwright.runs.timing import Cost, cost, recipe_of, step_seconds, steps
from archwright.space import Architecture
from archwright.training.measure import tune_malloc

if TYPE_CHECKING:
    from archwright.modalities.protocol import Data
    from archwright.store import RunStore
    from archwright.training.recipe import Recipe

TRIES = 5  # finalists that may fail to train before the run gives up
MOST_RANDOM = 64
TIMED_STEPS, TIMED_SHARE = 3, 0.002  # of a wall-time budget, for timing one architecture


@dataclass(frozen=True)
class _Either:
    """Stops with the first of two budgets."""

    first: Trials | Epochs | Minutes
    second: Minutes

    def spent(self, tally: Tally) -> float:
        return max(self.first.spent(tally), self.second.spent(tally))


class Job:
    """Runs a plan on its data, recording in `store`. Iterate over it for the events; `result` is in the store after.

    `skip_search`: derive from what the search has so far.
    """

    def __init__(self, plan: Plan, data: Data, store: RunStore, *, skip_search: bool = False) -> None:
        self.plan, self.data, self.store = plan, data, store
        self.candidates = Candidates(plan, data, store)
        self._skip_search = skip_search
        self._tick = time.monotonic()
        tune_malloc()
        pin_threads(plan)

    def __iter__(self) -> Iterator[Event]:
        stages = {
            "search": self._search,
            "derive": self._derive,
            "grid": self._try_recipes,
            "final training": self._train_finalists,
            "random search": self._train_random,
            "reference": self._train_reference,
            "test": self._test,
        }
        wanted = wanted_phases(vars(self.plan))
        for name in wanted:
            if self.store.get(f"done/{name}"):
                continue
            if name == "search" and self._skip_search:
                if not self._has_trials():
                    raise RunError(
                        f"{self.store.folder}: the search has scored nothing yet, so there is nothing to finish; "
                        "archwright resume goes on with it"
                    )
                self.store.put("done/search", True)
                continue
            expected = self.store.get("estimate") or dict(self.plan.estimate)
            later = [expected.get(phase, 0.0) for phase in wanted[wanted.index(name) :]]
            yield Stage(name, later[0], sum(later))
            self._tick = time.monotonic()
            try:
                yield from stages[name]()
            finally:
                with contextlib.suppress(RunError):
                    self._account(name)
            self.store.put(f"done/{name}", True)

    # Time by phase, resumed parts included.

    def _account(self, phase: str) -> None:
        now = time.monotonic()
        seconds = self.store.get("seconds") or {}
        seconds[phase] = seconds.get(phase, 0.0) + now - self._tick
        self._tick = now
        self.store.put("seconds", seconds)

    def _spent(self, *phases: str) -> float:
        """Seconds in these phases, or in all, the current moment included."""
        seconds = self.store.get("seconds") or {}
        return float(sum(seconds.get(phase, 0.0) for phase in phases or PHASES)) + time.monotonic() - self._tick

    def _left(self) -> float:
        """Seconds until the test has to begin, in a timed run."""
        assert self.plan.minutes is not None
        overhead = float(self.store.get("overhead") or 0.0)
        whole = max(MARGIN, 1 - 20 / (60 * self.plan.minutes)) * self.plan.minutes * 60  # the pictures take seconds
        return whole - overhead - self.plan.estimate.get("test", 0.0) - self._spent()

    # The stages.

    def _has_trials(self) -> bool:
        return next(self.store.trials(), None) is not None

    def _search(self) -> Iterator[Event]:
        budget: Any = Trials(self.plan.trials)
        if self.plan.minutes is not None:  # the plan's count is a forecast; the clock has the last word
            left = 1.05 * self.plan.estimate["search"] - self._spent("search")
            budget = _Either(budget, Minutes(max(left, 1.0) / 60))
        collapse = Collapse(self.plan.trials, self.plan.space)
        with contextlib.closing(assembly.search(self.plan, self.data, budget=budget, store=self.store)) as search:
            for event in search:
                if isinstance(event, Trial):
                    figures = dict(search.metrics())
                    if self.plan.evaluator == "from-scratch":
                        yield Progress("search", event.number + 1, self.plan.trials)
                    yield Scored(event, figures)
                    if warning := collapse.see(event, figures):
                        yield Message(warning)
                else:
                    yield event
                if time.monotonic() - self._tick > 10:
                    self._account("search")

    def _derive(self) -> Iterator[Event]:
        if self.plan.evaluator == "from-scratch":
            ranked: dict[Architecture, float] = {}
            for trial in sorted(self.store.trials(), key=lambda t: (-t.reward, t.number)):
                if trial.result.error is None:
                    ranked.setdefault(trial.architecture, trial.reward)
        else:
            ranked = self._rank_samples()
        if not ranked:
            raise RunError(
                "every trial of the search failed, so there is no architecture to train; see the trials' errors"
            )
        best = sorted(ranked.items(), key=lambda item: (-item[1], item[0].id))
        words = f"{best[0][1]:.1%}" if self.plan.objective == "accuracy" else f"reward {best[0][1]:.4g}"
        words += " with shared weights" if self.plan.evaluator == "shared-weights" else ""
        yield Message(f"best of {len(best)} architectures: {best[0][0].id}, {words}")
        if self.plan.shortlist > 1:
            yield from self._train_shortlist([architecture for architecture, _ in best[: self.plan.shortlist]])
            best = self._reordered(best)
        self.store.put("ranked", [[architecture.to_json(), score] for architecture, score in best])
        yield from self._settle([architecture for architecture, _ in best[: self.plan.finalists]])

    def _train_shortlist(self, architectures: Sequence[Architecture]) -> Iterator[Event]:
        """Train the best ranked from scratch for a short time: what shared weights say of them is a rough guide."""
        for index, architecture in enumerate(architectures):
            part = (index, len(architectures))
            recipe = self._recipe(architecture, SHORT)
            yield from self._train(f"short-{index}", architecture, "derive", part, recipe=recipe, keep=False)

    def _reordered(self, best: list[tuple[Architecture, float]]) -> list[tuple[Architecture, float]]:
        """The shortlist by validation loss, which is finer than accuracy; then the others as they were."""
        losses = {}
        for key in self.candidates.trained("short"):
            record = self.candidates.record(key)
            assert record is not None
            losses[int(key.removeprefix("short-"))] = record["validation_loss"]
        first = sorted(losses, key=lambda index: losses[index])
        return [best[i] for i in first] + [item for i, item in enumerate(best) if i not in losses]

    def _rank_samples(self) -> dict[Architecture, float]:
        """Sample from the controller as it is, rank with the shared weights on the validation part (ENAS 2.3)."""
        controller, saved = assembly.controller(self.plan), self.store.load()
        restore(controller, saved)
        evaluator = assembly.trained_weights(self.plan, self.data, saved)
        proposals = controller.ask(range(saved.streams, saved.streams + self.plan.samples))
        architectures = list(dict.fromkeys(p.architecture for p in proposals))
        scores = evaluator.rank(architectures, minibatches=self.plan.rank_minibatches)
        return dict(zip(architectures, scores, strict=True))

    def _settle(self, finalists: Sequence[Architecture]) -> Iterator[Event]:
        """Fix how many random candidates are trained, and in a timed run for how many epochs everything is.

        Architectures differ several times in cost, so those that will be trained are timed now. The random search gets
        the time that search and final training take together.
        """
        plan, spent = self.plan, self._spent("search", "derive")
        epochs = float(plan.final_recipe.epochs)
        own = sum((self._cost(a) for a in finalists), Cost(0.0, 0.0))
        reference = self._cost(None) if plan.reference else Cost(0.0, 0.0)
        randoms = Cost(0.0, 0.0)
        count = 0
        most = MOST_RANDOM if plan.baseline else 0
        while count < most:
            more = randoms + self._cost(self.candidates.random(count))
            fitting = epochs if plan.minutes is None else (own + reference + more).epochs_within(self._left())
            if count >= len(finalists) and more.of(fitting) > spent + own.of(fitting):
                break
            randoms, count = more, count + 1
        if plan.minutes is not None:
            epochs = (own + reference + randoms).epochs_within(self._left())
        expected = {
            "final training": own.of(epochs),
            "random search": randoms.of(epochs),
            "reference": reference.of(epochs),
        }
        self.store.put("settled", {"random": count, "epochs": epochs})
        self.store.put("estimate", {**self.plan.estimate, **expected})
        pieces = steps(plan.final_recipe, self.data)
        words = f"final training: {epochs:g} epochs of {pieces} steps, about {expected['final training']:.0f} s"
        if plan.baseline:
            words += f"; random search: {count} architectures, about {expected['random search']:.0f} s"
        yield Message(words)

    def _cost(self, architecture: Architecture | None) -> Cost:
        least = TIMED_SHARE * 60 * (self.plan.minutes or 0.0)
        return cost(
            self.plan.final_recipe, self.data, step_seconds(self.plan, self.data, architecture, TIMED_STEPS, least)
        )

    def _try_recipes(self) -> Iterator[Event]:
        """Settle how all networks are trained, by how the best architecture does in validation."""
        best = Architecture.from_json(self.store.get("ranked")[0][0])
        changes = grid(self.plan.final_recipe)
        for index, change in enumerate(changes):
            part = (index, len(changes))
            recipe = changed(self._recipe(best, GRID_SHARE), change)
            yield from self._train(f"grid-{index}", best, "grid", part, recipe=recipe, keep=False)
        if tried := self.candidates.trained("grid"):
            chosen = changes[int(self.candidates.best(tried).removeprefix("grid-"))]
            self.store.put("grid", chosen)
            words = described(self._recipe(best))
            self.store.put("recipe", words)
            yield Message("recipe: " + ", ".join(f"{name} {value}" for name, value in words.items()))

    def _train_finalists(self) -> Iterator[Event]:
        ranked = [Architecture.from_json(data) for data, _ in self.store.get("ranked")]
        for index, architecture in enumerate(ranked[: self.plan.finalists + TRIES]):
            trained = len(self.candidates.trained("found"))
            if trained == self.plan.finalists:
                break
            yield from self._train(f"found-{index}", architecture, "final training", (trained, self.plan.finalists))
        if not self.candidates.trained("found"):
            raise RunError("no finalist could be trained; see the messages above")

    def _train_random(self) -> Iterator[Event]:
        count = self.store.get("settled")["random"]
        for index in range(count):
            if index >= self.plan.finalists and self._too_late(f"random-{index - 1}"):
                yield Message(f"random search: {index} of {count} architectures, because the time is up")
                break
            yield from self._train(f"random-{index}", self.candidates.random(index), "random search", (index, count))

    def _train_reference(self) -> Iterator[Event]:
        yield from self._train("reference-0", None, "reference", (0, 1))

    def _too_late(self, previous: str) -> bool:
        """In a timed run: whether another candidate like the previous one would end more than a third of it late."""
        record = self.candidates.record(previous)
        seconds = 0.0 if record is None else float(record.get("seconds", 0.0))
        return self.plan.minutes is not None and self._left() < seconds / 3 * 2

    def _train(
        self,
        key: str,
        architecture: Architecture | None,
        phase: str,
        part: tuple[int, int],
        *,
        recipe: Recipe | None = None,
        keep: bool = True,
    ) -> Iterator[Event]:
        recipe = self._recipe(architecture) if recipe is None else recipe
        account = partial(self._account, phase)
        yield from self.candidates.train(key, architecture, phase, part, account, recipe=recipe, keep=keep)

    def _recipe(self, architecture: Architecture | None, share: float = 1.0) -> Recipe:
        """How a network is trained, for a share of the epochs that are settled, or else planned."""
        settled = self.store.get("settled")
        epochs = self.plan.final_recipe.epochs if settled is None else settled["epochs"]
        recipe = replace(recipe_of(self.plan, architecture), epochs=epochs * share)
        change = self.store.get("grid")
        return recipe if change is None else changed(recipe, change)

    def _test(self) -> Iterator[Event]:
        """Use the test part: once for the network found, once for each random one."""
        found = self.candidates.best(self.candidates.trained("found"))
        keys = [found, *self.candidates.trained("random"), *self.candidates.trained("reference")]
        yield Message("testing on the test part, which nothing has seen so far")
        for number, key in enumerate(keys):
            self.candidates.test(key)
            yield Progress("test", number + 1, len(keys))
        self.store.put("found", found)
