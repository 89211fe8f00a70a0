"""Tests whether the shared weights of a run rank architectures as training from scratch does: `archwright rank`."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np

from archwright.errors import ConfigError, RunError
from archwright.files import write
from archwright.methods.cost import cost
from archwright.modalities import modality
from archwright.modalities.protocol import data_facts
from archwright.proxies import proxies_of
from archwright.proxies.joined import agreement, columns_of
from archwright.report.plots import agreement as plot
from archwright.report.statistics import kendall_tau
from archwright.report.words import counted
from archwright.runs.assembly import recipe_of
from archwright.runs.candidates import Candidates
from archwright.runs.clock import Clock
from archwright.runs.events import Event, Message, Stage
from archwright.runs.rates import pin_threads
from archwright.runs.timing import step_seconds
from archwright.space import Architecture, sample
from archwright.training.failures import any_failure
from archwright.training.measure import tune_process

if TYPE_CHECKING:
    from archwright.modalities.protocol import Data
    from archwright.runs.plan import Plan
    from archwright.store import RunStore

RANK = 11  # the random stream of the architectures
SHARE = 1 / 3  # of final training; with less, text models are hardly trained at all
TRUSTED, WEAK = 0.4, 0.0  # least tau worth following; the interval's low end above which there is an order at all


class Ranking:
    """A comparison of two orders of random architectures: by the shared weights of a run, and by training from scratch.

    Iterate over it for the events; `result` has the figures afterwards. Architectures that an earlier call has trained
    for as long are not trained again. With several `trainings`, each is trained from as many seeds and counts with its
    mean; the agreement of the first two shows how much order there is to find, which shared weights cannot exceed.
    """

    def __init__(
        self,
        plan: Plan,
        data: Data,
        store: RunStore,
        *,
        architectures: int = 40,
        epochs: float | None = None,
        trainings: int = 1,
    ) -> None:
        if architectures < 3:
            raise ConfigError(f"architectures is {architectures}; an order needs at least 3, and 40 to mean something")
        if trainings < 1:
            raise ConfigError(f"trainings is {trainings}; it must be at least 1")
        settled = store.get("settled")
        if settled is None:
            raise RunError(f"{store.folder}: the run has not trained anything yet; archwright resume goes on with it")
        if epochs is not None and not epochs > 0:
            raise ConfigError(f"epochs is {epochs:g}; it must be greater than zero")
        self.epochs = float(epochs if epochs is not None else SHARE * settled["epochs"])
        self.plan, self.store, self._count = plan, store, architectures
        self.modality = modality(data)
        self.result: dict[str, Any] = {}
        kinds = [f"rank-{self.epochs:g}" + (f"-again{number}" if number else "") for number in range(trainings)]
        plans = [replace(plan, seed=plan.seed + number) for number in range(trainings)]  # the first as the run trains
        clocks = [Clock(each, self.modality, store) for each in plans]
        trained = [Candidates(each, self.modality, store, clock) for each, clock in zip(plans, clocks, strict=True)]
        self._trainings = list(zip(kinds, trained, strict=True))
        self._weights = plan.search.method.trained(plan.context(self.modality), store.load())

    def __iter__(self) -> Iterator[Event]:
        plan = self.plan
        tune_process()
        pin_threads(plan)
        space = plan.search.grown
        drawn = [sample(space, (plan.seed, RANK, index)) for index in range(self._count)]
        wanted = [(f"{kind}-{i}", trainer, each) for kind, trainer in self._trainings for i, each in enumerate(drawn)]
        each = cost(plan.final.recipe, self.modality, step_seconds(plan, self.modality, drawn[0], 3)).of(self.epochs)
        seconds = each * sum(candidates.record(key) is None for key, candidates, _ in wanted)
        yield Stage("ranking", seconds, seconds)
        times = "" if len(self._trainings) == 1 else f", {len(self._trainings)} times"
        yield Message(f"{self._count} random architectures, {counted(self.epochs, 'epoch')} each from scratch{times}")
        shared = self._weights.rank(drawn, minibatches=None)
        begun = time.monotonic()
        for number, (key, candidates, architecture) in enumerate(wanted):
            recipe = replace(recipe_of(plan, architecture), epochs=self.epochs)
            part = (number, len(wanted))
            yield from candidates.train(key, architecture, "ranking", part, recipe=recipe, keep=False)
        self._conclude(drawn, shared, time.monotonic() - begun)

    def _conclude(self, drawn: list[Architecture], shared: list[float], seconds: float) -> None:
        judge = self._trainings[0][1].modality
        metric = f"validation_{judge.metric}"
        pairs: list[dict[str, Any]] = []
        judged: list[Architecture] = []
        ranks: list[list[tuple[float, float]]] = []  # for each pair a sort key of each training
        for index, (architecture, reward) in enumerate(zip(drawn, shared, strict=True)):
            records = [candidates.record(f"{kind}-{index}") for kind, candidates in self._trainings]
            good = [record for record in records if record is not None and record["error"] is None]
            if len(good) == len(records):
                value = fmean(float(record[metric]) for record in good)
                pairs.append({"architecture": architecture.id, "shared": reward, metric: value})
                ranks.append([judge.sort_key(record) for record in good])
                judged.append(architecture)
        if len(pairs) < 3:
            raise RunError(f"{self.store.folder}: only {len(pairs)} architectures could be trained, too few to rank")
        rewards = [pair["shared"] for pair in pairs]
        places = [_places(keys) for keys in zip(*ranks, strict=True)]
        order = np.mean(places, axis=0)
        tau, low, high = kendall_tau(rewards, order)
        space, task = self.plan.final.space, judge.data.task
        with any_failure():
            free = columns_of([proxies_of(space, architecture, task, seed=self.plan.seed) for architecture in judged])
        agreed = kendall_tau(places[0], places[1]) if len(places) > 1 else None
        self.result = {
            "tau": tau,
            "interval": [low, high],
            "architectures": len(pairs),
            "epochs": self.epochs,
            "trainings": len(places),
            "agreement": None if agreed is None else {"tau": agreed[0], "interval": list(agreed[1:])},
            "competitors": agreement({"shared_weights": rewards, **free}, order.tolist()),
            "verdict": verdict(tau, low, agreed),
            "failed": self._count - len(pairs),
            "seconds": round(seconds, 2),
            **data_facts(judge),
            "pairs": pairs,
        }
        folder, values = self.store.folder, [pair[metric] for pair in pairs]
        title = f"Shared weights and training from scratch: Kendall's tau {tau:.2f} [{low:.2f}, {high:.2f}]"
        second = f"validation {judge.metric}, {counted(self.epochs, 'epoch')} from scratch"
        first = "reward with shared weights"
        plot(rewards, values, folder / "ranking.png", title=title, first=first, second=second)
        write(folder / "ranking.json", json.dumps(self.result, indent=1).encode())


def _places(keys: Sequence[tuple[float, float]]) -> list[int]:
    """Return the place of each in the order, the worst first."""
    order = sorted(range(len(keys)), key=keys.__getitem__)
    return sorted(range(len(keys)), key=order.__getitem__)


def verdict(tau: float, low: float, agreed: tuple[float, float, float] | None = None) -> str:
    """Return in words whether a ranking can be trusted. `agreed`: tau of two trainings, and its interval."""
    if math.isnan(tau):
        return "the shared weights score all of them alike: their ranking cannot be trusted"
    if agreed is not None and not agreed[1] > WEAK:
        reason = "two trainings of the same architectures do not agree either"
        return f"{reason}: after so short a training nothing ranks them; train longer (--epochs)"
    if low <= WEAK:
        advice = "choose by training (--shortlist), or train the weights longer"
        return f"the ranking cannot be distinguished from none: {advice}"
    if tau < TRUSTED:
        return "the ranking says something, but little: train a shortlist from scratch before choosing"
    return "the ranking can be trusted to tell good from bad, though not to pick the best"
