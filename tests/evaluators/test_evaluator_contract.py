"""The laws of every evaluator, for those that come along."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch

from archwright.evaluators.bilevel import Bilevel
from archwright.evaluators.from_scratch import FromScratch
from archwright.evaluators.function import Function
from archwright.evaluators.objective import Accuracy, InversePerplexity, Objective
from archwright.evaluators.race import Race
from archwright.evaluators.shared_weights import SharedWeights
from archwright.evaluators.table import Table
from archwright.loop import Evaluator, Progress, Proposal
from archwright.modalities import modality
from archwright.space import Architecture, Space, generator
from archwright.spaces import DartsRecurrent, EnasMicro, EnasRecurrent, NasBench201, Stages
from archwright.testing import EvaluatorContract
from archwright.testing.searches import Phased
from archwright.testing.small_spaces import Ragged, Static
from archwright.training.fit import Fit
from archwright.training.recipe import ENAS_RECURRENT, Recipe
from small_images import image_data
from small_text import text_data

MICRO = EnasMicro(nodes=1, repeats=1, filters=8)
RECURRENT = EnasRecurrent(nodes=3, units=8, recurrent_dropout=0.1)
CHAIN = DartsRecurrent(nodes=2, units=6)
EDGES = NasBench201(repeats=1, filters=4)
STAGES = Stages(widths=(8,), blocks=(1, 2), most_stages=2, training=False)
IMAGES, TEXT = image_data(), text_data()
RECIPE = Recipe(epochs=3, batch=8, cutout=3, restart_period=1)
TEXT_RECIPE = replace(ENAS_RECURRENT, epochs=3, batch=4, length=5, learning_rate=1.0)


def score(architecture: Architecture) -> float:
    return float(str(architecture["first"]))


def look(architecture: Architecture) -> dict[str, float]:
    return {"validation_accuracy": score(architecture), "test_accuracy": 0.5, "seconds": 3.0}


def shared(space: Space, data: Any, recipe: Recipe, **settings: Any) -> Callable[[], Evaluator]:
    return lambda: SharedWeights(space, data, recipe=recipe, device="cpu", trials_per_epoch=4, **settings)


def from_scratch(space: Space, data: Any, recipe: Recipe) -> Callable[[], Evaluator]:
    return lambda: FromScratch(space, data, replace(recipe, epochs=1), device="cpu")


class Kept:
    """Trainings of a race that are kept in memory."""

    def __init__(self, space: Space, data: Any, recipe: Recipe) -> None:
        self.children, self.states = FromScratch(space, data, recipe, device="cpu"), dict[str, Any]()

    def begin(self, architecture: Architecture) -> Fit:
        children = self.children
        fit = Fit(children.network(architecture), children.data, children.recipe, device="cpu", validate_last=1)
        if state := self.states.get(architecture.id):
            fit.load_state_dict(state)
        return fit

    def advance(self, fit: Fit, architecture: Architecture, share: float) -> Iterator[Progress]:
        yield from fit.until(share * fit.steps)
        self.states[architecture.id] = fit.state_dict()


def bilevel(space: Space, data: Any, recipe: Recipe, **settings: Any) -> Callable[[], Evaluator]:
    return lambda: Bilevel(space, data, recipe, device="cpu", steps=8, **settings)


def race(space: Space, data: Any, recipe: Recipe, objective: Objective) -> Callable[[], Evaluator]:
    return lambda: Race(Kept(space, data, recipe), modality(data), 0.5, objective)


MADE: dict[str, tuple[Space, Callable[[], Evaluator]]] = {
    "function": (Static(), lambda: Function(score, failure_reward=-1.0)),
    "table": (Static(), lambda: Table(Static(), look)),
    "phased": (Ragged(), Phased),
    "from-scratch": (MICRO.final(repeats=1, filters=8, auxiliary=False), from_scratch(MICRO, IMAGES, RECIPE)),
    "from-scratch-text": (RECURRENT, from_scratch(RECURRENT, TEXT, TEXT_RECIPE)),
    "race": (STAGES, race(STAGES, IMAGES, RECIPE, Accuracy())),
    "race-text": (RECURRENT, race(RECURRENT, TEXT, TEXT_RECIPE, InversePerplexity())),
    "bilevel": (EDGES, bilevel(EDGES, IMAGES, RECIPE)),  # every space that mixes is alike: its contract has a law
    "bilevel-text": (CHAIN, bilevel(CHAIN, TEXT, TEXT_RECIPE, order=2)),
    "bilevel-2": (EDGES, bilevel(EDGES, IMAGES, RECIPE, order=2, weights_first=0.2)),
    "shared": (MICRO, shared(MICRO, IMAGES, RECIPE)),
    "shared-2": (MICRO, shared(MICRO, IMAGES, RECIPE, architectures_per_step=2)),
    "shared-uniform": (MICRO, shared(MICRO, IMAGES, RECIPE, sampling="uniform")),
    "shared-text": (RECURRENT, shared(RECURRENT, TEXT, TEXT_RECIPE)),
    "shared-text-2": (RECURRENT, shared(RECURRENT, TEXT, TEXT_RECIPE, architectures_per_step=2)),
}


@pytest.mark.parametrize("name", MADE)
class TestEvaluator(EvaluatorContract):
    space: Space = Static()

    @pytest.fixture(autouse=True)
    def _given(self, name: str) -> None:
        self.name, (self.space, self.made) = name, MADE[name]

    def make(self) -> Evaluator:
        return self.made()

    def proposal(self, stream: int) -> Proposal:
        plain = super().proposal(stream)
        if not self.name.startswith("bilevel"):
            return plain
        rng, mixture = generator((7, stream)), self.space.mixture
        soft = {name: torch.tensor(rng.dirichlet([1.0] * len(o)), dtype=torch.float32) for name, o in mixture.items()}
        return replace(plain, soft=soft)
