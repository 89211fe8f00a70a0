"""Shared weights: one supernet is trained between trials, and a trial runs an architecture's part of it (ENAS 2018)."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from archwright.errors import ConfigError, RunError
from archwright.evaluators.shared_weights import SharedWeights
from archwright.loop import Proposal
from archwright.methods.cost import Rates, mean_seconds, steps
from archwright.methods.protocol import Context, Method, Search, Settings
from archwright.proxies import PROXIES, proxies_of
from archwright.proxies.joined import fused

if TYPE_CHECKING:
    from archwright.engines.settings import Cluster
    from archwright.loop import Saved
    from archwright.space import Architecture
    from archwright.training.recipe import Recipe

CONTROLLER_SECONDS = 0.004  # a controller's share in one trial: 54 steps, sampled and learned from in tens
SHARE_OF_TRIALS = 0.25  # of search time; ENAS scores 300 trials x 160 images an epoch, forward only: about a quarter
ROUND_SECONDS = 10.0  # of shared training and trials in turn: often enough for the controller, rare enough to be cheap
SHARE_OF_DERIVING = 0.04  # of a timed run


@dataclass(frozen=True)
class SharedWeightsMethod(Method):
    """Settings of a search by shared weights.

    Args:
        trials_per_epoch: trials scored after each round of shared training.
        steps_per_epoch: steps of a round of shared training; None is a whole pass over the training part.
        warmup: rounds of shared training before the first trial.
        architectures_per_step: architectures sampled in a step of shared training (ENAS's M: 1).
        sampling: what shared training trains: what the "policy" proposes (ENAS), or what is drawn "uniform"ly.
        trials_per_minibatch: trials in a row that are scored on the same validation minibatch.
        evaluation_batch: validation images, or rows of text, that a trial is scored on; None is the recipe's batch.
        samples: architectures sampled and ranked after the search (ENAS derives from 10).
        rank_minibatches: validation minibatches they are ranked on (ENAS uses one); None is the whole validation part.
        proxy: scores of untrained networks that the ranking is joined with, separated by commas ("layers,synflow"), or
            "all"; how much each counts is learned from the architectures that the shortlist trains.
    """

    name: ClassVar[str] = "shared-weights"
    expensive: ClassVar[bool] = False
    in_one_process: ClassVar[bool] = True
    phrase: ClassVar[str] = " with shared weights"
    shares: ClassVar[bool] = True
    predicts: ClassVar[bool] = True  # thousands of networks, of which none is built

    trials_per_epoch: int = 300
    steps_per_epoch: int | None = None
    warmup: int = 0
    architectures_per_step: int = 1
    sampling: Literal["policy", "uniform"] = "policy"
    trials_per_minibatch: int = 1
    evaluation_batch: int | None = None
    samples: int = 10
    rank_minibatches: int | None = None
    proxy: str | None = None

    def __post_init__(self) -> None:
        for name in ("trials_per_epoch", "samples", "architectures_per_step", "trials_per_minibatch"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if self.warmup < 0:
            raise ConfigError(f"warmup is {self.warmup}; it must be zero or more")
        if self.sampling not in ("policy", "uniform"):
            raise ConfigError(f"sampling is {self.sampling!r}; it must be policy or uniform")
        if unknown := [name for name in self.proxies if name not in PROXIES]:
            known = ", ".join(PROXIES).replace("_", "-")
            raise ConfigError(f"proxy is {self.proxy!r}: {unknown[0]!r} is none of {known}; all takes all of them")

    @property
    def proxies(self) -> tuple[str, ...]:
        """The names in `proxy`."""
        names = () if self.proxy is None else tuple(self.proxy.replace("-", "_").split(","))
        return tuple(PROXIES) if names == ("all",) else names

    @staticmethod
    def sized(user: Mapping[str, Any], preset: Mapping[str, Any], epochs: float | None, final: Recipe) -> Settings:
        if "trials" in user or epochs is None:
            return {}
        asked = {**preset, **user}
        return {"trials": max(1, int((epochs - asked.get("warmup", 0)) * asked["trials_per_epoch"]))}

    def check(self, search: Search, finalists: int) -> None:
        if not search.space.shares_weights:
            raise ConfigError(
                f"the space {search.space.name} as configured shares no weights; use --evaluator from-scratch"
            )
        if finalists > self.samples:
            raise ConfigError(f"finalists is {finalists}, more than the {self.samples} samples they are taken from")

    def rounds(self, trials: int) -> int:
        """Return the rounds of shared training; trials follow each after the first `warmup`."""
        return self.warmup + -(-trials // self.trials_per_epoch)

    def evaluator(self, context: Context) -> SharedWeights:
        search = context.search
        return SharedWeights(
            search.space,
            context.modality,
            search.recipe,
            trials_per_epoch=self.trials_per_epoch,
            steps_per_epoch=self.steps_per_epoch,
            warmup=self.warmup,
            architectures_per_step=self.architectures_per_step,
            sampling=self.sampling,
            trials_per_minibatch=self.trials_per_minibatch,
            evaluation_batch=self.evaluation_batch,
            objective=context.objective,
            seed=context.seed,
            device=context.device,
        )

    def trained(self, context: Context, saved: Saved) -> SharedWeights:
        weights = self.evaluator(context)
        if saved.evaluator is None:
            raise RunError("the run has no shared weights: its search was stopped before they were stored")
        weights.load_state_dict(saved.evaluator)
        return weights

    def measure(self, context: Context, architectures: Sequence[Architecture]) -> dict[str, float]:
        """Time steps of shared training, and trials, over several architectures: their mean is what a run pays."""
        evaluator = self.evaluator(context)
        feed = iter([*architectures, *architectures])
        shared = evaluator.prepare(lambda n: [Proposal(i, next(feed, architectures[0])) for i in range(n)], 0)
        count, most = len(architectures), context.patience
        step = mean_seconds(shared, count, most=most)
        proposals = map(Proposal, range(count + 1), [architectures[0], *architectures])
        trial = mean_seconds(map(evaluator.evaluate, proposals), count, most=most)
        found = {"step": step, "trial": trial + CONTROLLER_SECONDS}
        if self.proxies:
            begun = time.perf_counter()
            self.scoring(context, {architectures[0]: 0.0})
            found["proxy"] = time.perf_counter() - begun
        return found

    def seconds(self, context: Context, rates: Rates) -> tuple[float, float]:
        search, step, trial = context.search, rates.search["step"], rates.search["trial"]
        count = self.rounds(search.trials) * (self.steps_per_epoch or steps(search.recipe, context.modality))
        minibatches = self.rank_minibatches or self._minibatches(context)
        each = trial * minibatches + rates.search.get("proxy", 0.0)
        return count * step + search.trials * trial, self.samples * each

    def _minibatches(self, context: Context) -> int:
        recipe = replace(context.search.recipe, batch=self.evaluation_batch or context.search.recipe.batch)
        return max(1, len(context.modality.data.validation) // context.modality.per_step(recipe))

    def derivation(self, context: Context, rates: Rates, seconds: float) -> tuple[Settings, float]:
        whole, trial = self._minibatches(context), rates.search["trial"]
        fitting = int(SHARE_OF_DERIVING * seconds / self.samples / max(trial, 1e-9))
        count = max(1, min(whole, fitting))
        return {"rank_minibatches": count if count < whole else None}, self.samples * trial * count

    def fitted(self, context: Context, rates: Rates, seconds: float, fixed: Collection[str]) -> tuple[Settings, float]:
        """Fill the time with rounds of shared training, and trials after the first third of them."""
        search = context.search
        batch = int(search.controller_settings.get("batch", 10))
        count = max(8, int(seconds * (1 - SHARE_OF_TRIALS) / rates.search["step"]))
        rounds = max(4, min(150, round(seconds / ROUND_SECONDS)))
        warmup = rounds // 3
        scoring = seconds * SHARE_OF_TRIALS / (rounds - warmup)
        trials = max(batch, int(scoring / rates.search["trial"]) // batch * batch)
        return {
            "trials_per_epoch": trials,
            "warmup": warmup,
            "trials": (rounds - warmup) * trials,
            "steps_per_epoch": max(2, count // rounds),
            "epochs": rounds,
        }, count / steps(search.recipe, context.modality)

    def ranked(
        self, context: Context, saved: Saved, ask: Callable[[int], Sequence[Proposal]]
    ) -> dict[Architecture, float]:
        """Sample from the controller, and rank with the shared weights on the validation part (ENAS 2018, 2.3)."""
        evaluator = self.trained(context, saved)
        architectures = list(dict.fromkeys(proposal.architecture for proposal in ask(self.samples)))
        scores = evaluator.rank(architectures, minibatches=self.rank_minibatches)
        return dict(zip(architectures, scores, strict=True))

    def scoring(
        self, context: Context, ranked: Mapping[Architecture, float]
    ) -> Callable[[Mapping[Architecture, float]], Mapping[Architecture, float]]:
        if not self.proxies:
            return super().scoring(context, ranked)
        space, task = context.search.space, context.modality.data.task
        rows = [proxies_of(space, one, task, names=self.proxies, seed=context.seed) for one in ranked]
        columns = {"reward": list(ranked.values()), **{name: [row[name] for row in rows] for name in self.proxies}}

        def score(losses: Mapping[Architecture, float]) -> Mapping[Architecture, float]:
            known = {place: -losses[one] for place, one in enumerate(ranked) if one in losses}
            return dict(zip(ranked, fused(columns, known), strict=True))

        return score

    def line(self, search: Search, cluster: Cluster) -> str:
        each = f"{self.steps_per_epoch} steps" if self.steps_per_epoch else "a pass over the training images"
        warmup = f" after {self.warmup} without" if self.warmup else ""
        return (
            f"search: {self.rounds(search.trials) - self.warmup} rounds of {each} of shared training "
            f"(batch {search.recipe.batch}) and {self.trials_per_epoch} trials{warmup}; controller {search.controller}"
        )

    def source(self, search: Search) -> str:
        joined = "" if self.proxy is None else f", by their rewards and {', '.join(self.proxies)}".replace("_", "-")
        return f"{self.samples} samples{joined}"
