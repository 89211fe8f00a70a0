"""Rectangles in drawings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Box:
    """A rectangle by its centre."""

    x: float
    y: float
    width: float
    height: float

    @staticmethod
    def of(corners: Any) -> Box:
        """Return the rectangle between two corners."""
        (left, low), (right, high) = corners
        return Box((left + right) / 2, (low + high) / 2, right - left, high - low)

    def meets(self, other: Box) -> bool:
        """Return whether two overlap."""
        return (
            abs(self.x - other.x) < (self.width + other.width) / 2
            and abs(self.y - other.y) < (self.height + other.height) / 2
        )

    def within(self, other: Box) -> bool:
        """Return whether it lies inside another."""
        return (
            abs(self.x - other.x) <= (other.width - self.width) / 2
            and abs(self.y - other.y) <= (other.height - self.height) / 2
        )
