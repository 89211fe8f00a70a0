"""A run from its plan to its result, in stages. Each stage is recorded when it ends and can be taken up in the middle.

search -> derive -> grid -> final training -> known network -> random search -> reference -> test. The test part of the
data is used in the last stage only.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from archwright.errors import ChildFailure, RunError
from archwright.evaluators.objective import reward_words
from archwright.loop import Progress, Trial, restore
from archwright.methods.cost import steps
from archwright.modalities import modality
from archwright.proxies import proxies_of
from archwright.proxies.joined import agreement, columns_of
from archwright.report.words import counted
from archwright.runs import assembly
from archwright.runs.candidates import Candidates
from archwright.runs.clock import Clock
from archwright.runs.costing import Exact, Predicted, source
from archwright.runs.events import Event, Message
from archwright.runs.front import APART, Measured, Values
from archwright.runs.grid import GRID_SHARE, changed, described, grid
from archwright.runs.heats import Heats
from archwright.runs.plan import PHASES, Plan
from archwright.runs.rates import SHORT, pin_threads
from archwright.runs.rivals import Rivals
from archwright.space import Architecture
from archwright.training import threads
from archwright.training.failures import any_failure
from archwright.training.measure import tune_process

if TYPE_CHECKING:
    from archwright.loop import Proposal
    from archwright.store import RunStore

FEWEST = 3  # architectures that have an order to speak of
TRIES = 5  # finalists that may fail to train before the run gives up
Score: TypeAlias = Callable[[Mapping[Architecture, float]], Mapping[Architecture, float]]
AFTER = PHASES.index("final training") + 1
ACCOUNTED = 10.0  # seconds between two records of the time that a search has taken


def _ordered(scores: Mapping[Architecture, float]) -> list[Architecture]:
    return sorted(scores, key=lambda one: (-scores[one], one.id))


class Job:
    """Runs a plan on its data, recording in `store`. Iterate over it for the events; `result` is in the store after.

    `skip_search`: derive from what the search has so far.
    """

    def __init__(self, plan: Plan, data: Any, store: RunStore, *, skip_search: bool = False) -> None:
        self.plan, self.store, self.modality = plan, store, modality(data)
        self.costs = assembly.costs_of(plan, self.modality, store)
        self.source = source(plan, self.costs)
        self.clock = Clock(plan, self.modality, store)
        self.candidates = Candidates(plan, self.modality, store, self.clock)
        self.rivals = Rivals(plan, self.modality, store, self.clock)
        self.values = Values(plan, self.modality, self.costs) if plan.search.aims.costs else None
        self._skip_search = skip_search
        tune_process()
        pin_threads(plan)

    def __iter__(self) -> Iterator[Event]:
        pin_threads(self.plan)
        try:
            yield from self._stages()
        finally:
            threads.use(threads.available())  # the caller's own work has them again

    def _stages(self) -> Iterator[Event]:
        stages = {
            "search": self._search,
            "derive": self._derive,
            "grid": self._try_recipes,
            "final training": self._train_finalists,
            "known network": self._train_known,
            "random search": self._train_random,
            "reference": self._train_reference,
            "test": self._test,
        }
        wanted = self.plan.wanted_phases
        for index, name in enumerate(wanted):
            if self.store.get(f"done/{name}"):
                continue
            if name == "search" and self._skip_search:
                self._require_trials()
            else:
                yield self.clock.stage(wanted[index:])
                with self.clock.phase(name):
                    yield from stages[name]()
            self.store.put(f"done/{name}", True)

    def _require_trials(self) -> None:
        if next(self.store.trials(), None) is None:
            raise RunError(
                f"{self.store.folder}: the search has scored nothing yet, so there is nothing to finish; "
                "archwright resume goes on with it"
            )

    def _search(self) -> Iterator[Event]:
        method, trials, budget = self.plan.search.method, self.plan.search.trials, self.clock.search_budget()
        with contextlib.closing(self._searching(budget)) as search:
            for event in search:
                if isinstance(event, Trial) and (counted := method.counted(event, trials)) is not None:
                    yield counted
                yield event
                self.clock.account("search", every=ACCOUNTED)

    def _searching(self, budget: Any) -> Generator[Any, None, None]:
        trainings = self.candidates.trainings
        parts = self.plan, self.modality, self.source
        return assembly.search(*parts, budget=budget, store=self.store, trainings=trainings)

    def _derive(self) -> Iterator[Event]:
        search, final, saved = self.plan.search, self.plan.final, self.store.load()

        def ask(count: int) -> Sequence[Proposal]:
            controller = assembly.controller(self.plan, self.source)
            restore(controller, saved)
            return controller.ask(range(saved.streams, saved.streams + count))  # type: ignore[no-any-return]

        ranked = search.method.ranked(self.plan.context(self.modality), saved, ask)
        if not ranked:
            raise RunError(
                "every trial of the search failed, so there is no architecture to train; see the trials' errors"
            )
        if search.method.predicts and search.aims.limits:
            ranked = self._within(ranked)
        score = search.method.scoring(self.plan.context(self.modality), ranked)
        best = _ordered(score({}))
        if search.pareto:
            best = self._front_first(best, ranked)
        words = reward_words(search.reward, ranked[best[0]]) + search.method.phrase
        which = f"best of {len(best)} architectures" if len(best) > 1 else "architecture found"
        yield Message(f"{which}: {best[0].id}, {words}")
        if final.shortlist > 1:
            losses = yield from self._train_shortlist(score, min(final.shortlist, len(best)))
            yield from self._judge(ranked, losses)
            trained = sorted(losses, key=losses.__getitem__)
            best = [*trained, *(one for one in _ordered(score(losses)) if one not in losses)]
        values = self.values if search.pareto else None
        heats = Heats(self.plan, self.candidates.trainings, values)
        chosen = yield from heats.run([(one, ranked[one]) for one in best])
        finalists = self._finalists([one for one, _ in chosen], ranked)
        heats.keep(chosen, finalists)
        if (fewer := len(finalists)) < min(final.finalists, len(chosen)):
            yield Message(
                f"{counted(fewer, 'finalist')} instead of {final.finalists}: every other network found is worse than "
                f"one of them in everything, or costs about as much (less than {APART:g} times)"
            )
        chosen = [
            *((one, dict(chosen)[one]) for one in finalists),
            *(item for item in chosen if item[0] not in finalists),
        ]
        ordered = [[architecture.to_json(), score] for architecture, score in chosen]
        self.store.put_all({"ranked": ordered, "finalists": fewer})
        yield from self._settle(finalists)

    def _within(self, ranked: Mapping[Architecture, float]) -> dict[Architecture, float]:
        """Return the architectures whose measured costs are within the limits: the search read predicted ones."""
        exact = Exact(self.plan, self.costs)
        if not (found := {one: reward for one, reward in ranked.items() if exact.admits(one)}):
            words = " and ".join(limit.words() for limit in self.plan.search.aims.limits)
            raise RunError(f"none of {len(ranked)} architectures that the search offers has {words}, as measured")
        return found

    def _front_first(self, best: list[Architecture], ranked: Mapping[Architecture, float]) -> list[Architecture]:
        """Return the architectures of a search for several objectives, those of its front first."""
        assert self.values is not None
        scores = self._scores(ranked)
        scored = [(one, scores[one]) for one in best if one in scores]
        first = self.values.ordered(scored, self.plan.final.finalists + TRIES)
        return [*first, *(one for one in best if one not in first)]

    def _finalists(self, best: Sequence[Architecture], ranked: Mapping[Architecture, float]) -> list[Architecture]:
        """Return those of the best that are trained to their end: for several objectives, each different enough."""
        count = self.plan.final.finalists
        if self.values is None or not self.plan.search.pareto:
            return [*best[:count]]
        scores = self._scores(ranked)
        return self.values.finalists([(one, scores.get(one)) for one in best], count)

    def _scores(self, ranked: Mapping[Architecture, float]) -> Mapping[Architecture, float]:
        """Return the validation scores of architectures, as far as the search knows them."""
        if self.plan.search.method.predicts and self.modality.larger_is_better:  # the reward is the metric
            return ranked
        metric, looks = f"validation_{self.modality.metric}", self.store.get("looks", {})
        found = {}
        for trial in self.store.trials():
            if trial.result.error is None and metric in trial.result.metrics:
                _, found[trial.architecture] = looks.get(trial.architecture.id, (None, trial.result.metrics[metric]))
        return found

    @property
    def front(self) -> dict[str, Any] | None:
        """What the run has measured of networks and their costs, if it reads any cost."""
        if self.values is None:
            return None
        found = Measured(self.values, self.costs, self.candidates, self.rivals).gathered()
        if isinstance(self.source, Predicted):
            found["prediction"] = {name: vars(agreed) for name, agreed in self.source.agreement().items()}
        return found

    def _train_shortlist(self, score: Score, count: int) -> Generator[Event, None, dict[Architecture, float]]:
        """Train the best from scratch for a short time, one after the other; return their validation losses.

        The score of a search is a rough guide, and a method may learn of each loss. Losses are finer than accuracies.
        """
        losses: dict[Architecture, float] = {}
        tried: set[Architecture] = set()
        for index in range(count):
            architecture = next(one for one in _ordered(score(losses)) if one not in tried)
            part, recipe = (index, count), self.candidates.recipe(architecture, SHORT)
            own = SHORT * self.clock.whole_seconds
            left = self.clock.share_left(own, own * (count - index - 1) + self.clock.expected(*PHASES[2:-1]))
            key = f"short-{index}"
            yield from self.candidates.train(key, architecture, "derive", part, recipe=recipe, keep=False, left=left)
            tried.add(architecture)
            if (record := self.candidates.record(key))["error"] is None:
                losses[architecture] = record["validation_loss"]
        return losses

    def _judge(self, ranked: Mapping[Architecture, float], losses: Mapping[Architecture, float]) -> Iterator[Event]:
        """Record how well the scores of the search, and those that cost no training, order the shortlist."""
        if len(losses) < FEWEST:
            return
        space, task = self.plan.final.space, self.modality.data.task
        own = {self.plan.search.method.name.replace("-", "_"): [ranked[one] for one in losses]}
        try:
            with any_failure():
                free = columns_of([proxies_of(space, one, task, seed=self.plan.seed) for one in losses])
        except ChildFailure as error:
            yield Message(f"the untrained networks could not be scored: {error}")
            free = {}
        self.store.put("orders", {"trained": len(losses), **agreement({**own, **free}, [-x for x in losses.values()])})

    def _settle(self, finalists: Sequence[Architecture]) -> Iterator[Event]:
        """Fix how many random candidates are trained, and in a timed run for how many epochs everything is."""
        final, trainings = self.plan.final, self.candidates.trainings
        done = {a: trainings.share(a) for a in finalists if trainings.begun(a)}
        rest = {a: trainings.seconds(a) for a in done}
        count, epochs, expected = self.clock.settle(finalists, self.candidates.random, rest)
        self.store.put_all(
            {
                "settled": {"random": count, "epochs": epochs, "seconds": self.clock.whole_seconds if done else None},
                "estimate": {**self.plan.budget.estimate, **expected},
            }
        )
        pieces = steps(final.recipe, self.modality)
        words = (
            f"final training: {counted(epochs, 'epoch')} of {pieces} steps, about {expected['final training']:.0f} s"
        )
        if done:
            words = f"final training goes on from {max(done.values()):.0%}, about {expected['final training']:.0f} s"
        if final.baseline:
            words += f"; random search: {count} architectures, about {expected['random search']:.0f} s"
        yield Message(words)

    def _try_recipes(self) -> Iterator[Event]:
        """Settle how all networks are trained, by how the best architecture does in validation."""
        best = Architecture.from_json(self.store.get("ranked")[0][0])
        changes = grid(self.plan.final.recipe)
        for index, change in enumerate(changes):
            part, recipe = (index, len(changes)), changed(self.candidates.recipe(best, GRID_SHARE), change)
            yield from self.candidates.train(f"grid-{index}", best, "grid", part, recipe=recipe, keep=False)
        if tried := self.candidates.trained("grid"):
            chosen = changes[int(self.candidates.best(tried).removeprefix("grid-"))]
            self.store.put("grid", chosen)
            words = described(self.candidates.recipe(best))
            self.store.put("recipe", words)
            yield Message("recipe: " + ", ".join(f"{name} {value}" for name, value in words.items()))

    def _train_finalists(self) -> Iterator[Event]:
        ranked = [Architecture.from_json(data) for data, _ in self.store.get("ranked")]
        finalists = self.store.get("finalists", self.plan.final.finalists)
        start = (self.store.load().evaluator or {}).get("network") if self.plan.final.inherit else None
        for index, architecture in enumerate(ranked[: finalists + TRIES]):
            trained = len(self.candidates.trained("found"))
            if trained == finalists:
                break
            going = ranked[index : index + finalists - trained]
            part, left = (trained, finalists), self._left(going, *PHASES[AFTER:-1])
            yield from self.candidates.train(
                f"found-{index}", architecture, "final training", part, left=left, start=start
            )
        if not self.candidates.trained("found"):
            raise RunError("no finalist could be trained; see the messages above")

    def _left(self, architectures: Sequence[Architecture], *later: str) -> Callable[[], float] | None:
        """Return what gives the seconds left for the first of these trainings, before the others and later phases."""
        if self.plan.budget.minutes is None:
            return None
        own, *others = map(self.candidates.seconds, architectures)
        return self.clock.share_left(own, sum(others) + self.clock.expected(*later))

    def _train_random(self) -> Iterator[Event]:
        """Train random architectures; one that cannot be trained is replaced by the next."""
        count, train = self.store.get("settled")["random"], self.candidates.train
        for index in range(count + TRIES):
            done = len(self.candidates.trained("random"))
            if done >= count:
                break
            if self.candidates.record(f"random-{index}") is not None:
                continue
            if done >= self.plan.final.finalists:
                previous = self.candidates.record(f"random-{index - 1}")
                if self.clock.too_late(previous.get("seconds", 0.0)):
                    yield Message(f"random search: {done} of {count} architectures, because the time is up")
                    break
            random, *others = map(self.candidates.random, range(index, index + count - done))
            left = self._left([random, *others], "reference")
            yield from train(f"random-{index}", random, "random search", (done, count), left=left)

    def _train_known(self) -> Iterator[Event]:
        """Train a known network for a share of the time, and compare it with the network found."""
        found = self._found
        own = self.plan.final.known * self.candidates.record(found)["seconds"]
        left = self.clock.share_left(own, self.clock.expected("random search", "reference"))
        yield from self.rivals.train(self.candidates, found, left)

    def _train_reference(self) -> Iterator[Event]:
        """Train the best known network that lost, or else the space's reference, as what was found is trained."""
        gain = self.store.get("gain")
        if gain is not None and gain["won"]:
            yield Message(f"{gain['known']} won, so it is the reference itself")
            return
        known = None if gain is None else Architecture.from_json(gain["architecture"])
        left = self.clock.share_left(1.0)
        yield from self.candidates.train("reference-0", known, "reference", (0, 1), left=left)

    def _test(self) -> Iterator[Event]:
        """Use the test part: once for the network found, once for each it is compared with."""
        found = self._found
        way = self.candidates.record(found).get("way")
        keys = [found, *self.candidates.trained("random", way), *self.candidates.trained("reference", way)]
        yield Message("testing on the test part, which nothing has seen so far")
        for number, key in enumerate(keys):
            self.candidates.test(key)
            yield Progress("test", number + 1, len(keys))
        if (rival := self.rivals.last) is not None:
            self.rivals.candidates(rival).test(rival)
        self.store.put_all({"found": found, "delivered": self.delivered})

    @property
    def delivered(self) -> str:
        """The key of the network that the run delivers, by validation, once all are trained."""
        rival = self.rivals.last
        if rival is not None and self.plan.final.deliver == "best" and self.rivals.chosen[rival]["better"]:
            return rival
        return self._found

    @property
    def _found(self) -> str:
        """The key of the best finalist: by validation, or by a single objective that reads costs."""
        keys, aims = self.candidates.offered("found"), self.plan.search.aims
        if aims.pareto or not aims.rewarded:
            return self.candidates.best(keys)
        metric = f"validation_{self.modality.metric}"

        def reward(key: str) -> float:
            record = self.candidates.record(key)
            return aims.reward({**record, f"best_{metric}": record[metric], **self.candidates.costs(key)})

        return max(keys, key=reward)

    def candidates_of(self, key: str) -> Candidates:
        """Return the candidates that the key belongs to."""
        return self.rivals.candidates(key) if key in self.rivals.chosen else self.candidates
