"""A run from its plan to its result, in stages. Each stage is recorded when it ends and can be taken up in the middle.

search -> derive -> final training -> random search -> test. The test part of the data is used in the last stage only.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import torch

from archwright.errors import ChildFailure, RunError
from archwright.evaluators.from_scratch import FromScratch
from archwright.evaluators.shared_weights import SharedWeights
from archwright.loop import (
    CHECKPOINT_SECONDS,
    Describes,
    Engine,
    Epochs,
    Inline,
    Minutes,
    Progress,
    Tally,
    Trial,
    Trials,
    run,
)
from archwright.runs.components import controller_class
from archwright.runs.plan import PHASES, Plan
from archwright.runs.planner import child_network, mean_seconds, pin_threads
from archwright.space import Architecture, sample
from archwright.training.accuracy import evaluate_accuracy
from archwright.training.descent import saved_network
from archwright.training.fit import Fit
from archwright.training.measure import multiply_adds, parameters, tune_malloc

if TYPE_CHECKING:
    from archwright.data.images import ImageData
    from archwright.nets.network import Network
    from archwright.store import RunStore

TRIES = 5  # finalists that may fail to train before the run gives up
RANDOM = 7  # the random stream of the random candidates
TIMED_STEPS = 3


@dataclass(frozen=True)
class Stage:
    """A stage begins. `seconds` is what the plan expects it to take, `remaining` what it and all later ones do."""

    name: str
    seconds: float
    remaining: float


@dataclass(frozen=True)
class Message:
    """Something to tell the user."""

    text: str


@dataclass(frozen=True)
class Scored:
    """A trial, with what the controller has to show at that moment."""

    trial: Trial
    figures: dict[str, float]


Event: TypeAlias = "Stage | Message | Progress | Scored"


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

    def __init__(self, plan: Plan, data: ImageData, store: RunStore, *, skip_search: bool = False) -> None:
        self.plan, self.data, self.store = plan, data, store
        self._skip_search = skip_search
        self._tick = time.monotonic()
        self._saved = time.monotonic()
        tune_malloc()
        pin_threads(plan)

    def __iter__(self) -> Iterator[Event]:
        stages = {
            "search": self._search,
            "derive": self._derive,
            "final training": self._train_finalists,
            "random search": self._train_random,
            "test": self._test,
        }
        for name in PHASES:
            if self.store.get(f"done/{name}") or (name == "random search" and not self.plan.baseline):
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
            later = [
                expected.get(phase, 0.0)
                for phase in PHASES[PHASES.index(name) :]
                if self.plan.baseline or phase != "random search"
            ]
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
        seconds = self.store.get("seconds") or {}
        return float(sum(seconds.get(phase, 0.0) for phase in phases or PHASES))

    # The stages.

    def _has_trials(self) -> bool:
        return next(self.store.trials(), None) is not None

    def _components(self) -> tuple[Any, SharedWeights | FromScratch]:
        plan = self.plan
        make = controller_class(plan.controller)
        controller = make(plan.space, seed=plan.seed, **plan.controller_settings)
        if plan.evaluator == "from-scratch":
            scratch = FromScratch(
                plan.space,
                self.data,
                plan.search_recipe,
                seed=plan.seed,
                device=plan.device,
                time_limit=plan.time_limit if plan.workers == 1 else None,
            )
            return controller, scratch
        shared = SharedWeights(
            plan.space,
            self.data,
            plan.search_recipe,
            trials_per_epoch=plan.trials_per_epoch,
            steps_per_epoch=plan.steps_per_epoch,
            evaluation_batch=plan.evaluation_batch,
            seed=plan.seed,
            device=plan.device,
        )
        return controller, shared

    def _engine(self) -> Engine:
        if self.plan.workers == 1:
            return Inline()
        from archwright.engines.processes import LocalProcesses

        threads = max(1, self.plan.threads // self.plan.workers)
        return LocalProcesses(self.plan.workers, time_limit=self.plan.time_limit, threads=threads)

    def _search(self) -> Iterator[Event]:
        controller, evaluator = self._components()
        budget: Any = Trials(self.plan.trials)
        if self.plan.minutes is not None:  # the plan's count is a forecast; the clock has the last word
            left = 1.05 * self.plan.estimate["search"] - self._spent("search")
            budget = _Either(budget, Minutes(max(left, 1.0) / 60))
        engine = self._engine()
        try:
            for event in run(controller, evaluator, budget=budget, store=self.store, engine=engine):
                if isinstance(event, Trial):
                    figures = dict(controller.metrics()) if isinstance(controller, Describes) else {}
                    yield Scored(event, figures)
                else:
                    yield event
                if time.monotonic() - self._tick > 10:
                    self._account("search")
        finally:
            engine.close()

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
        self.store.put("ranked", [[architecture.to_json(), score] for architecture, score in best])
        yield Message(
            f"best of {len(best)} architectures: {best[0][0].id}, {best[0][1]:.1%} "
            + ("with shared weights" if self.plan.evaluator == "shared-weights" else "on validation images")
        )
        yield from self._settle([architecture for architecture, _ in best[: self.plan.finalists]])

    def _rank_samples(self) -> dict[Architecture, float]:
        """Sample from the controller as it is, rank with the shared weights on the validation part (ENAS 2.3)."""
        controller, evaluator = self._components()
        assert isinstance(evaluator, SharedWeights)
        saved = self.store.load()
        if saved.controller is not None:
            controller.load_state_dict(saved.controller)
        if saved.evaluator is not None:
            evaluator.load_state_dict(saved.evaluator)
        proposals = controller.ask(range(saved.streams, saved.streams + self.plan.samples))
        architectures = list(dict.fromkeys(p.architecture for p in proposals))
        return dict(
            zip(architectures, evaluator.rank(architectures, minibatches=self.plan.rank_minibatches), strict=True)
        )

    def _settle(self, finalists: Sequence[Architecture]) -> Iterator[Event]:
        """Fix how many random candidates are trained, and in a timed run for how many epochs everything is.

        Architectures differ several times in cost, so those that will be trained are timed now. The random search gets
        the time that search and final training take together.
        """
        plan, spent = self.plan, self._spent("search", "derive") + time.monotonic() - self._tick
        per_epoch = -(-len(self.data.train) // plan.final_recipe.batch)
        own = sum(self._epoch_seconds(a) for a in finalists)
        most = 4 * len(finalists) + int(2 * spent / max(own * plan.final_recipe.epochs, 1e-9)) if plan.baseline else 0
        costs: list[float] = []
        epochs = float(plan.final_recipe.epochs)
        left = None
        if plan.minutes is not None:
            left = 0.97 * plan.minutes * 60 - self._overhead() - spent
        for index in range(min(most, 64)):
            tried = [*costs, self._epoch_seconds(self._random_candidate(index))]
            fitting = epochs if left is None else self._fit_epochs(left, own + sum(tried))
            if len(tried) > len(finalists) and sum(tried) * fitting > spent + own * fitting:
                break
            costs = tried
        if left is not None:
            epochs = self._fit_epochs(left, own + sum(costs))
        estimate = dict(self.plan.estimate)
        estimate |= {"final training": own * epochs, "random search": sum(costs) * epochs}
        self.store.put("settled", {"random": len(costs), "epochs": epochs})
        self.store.put("estimate", estimate)
        words = f"final training: {epochs:g} epochs of {per_epoch} steps, about {own * epochs:.0f} s"
        if plan.baseline:
            words += f"; random search: {len(costs)} architectures, about {sum(costs) * epochs:.0f} s"
        yield Message(words)

    def _overhead(self) -> float:
        return float(self.store.get("overhead") or 0.0) + float(self.plan.estimate.get("test", 0.0))

    def _fit_epochs(self, seconds: float, per_epoch: float) -> float:
        return max(0.05, round(seconds / per_epoch, 2))

    def _epoch_seconds(self, architecture: Architecture) -> float:
        recipe = replace(self.plan.final_recipe, epochs=1)
        network = child_network(self.plan, self.data, architecture)
        fit = Fit(network, self.data, recipe, seed=self.plan.seed, device=self.plan.device)
        step = mean_seconds(iter(fit), TIMED_STEPS)
        # Validation is a forward pass, about a third of a step, over its own images once an epoch.
        validation = step / 3 * len(self.data.validation) / recipe.batch
        return step * -(-len(self.data.train) // recipe.batch) + validation

    def _random_candidate(self, index: int) -> Architecture:
        return sample(self.plan.space, (self.plan.seed, RANDOM, index))

    def _train_finalists(self) -> Iterator[Event]:
        ranked = [Architecture.from_json(data) for data, _ in self.store.get("ranked")]
        trained = 0
        for index, architecture in enumerate(ranked):
            if trained == self.plan.finalists or index == self.plan.finalists + TRIES:
                break
            yield from self._train(f"found-{index}", architecture, "final training", trained, self.plan.finalists)
            trained += self.store.get(f"candidate/found-{index}")["error"] is None
        if not trained:
            raise RunError("no finalist could be trained; see the messages above")

    def _train_random(self) -> Iterator[Event]:
        count = self.store.get("settled")["random"]
        for index in range(count):
            architecture = self._random_candidate(index)
            yield from self._train(f"random-{index}", architecture, "random search", index, count)

    def _train(self, key: str, architecture: Architecture, phase: str, position: int, count: int) -> Iterator[Event]:
        """Train one candidate from scratch, from where a killed run left it; its record is `candidate/KEY`."""
        if self.store.get(f"candidate/{key}") is not None:
            return
        recipe = replace(self.plan.final_recipe, epochs=self.store.get("settled")["epochs"])
        network: Network = child_network(self.plan, self.data, architecture)
        fit = Fit(network, self.data, recipe, seed=self.plan.seed, device=self.plan.device, phase=phase)
        begun = self.store.restore("training")
        if begun is not None and begun["key"] == key:
            fit.load_state_dict(begun["fit"])
        record: dict[str, Any] = {"architecture": architecture.to_json(), "error": None}
        last: dict[str, float] = {}
        try:
            for progress in fit:
                last |= progress.metrics
                steps = progress.steps
                yield Progress(phase, position * steps + progress.step, count * steps, progress.metrics)
                if time.monotonic() - self._saved > CHECKPOINT_SECONDS / 4:
                    self.store.save("training", {"key": key, "fit": fit.state_dict()})
                    self._saved = time.monotonic()
                    self._account(phase)
        except ChildFailure as error:
            record["error"] = f"{type(error).__name__}: {error}"
            yield Message(f"{architecture.id} could not be trained: {record['error']}")
        else:
            record |= {
                "validation_accuracy": fit.validation_accuracy,
                "validation_loss": last.get("validation_loss", 0.0),
                "seconds": fit.seconds,
                "parameters": parameters(self._delivered(network)),
                "multiply_adds": multiply_adds(network, self.data.task),
            }
            self.store.save(f"weights-{key}", {"model": saved_network(network)})
            yield Message(f"{architecture.id}: {fit.validation_accuracy:.2%} of validation images, {fit.seconds:.0f} s")
        self.store.put(f"candidate/{key}", record)
        self.store.forget("training")

    def _delivered(self, network: Network) -> Network:
        """The network without what is for training only."""
        if getattr(network, "auxiliary", None) is not None:
            network.auxiliary = None  # type: ignore[assignment]
        return network

    def _test(self) -> Iterator[Event]:
        """Use the test part: once for the network found, once for each random one."""
        names = list(self.candidates("found") + self.candidates("random"))
        found = best(self.store, self.candidates("found"))
        yield Message(f"testing on {len(self.data.test)} images that nothing has seen so far")
        for number, key in enumerate(k for k in names if k == found or k.startswith("random")):
            if self.store.get(f"test/{key}") is None:
                network = self.network(key)
                score = evaluate_accuracy(network, self.data.test, self.data.preprocessing, device=self.plan.device)
                bits = "".join("1" if right else "0" for right in score.correct.tolist())
                self.store.put(f"test/{key}", {"accuracy": score.accuracy, "correct": bits})
            yield Progress("test", number + 1, len(names))
        self.store.put("found", found)

    def candidates(self, kind: str) -> list[str]:
        """The keys of trained candidates, in order."""
        keys, index = [], 0
        while (record := self.store.get(f"candidate/{kind}-{index}")) is not None:
            if record["error"] is None:
                keys.append(f"{kind}-{index}")
            index += 1
        return keys

    def network(self, key: str) -> Network:
        """A trained candidate, in evaluation mode on the plan's device."""
        record = self.store.get(f"candidate/{key}")
        state = self.store.restore(f"weights-{key}")
        if record is None or state is None:
            raise RunError(f"{self.store.folder}: the weights of {key} are missing")
        architecture = Architecture.from_json(record["architecture"])
        network = self._delivered(child_network(self.plan, self.data, architecture))
        network.load_state_dict(state["model"])
        return network.to(torch.device(self.plan.device)).eval()


def best(store: RunStore, keys: Sequence[str]) -> str:
    """The candidate with the highest validation accuracy, then the lowest validation loss."""

    def rank(key: str) -> tuple[float, float]:
        record = store.get(f"candidate/{key}")
        return record["validation_accuracy"], -record["validation_loss"]

    return max(keys, key=rank)
