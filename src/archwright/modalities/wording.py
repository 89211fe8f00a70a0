"""How values of a metric, their intervals and differences are written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Wording:
    """A unit in which a metric is shown.

    `measure` is its name in pictures. `number` turns a value into the number that is shown, with `places` decimals and
    a `mark` after it; `times` does so for a difference, which is stored in a unit of its own. `value` and `difference`
    name the unit.
    """

    measure: str
    number: Callable[[float], float] = float
    places: int = 2
    times: float = 1.0
    mark: str = ""
    value: str = "{}"
    difference: str = ""

    def _written(self, number: float, sign: str = "") -> str:
        """Return three digits for what diverged, instead of hundreds."""
        return f"{number:{sign}.{self.places}f}" if abs(number) < 1e6 else f"{number:{sign}.3g}"

    def words(self, value: float) -> str:
        """Return a value with its unit."""
        return self.value.format(self._written(self.number(value)) + self.mark)

    def words_of_interval(self, low: float, high: float) -> str:
        """Return a 95 % interval without the unit."""
        first, last = (self._written(self.number(bound)) + self.mark for bound in (low, high))
        return f"95 % interval {first} to {last}"

    def words_of_difference(self, difference: float, low: float, high: float) -> str:
        """Return a difference with its unit, and its interval."""
        middle, first, last = (self._written(self.times * number, "+") for number in (difference, low, high))
        return f"{middle} {self.difference}, 95 % interval {first} to {last}"
