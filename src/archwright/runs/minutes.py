"""One training that ends when its minutes are over: its epochs from a measured step, and its pace by the clock."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from archwright.errors import ConfigError
from archwright.methods.cost import LEAST_PASSES, Rates, cost
from archwright.runs.assembly import recipe_of
from archwright.runs.clock import LATEST
from archwright.runs.pace import Pace
from archwright.runs.rates import test_seconds
from archwright.runs.timing import TIMED_STEPS, at_batch, step_seconds
from archwright.training.fit import Fit

if TYPE_CHECKING:
    from archwright.loop import Progress
    from archwright.modalities.protocol import Modality
    from archwright.runs.plan import Plan
    from archwright.space import Architecture

WRITING = 1.0  # seconds for the model's files


class InMinutes:
    """The training of one network in so many minutes from the moment `begun` (`time.monotonic`), with the test."""

    def __init__(self, plan: Plan, modality: Modality, architecture: Architecture, minutes: float, begun: float):
        step = step_seconds(plan, modality, architecture, TIMED_STEPS)
        self._threads, self._each = plan.threads, cost(recipe_of(plan, architecture), modality, step)
        usual = Rates(at_batch(plan, modality, architecture, step))
        self._end = begun + LATEST * 60 * minutes - test_seconds(plan, modality, usual) - WRITING
        self.epochs = self._each.epochs_within(self._left())
        if self._left() <= 0:
            raise ConfigError(
                f"--minutes {minutes:g} are over before the training begins; {LEAST_PASSES:g} passes over the training "
                f"part take {(60 * minutes - self._left() + self._each.of(LEAST_PASSES)) / 60:.2g} minutes in all"
            )

    def changed(self, plan: Plan) -> Plan:
        """Return the plan with as many epochs as fit."""
        return replace(plan, final=replace(plan.final, recipe=replace(plan.final.recipe, epochs=self.epochs)))

    def _left(self) -> float:
        return self._end - time.monotonic()

    def run(self, fit: Fit) -> Iterator[Progress]:
        """Train, with as many steps as the time turns out to have."""
        pace = Pace(fit, self._left, threads=self._threads, look=self._each.validation)
        for progress in fit:
            pace.stepped()
            yield progress
        pace.end()
