"""The laws of every controller, for those that come along."""

from __future__ import annotations

import importlib.util
from importlib import import_module
from typing import Any

import pytest

from archwright.controllers import CONTROLLERS
from archwright.controllers.starting import Starting
from archwright.evaluators.function import Function
from archwright.loop import Controller, Trials, run
from archwright.space import Space, sample
from archwright.testing import ControllerContract
from archwright.testing.small_spaces import Chain, Static

SETTINGS: dict[str, dict[str, Any]] = {
    "evolution": {"population": 4},
    "gradient": {"init": 1.0},
    "guided": {"start": 4, "random": 10, "mutants": 10},
    "reinforce": {"batch": 4, "units": 8},
}
WITH = {
    **{name: (name, SETTINGS.get(name, {})) for name in CONTROLLERS},
    "local-best": ("local", {"step": "best"}),
    "guided-policy": ("guided", {"start": 4, "random": 5, "mutants": 5, "sampled": 5, "updates": 1}),
    "guided-blind": ("guided", {"start": 4, "random": 5, "mutants": 5, "surrogate": False}),
}
STARTING = "starting-"  # before the name of a controller that begins with given architectures
WITH |= {STARTING + name: WITH[name] for name in ("evolution", "guided", "reinforce")}


@pytest.mark.parametrize("name", WITH)
class TestController(ControllerContract):
    @pytest.fixture(autouse=True)
    def _given(self, name: str) -> None:
        self.name = name
        if name == "gradient":  # it weighs the answers of static spaces, and not sets
            self.spaces = [Static(), Chain(nodes=6)]

    def make(self, space: Space, seed: int) -> Controller:
        controller, settings = WITH[self.name]
        if controller == "optuna" and importlib.util.find_spec("optuna") is None:
            pytest.skip("needs archwright[optuna]")
        module, _, cls = CONTROLLERS[controller].partition(":")
        made: Controller = getattr(import_module(module), cls)(space, seed=seed, **settings)
        if not self.name.startswith(STARTING):
            return made
        return Starting(made, [sample(space.grown(stream), (9, stream)) for stream in range(3)])

    def test_it_goes_on_where_everything_has_been_tried_and_failed(self) -> None:
        """36 architectures, 60 trials, all with the same reward."""
        trials = run(self.make(Static(), 3), Function(lambda a: 0.0), budget=Trials(60))
        assert len(list(trials)) == 60
