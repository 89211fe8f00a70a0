"""What is compared: a controller with settings, by a name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from archwright.controllers import CONTROLLERS
from archwright.errors import ConfigError
from archwright.loop import Controller
from archwright.runs.components import controller_class
from archwright.space import Space

# Names besides those of the controllers.
NAMED: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "tpe": ("optuna", {"sampler": "TPESampler"}),
    "nas": ("reinforce", {"preset": "nas"}),
}


@dataclass(frozen=True)
class Strategy:
    """A controller's name and its settings. `label` is what the user wrote."""

    label: str
    controller: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    def make(self, space: Space, seed: int) -> Controller:
        """The controller, as it begins."""
        make = controller_class(self.controller)
        settings = dict(self.settings)
        if (preset := settings.pop("preset", None)) is not None:
            make = getattr(make, preset)
        try:
            controller: Controller = make(space, seed=seed, **settings)
        except TypeError as error:
            raise ConfigError(f"{self.label}: {error}") from None
        return controller


def strategies(text: str) -> list[Strategy]:
    """Read a list such as `random,evolution,reinforce+learning_rate=0.01+batch=1,mine.py:Mine`."""
    found = [_strategy(part) for part in text.split(",") if part]
    labels = [strategy.label for strategy in found]
    if not found or len(set(labels)) != len(labels):
        raise ConfigError(f"{text!r}: name at least one strategy, and each once")
    return found


def _strategy(text: str) -> Strategy:
    import yaml

    name, *settings = re.split(r"\+(?=\w+=)", text)
    controller, values = NAMED.get(name, (name, {}))
    if ".py:" not in controller and controller not in CONTROLLERS:
        known = ", ".join(sorted({*CONTROLLERS, *NAMED}))
        raise ConfigError(f"{name!r} is not a strategy; pick from {known}, or file.py:Name")
    given = dict(values)
    for setting in settings:
        key, _, value = setting.partition("=")
        try:
            given[key] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise ConfigError(f"{text}: {value!r} is not a value") from None
    return Strategy(text, controller, given)
