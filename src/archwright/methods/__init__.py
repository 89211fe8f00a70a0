"""Methods: the ways in which proposals are scored and finalists chosen. Nothing outside asks which one it has."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from archwright.errors import ConfigError, offered

METHODS = {
    "shared-weights": "archwright.methods.shared_weights:SharedWeightsMethod",
    "race": "archwright.methods.race:RaceMethod",
    "gradient": "archwright.methods.gradient:GradientMethod",
    "from-scratch": "archwright.methods.from_scratch:FromScratchMethod",
}


def method_class(name: str) -> Any:
    """Return the method of that name: a frozen dataclass, see `archwright.methods.protocol.Method`."""
    if name not in METHODS:
        raise ConfigError(f"evaluator is {name!r}; {offered(name, METHODS)}")
    module, _, attribute = METHODS[name].partition(":")
    return getattr(import_module(module), attribute)
