"""Short measurements on this machine: what the steps of a run take, and how much training fits into a time."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from archwright.errors import ChildFailure
from archwright.loop import Proposal
from archwright.modalities import modality
from archwright.modalities.protocol import Data
from archwright.runs.assembly import shared_weights
from archwright.space import sample
from archwright.training.child import child_network, child_recipe
from archwright.training.fit import Fit
from archwright.training.randomness import Stream, seeded

if TYPE_CHECKING:
    from archwright.runs.plan import Plan
    from archwright.space import Architecture
    from archwright.training.recipe import Recipe

MEASURED = 6  # architectures that are timed: their costs differ several times over
CONTROLLER_SECONDS = 0.004  # a controller's share in one trial: 54 steps, sampled and learned from in tens
FORWARD = 1 / 3  # a forward pass is about a third of a training step
LEAST_EPOCHS = 0.01


@dataclass(frozen=True)
class Rates:
    """Measured seconds: of a shared training step, of scoring a trial, of a step of a child's final training."""

    shared_step: float
    trial: float
    child_step: float


@dataclass(frozen=True)
class Cost:
    """Seconds of one pass over the training images, and of one look at the validation images, which ends every pass."""

    training: float
    validation: float

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.training + other.training, self.validation + other.validation)

    def of(self, epochs: float) -> float:
        """Seconds of training for `epochs`; a part of an epoch ends with a whole look at the validation images."""
        return epochs * self.training + math.ceil(epochs) * self.validation

    def epochs_within(self, seconds: float) -> float:
        """The most epochs that take at most `seconds`, to a hundredth, and at least a hundredth."""
        whole = max(0, math.floor(seconds / (self.training + self.validation)))
        rest = seconds - self.of(whole) - self.validation
        part = min(1.0, max(0.0, rest / self.training))
        return max(LEAST_EPOCHS, math.floor((whole + part) * 100) / 100)


def cost(recipe: Recipe, data: Data, step: float) -> Cost:
    """Of training, from the seconds of a step."""
    looked_at = min(len(data.validation), recipe.validation_limit or len(data.validation))
    return Cost(step * steps(recipe, data), step * FORWARD * looked_at / per_step(recipe, data))


def steps(recipe: Recipe, data: Data) -> int:
    """Of a pass over the training part."""
    return -(-len(data.train) // per_step(recipe, data))


def per_step(recipe: Recipe, data: Data) -> int:
    """Images, or tokens, in a step."""
    return modality(data).per_step(recipe)


def measure(plan: Plan, data: Data) -> Rates:
    """Time a few steps of everything the plan repeats, over several architectures: their mean is what a run pays."""
    architectures = [sample(plan.space, (plan.seed, 99, i)) for i in range(MEASURED)]
    shared = trial = 0.0
    if plan.evaluator == "shared-weights":
        evaluator = shared_weights(plan, data)
        feed = iter(architectures * 2)
        shared_steps = evaluator.prepare(lambda n: [Proposal(i, next(feed, architectures[0])) for i in range(n)], 0)
        shared = mean_seconds(shared_steps, MEASURED)
        proposals = [Proposal(i, a) for i, a in enumerate(architectures)]
        evaluator.evaluate(proposals[0])
        begun = time.perf_counter()
        for proposal in proposals:
            evaluator.evaluate(proposal)
        trial = (time.perf_counter() - begun) / len(proposals) + CONTROLLER_SECONDS
    child = sum(step_seconds(plan, data, architecture, 3) for architecture in architectures[:3]) / 3
    return Rates(shared, trial, child)


def step_seconds(plan: Plan, data: Data, architecture: Architecture | None, count: int, least: float = 0.0) -> float:
    """Of final training: the mean of `steps`, and of as many more as `least` seconds take."""
    network = network_of(plan, data, architecture)
    recipe = replace(recipe_of(plan, architecture), epochs=1)
    fit = Fit(network, modality(data), recipe, seed=plan.seed, device=plan.device)
    return mean_seconds(_until_it_fails(iter(fit)), count, least)


def _until_it_fails(steps: Iterator[Any]) -> Iterator[Any]:
    """A network that diverges is not timed further; training it is what says so."""
    with suppress(ChildFailure):
        yield from steps


def network_of(plan: Plan, data: Data, architecture: Architecture | None) -> Any:
    """The network of final training, with the weights it starts from; None: the plan's reference network."""
    if architecture is not None:
        return child_network(plan.final_space, architecture, data.task, plan.seed)
    with seeded(torch.device("cpu"), Stream.WEIGHTS, plan.seed):
        if plan.residual is not None:
            space: Any = plan.final_space
            stride, dropout = getattr(space, "stem_stride", 1), getattr(space, "dropout", 0.0)
            return modality(data).residual(plan.residual, stem_stride=stride, dropout=dropout)
        return plan.final_space.reference(data.task)


def recipe_of(plan: Plan, architecture: Architecture | None) -> Recipe:
    """The recipe of final training, with what the architecture itself says of it."""
    if architecture is None:
        return plan.final_recipe
    return child_recipe(plan.final_space, architecture, plan.final_recipe)


def mean_seconds(steps: Iterator[Any], count: int, least: float = 0.0) -> float:
    """Of `count` steps after the first one, and of more until `least` seconds have passed; fewer if they end."""
    first = time.perf_counter()
    next(steps, None)  # the first step of a process plans its kernels and takes its memory
    begun, done = time.perf_counter(), 0
    while done < count or time.perf_counter() - begun < least:
        if next(steps, None) is None:
            break
        done += 1
    return (time.perf_counter() - begun) / done if done else begun - first
