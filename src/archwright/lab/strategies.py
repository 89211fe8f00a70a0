"""Strategies by name: a controller with settings."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from archwright.components import controller_class, typed
from archwright.controllers import CONTROLLERS
from archwright.errors import ConfigError, offered
from archwright.loop import Controller
from archwright.methods import METHODS, method_class
from archwright.presets import presets_of
from archwright.presets.budget import for_budget
from archwright.space import Space, sample
from archwright.spaces import NasConv

# Names besides those of the controllers: the controller, and the space whose paper gives its settings; None: its own
# defaults, which for REINFORCE and PPO are those of ENAS and NASNet.
NAMED: dict[str, tuple[str, type[Space] | None]] = {
    **{"tpe": ("optuna", None), "nsga2": ("optuna", None), "nas": ("reinforce", NasConv)},
    **{"reinforce-paper": ("reinforce", None), "ppo-paper": ("ppo", None)},
}
# Optuna's population of 50 would be selected from once in 100 trials.
SAMPLERS = {"nsga2": {"sampler": "NSGAIISampler", "settings": {"population_size": 20}}}
OURS = ("space", "seed")  # arguments of every controller that a comparison gives


@dataclass(frozen=True)
class Strategy:
    """A controller's name and its settings. `label` is what the user wrote.

    `budgeted`: what is not set follows the budget, where the controller has such settings (`presets.budget`).
    """

    label: str
    controller: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    budgeted: bool = False

    def make(self, space: Space, seed: int, objectives: Sequence[str] = (), *, trials: int | None = None) -> Controller:
        """Return a new controller for about so many `trials`.

        Of several `objectives` it gets the names if it takes them; otherwise it learns from the reward. Raises
        ConfigError if it has no such settings, or not with such values.
        """
        typed(self.controller)  # a strategy is only ever read from what the user typed
        make = controller_class(self.controller)
        if not callable(make):
            raise ConfigError(f"{self.controller} is no controller: it must be a class, called with a space and a seed")
        known = _settings(make)
        if unknown := [name for name in self.settings if name not in known]:
            there = offered(unknown[0], known) if known else "it has none"
            raise ConfigError(f"{self.label}: there is no setting {unknown[0]!r}; {there}")
        try:
            several = {"objectives": tuple(objectives)} if objectives and "objectives" in known else {}
            settings = {**several, **self._following(space, trials), **self.settings}
            controller: Controller = make(space, seed=seed, **settings)
        except (TypeError, ValueError) as error:  # a value that is no number, say
            raise ConfigError(f"{self.label}: its settings cannot be used ({error})") from None
        return controller

    def _following(self, space: Space, trials: int | None) -> dict[str, Any]:
        if not self.budgeted:
            return {}
        found = for_budget(self.controller, trials, len(sample(space, 0).answers))
        return {name: value for name, value in found.items() if name not in self.settings}


def _settings(make: Callable[..., Any]) -> list[str]:
    """Return the names that the flags of this controller have; jsonargparse follows `**settings` to their names."""
    from jsonargparse import ArgumentParser

    parser = ArgumentParser(exit_on_error=False)
    add = parser.add_class_arguments if inspect.isclass(make) else parser.add_function_arguments
    added: list[str] = add(make, skip=set(OURS), fail_untyped=False)
    return added


def strategies(text: str) -> list[Strategy]:
    """Read a list such as `random,evolution,reinforce+learning_rate=0.01+batch=1,mine.py:Mine`."""
    parts = re.split(r",(?![^{\[]*[}\]])", text)  # not at the commas of a value in brackets
    found = [_strategy(part.strip()) for part in parts if part.strip()]
    if not found or len({strategy.label for strategy in found}) != len(found):
        raise ConfigError(f"{text!r}: name at least one strategy, and each once")
    return found


def _strategy(text: str) -> Strategy:
    name, *settings = re.split(r"\+(?=\w+=)", text)
    controller, paper = NAMED.get(name, (name, None))
    if ".py:" not in controller and controller not in CONTROLLERS:
        there = offered(name, sorted({*CONTROLLERS, *NAMED}), "file.py:Name")
        raise ConfigError(f"{name!r} is not a strategy; {there}; settings follow as +name=3")
    if controller in {method_class(method).controller for method in METHODS}:
        raise ConfigError(f"{name} learns from gradients, and a table has none")
    given: dict[str, Any] = dict(SAMPLERS.get(name, {}))
    if paper is not None:
        given |= presets_of(paper).published.controllers[controller]
    pairs = (setting.split("=", 1) for setting in settings)
    own = {key: _value(text, value) for key, value in pairs}
    return Strategy(text, controller, given | own, budgeted=name not in NAMED)


def _value(strategy: str, text: str) -> Any:
    import yaml

    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        raise ConfigError(f"{strategy}: {text!r} is not a value") from None
    if isinstance(value, str):
        with suppress(ValueError):
            return float(value)  # 1e-3 is text to YAML
    return value
