"""Whether the shared weights of a run rank architectures as training from scratch does: `archwright rank`."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from archwright.errors import ConfigError, RunError
from archwright.files import write
from archwright.report.plots import agreement
from archwright.report.statistics import kendall_tau
from archwright.runs import assembly
from archwright.runs.candidates import Candidates
from archwright.runs.events import Event, Message, Stage
from archwright.runs.planner import pin_threads
from archwright.runs.timing import cost, recipe_of, step_seconds
from archwright.space import Architecture, sample
from archwright.training.measure import tune_malloc

if TYPE_CHECKING:
    from archwright.runs.plan import Plan
    from archwright.runs.timing import Data
    from archwright.store import RunStore

RANK = 11  # the random stream of the architectures
SHARE = 1 / 3  # of final training; with less, text models are hardly trained at all
TRUSTED, WEAK = 0.4, 0.0  # tau that is worth following; the interval's low end that says there is something at all


class Ranking:
    """Scores `architectures` random ones with the shared weights of a run, trains each from scratch for `epochs`, and
    compares the two orders. Iterate over it for the events; `result` after. Those that have been trained for so long
    already are taken as they are.
    """

    def __init__(
        self, plan: Plan, data: Data, store: RunStore, *, architectures: int = 40, epochs: float | None = None
    ) -> None:
        if plan.evaluator != "shared-weights":
            raise ConfigError(f"{store.folder}: the search trained every child from scratch; there is nothing to rank")
        if architectures < 3:
            raise ConfigError(f"architectures is {architectures}; an order needs at least 3, and 40 to say something")
        settled = store.get("settled")
        if settled is None:
            raise RunError(f"{store.folder}: the run has not trained anything yet; archwright resume goes on with it")
        if epochs is not None and not epochs > 0:
            raise ConfigError(f"epochs is {epochs:g}; it must be greater than zero")
        self.epochs = float(epochs if epochs is not None else SHARE * settled["epochs"])
        self._kind = f"rank-{self.epochs:g}"
        self.plan, self.data, self.store, self._count = plan, data, store, architectures
        self.result: dict[str, Any] = {}
        self._candidates = Candidates(plan, data, store)

    def __iter__(self) -> Iterator[Event]:
        plan = self.plan
        tune_malloc()
        pin_threads(plan)
        space = plan.space.at(plan.trials - 1)
        drawn = [sample(space, (plan.seed, RANK, index)) for index in range(self._count)]
        done = len(self._candidates.trained(self._kind))
        each = cost(plan.final_recipe, self.data, step_seconds(plan, self.data, drawn[0], 3)).of(self.epochs)
        seconds = max(0, self._count - done) * each
        yield Stage("ranking", seconds, seconds)
        yield Message(f"{self._count} random architectures, {self.epochs:g} epochs each from scratch")
        weights = assembly.trained_weights(plan, self.data, self.store.load())
        shared = weights.rank(drawn, minibatches=None)
        begun = time.monotonic()
        for index, architecture in enumerate(drawn):
            recipe = replace(recipe_of(plan, architecture), epochs=self.epochs)
            part = (index, self._count)
            yield from self._candidates.train(
                f"{self._kind}-{index}", architecture, "ranking", part, lambda: None, recipe=recipe, keep=False
            )
        self._conclude(drawn, shared, time.monotonic() - begun)

    def _conclude(self, drawn: list[Architecture], shared: list[float], seconds: float) -> None:
        judge = self._candidates.subject
        pairs = []
        for index, (architecture, reward) in enumerate(zip(drawn, shared, strict=True)):
            record = self._candidates.record(f"{self._kind}-{index}")
            if record is not None and record["error"] is None:
                metric = f"validation_{judge.metric}"
                pairs.append((architecture.id, reward, float(record[metric]), judge.rank(record)))
        if len(pairs) < 3:
            raise RunError(f"{self.store.folder}: only {len(pairs)} architectures could be trained, too few to rank")
        order = sorted(range(len(pairs)), key=lambda i: pairs[i][3])
        places = [0] * len(pairs)
        for place, index in enumerate(order):
            places[index] = place
        tau, low, high = kendall_tau([pair[1] for pair in pairs], places)
        figures = {"tau": tau, "interval": [low, high], "architectures": len(pairs), "epochs": self.epochs}
        self.result = {
            **figures,
            "verdict": verdict(tau, low),
            "failed": self._count - len(pairs),
            "seconds": round(seconds, 2),
            "pairs": [{"architecture": a, "shared": s, f"validation_{judge.metric}": v} for a, s, v, _ in pairs],
        }
        folder = self.store.folder
        agreement(
            [pair[1] for pair in pairs],
            [pair[2] for pair in pairs],
            folder / "ranking.png",
            title=f"Shared weights and training from scratch: Kendall's tau {tau:.2f} [{low:.2f}, {high:.2f}]",
            first="reward with shared weights",
            second=f"validation {judge.metric}, {self.epochs:g} epochs from scratch",
        )
        write(folder / "ranking.json", json.dumps(self.result, indent=1).encode())


def verdict(tau: float, low: float) -> str:
    """Whether a ranking can be trusted, in words."""
    if math.isnan(tau):
        return "the shared weights score all of them alike: their ranking cannot be trusted"
    if low <= WEAK:
        return "the ranking cannot be told from none: choose by training (--shortlist), or train the weights longer"
    if tau < TRUSTED:
        return "the ranking says something, but little: train a shortlist from scratch before choosing"
    return "the ranking can be trusted to tell good from bad, though not to pick the best"
