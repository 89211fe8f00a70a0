"""Scores an architecture with any Python callable: a benchmark's table, a simulator, somebody else's training code."""

from __future__ import annotations

from collections.abc import Callable
from typing import SupportsFloat

from archwright.architecture import Architecture
from archwright.errors import ConfigError
from archwright.loop import Proposal, Result, Stateless


class Function(Stateless):
    """Calls `f(architecture)`, which returns the reward, or a `Result` with metrics.

    An exception in `f` is a failed trial, whose reward is `failure_reward`. `f` should depend on the architecture
    alone: a resumed run evaluates unfinished trials again. For engines with other processes it must be defined at the
    top level of a module. Budgets that count epochs count a trial as one.
    """

    def __init__(self, f: Callable[[Architecture], SupportsFloat | Result], failure_reward: float = 0.0) -> None:
        self.f, self.failure_reward = f, failure_reward

    def evaluate(self, proposal: Proposal) -> Result:
        value: object = self.f(proposal.architecture)
        if isinstance(value, Result):
            return value
        if not isinstance(value, SupportsFloat):
            name = getattr(self.f, "__qualname__", repr(self.f))
            raise ConfigError(f"{name} returned {value!r}; it must return a number (the reward) or a Result")
        return Result(float(value))
