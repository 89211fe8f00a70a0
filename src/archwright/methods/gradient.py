"""Gradient search: soft weights of all operations at once are descended with the weights they mix (DARTS 2019)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch

from archwright.errors import ConfigError, RunError
from archwright.evaluators.bilevel import Bilevel, first_steps
from archwright.loop import Proposal
from archwright.methods.cost import Rates, mean_seconds
from archwright.methods.protocol import Context, Method, Search, Settings

if TYPE_CHECKING:
    from archwright.engines.settings import Cluster
    from archwright.loop import Saved
    from archwright.space import Architecture
    from archwright.training.recipe import Recipe

TRIALS = 1000  # where neither the user nor the preset says
TIMED = 2  # steps and trials that are timed: all cost the same
CONTROLLER_SECONDS = 0.01  # a controller's share in one trial, and that of what is stored of it
LAST = 0.1  # share of the trials, the last ones, whose mean reward is the score of what was found


@dataclass(frozen=True)
class GradientMethod(Method):
    """Settings of a gradient search.

    Args:
        order: of the gradient: 1 holds the shared weights fixed, 2 differentiates through their next step, for about
            three times the cost (DARTS).
        weights_first: share of the search in which the weights are trained alone, before the first step of the
            architecture (PC-DARTS: 0.3).
    """

    name: ClassVar[str] = "gradient"
    expensive: ClassVar[bool] = False
    in_one_process: ClassVar[bool] = True
    phrase: ClassVar[str] = " of the mixture"
    controller: ClassVar[str | None] = "gradient"
    costs: ClassVar[bool] = False
    without_costs: ClassVar[str] = "descends in a loss, which no cost is part of"

    order: Literal[1, 2] = 1
    weights_first: float = 0.0

    def __post_init__(self) -> None:
        if self.order not in (1, 2):
            raise ConfigError(f"order is {self.order}; it must be 1 or 2")
        if not 0 <= self.weights_first < 1:
            raise ConfigError(f"weights_first is {self.weights_first}; it must be from 0 to below 1")

    @staticmethod
    def sized(user: Mapping[str, Any], preset: Mapping[str, Any], epochs: float | None, final: Recipe) -> Settings:
        settings: Settings = {"shortlist": 1}
        if preset.get("evaluator") != GradientMethod.name:
            settings["trials"] = TRIALS
        elif epochs is not None and "trials" not in user:
            settings["trials"] = max(1, round(preset["trials"] * epochs / preset["epochs"]))
        return settings

    def check(self, search: Search, finalists: int) -> None:
        if not search.space.mixes:
            raise ConfigError(
                f"the space {search.space.name} as configured has no mixture of operations; use another --evaluator"
            )
        if finalists > 1:
            raise ConfigError(f"finalists is {finalists}, and a gradient search finds one architecture")

    def controller_settings(self, search: Search) -> Mapping[str, Any]:
        return {"steps": search.trials} if search.controller == self.controller else {}

    def evaluator(self, context: Context) -> Bilevel:
        search = context.search
        return Bilevel(
            search.space,
            context.modality,
            search.recipe,
            steps=search.trials,
            weights_first=self.weights_first,
            order=self.order,
            objective=context.objective,
            seed=context.seed,
            device=context.device,
        )

    def trained(self, context: Context, saved: Saved) -> Bilevel:
        evaluator = self.evaluator(context)
        if saved.evaluator is None:
            raise RunError("the run has no weights of the mixture: its search was stopped before they were stored")
        evaluator.load_state_dict(saved.evaluator)
        return evaluator

    def measure(self, context: Context, architectures: Sequence[Architecture]) -> dict[str, float]:
        """Time steps of the weights, and trials, under equal weights of all operations."""
        evaluator, mixture = self.evaluator(context), context.search.space.mixture
        soft = {name: torch.full((len(choices),), 1 / len(choices)) for name, choices in mixture.items()}
        proposal = Proposal(0, architectures[0], soft=soft)
        steps = evaluator.prepare(lambda n: [proposal] * n, TIMED + 1)
        trials = (evaluator.evaluate(proposal) for _ in range(TIMED + 1))
        step, trial = (mean_seconds(timed, TIMED, most=context.patience) for timed in (steps, trials))
        return {"step": step, "trial": trial + CONTROLLER_SECONDS}

    def seconds(self, context: Context, rates: Rates) -> tuple[float, float]:
        trials = context.search.trials
        steps = trials + first_steps(trials, self.weights_first)
        return steps * rates.search["step"] + trials * rates.search["trial"], 0.0

    def fitted(self, context: Context, rates: Rates, seconds: float, fixed: Collection[str]) -> tuple[Settings, float]:
        """Fill the time with trials, each with a step of the weights."""
        steps = 1 / (1 - self.weights_first)  # for each trial
        trials = max(1, int(seconds / (steps * rates.search["step"] + rates.search["trial"])))
        seen = trials * steps * context.modality.per_step(context.search.recipe)
        count = len(context.modality.data.train)
        return {"trials": trials, "epochs": max(0.01, seen / (count / 2))}, seen / count

    def ranked(
        self, context: Context, saved: Saved, ask: Callable[[int], Sequence[Proposal]]
    ) -> dict[Architecture, float]:
        """Return the architecture that the soft weights stand for at the end, with the mean reward of the last trials.

        The reward is the mixture's: it ranks no architectures.
        """
        (proposal,) = ask(1)
        rewards = [trial.reward for trial in saved.trials if trial.result.error is None]
        last = rewards[-max(1, int(LAST * len(rewards))) :]
        return {proposal.architecture: fmean(last)} if last else {}

    def line(self, search: Search, cluster: Cluster) -> str:
        first = first_steps(search.trials, self.weights_first)
        alone = f", after {first} of the weights alone" if first else ""
        order = ("first", "second")[self.order - 1]
        return (
            f"search: {search.trials} steps of the architecture ({order} order) and of the weights, in turn{alone}, "
            f"batch {search.recipe.batch}; controller {search.controller}"
        )

    def source(self, search: Search) -> str:
        return "1 architecture"
