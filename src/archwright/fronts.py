"""Fronts: of vectors whose every part is better larger, those that no other is at least as good as everywhere."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

Values: TypeAlias = "Sequence[float]"


def front(values: Sequence[Values | None]) -> list[int]:
    """Return the places of vectors that no other dominates; of equal ones the first. None is in no front."""
    places: dict[tuple[float, ...], int] = {}
    for place, value in enumerate(values):
        if value is not None:
            places.setdefault(tuple(value), place)
    found: list[tuple[float, ...]] = []
    for value in sorted(places, reverse=True):  # whatever dominates a vector comes before it
        if not any(_dominates(other, value) for other in found):
            found.append(value)
    return sorted(places[value] for value in found)


def _dominates(one: Values, other: Values) -> bool:
    """Return whether one vector is as good everywhere as another that differs."""
    return one != other and all(a >= b for a, b in zip(one, other, strict=True))


def sorted_by_front(values: Sequence[Values]) -> list[int]:
    """Return places by the rank of their front, and within a front the least crowded first (Deb et al. 2002)."""
    waiting, order = list(range(len(values))), []
    while waiting:
        chosen = [waiting[at] for at in front([values[place] for place in waiting])]
        room = _room([values[place] for place in chosen])
        order += [place for _, place in sorted(zip(room, chosen, strict=True), key=lambda pair: (-pair[0], pair[1]))]
        waiting = [place for place in waiting if place not in chosen]
    return order


def _room(values: Sequence[Values]) -> list[float]:
    """Return how far the neighbours of each are apart, summed over the parts; infinite at their ends."""
    room = [0.0] * len(values)
    for axis in range(len(values[0])):
        order = sorted(range(len(values)), key=lambda place: values[place][axis])
        span = values[order[-1]][axis] - values[order[0]][axis] or 1.0
        room[order[0]] = room[order[-1]] = math.inf
        for before, place, after in zip(order, order[1:], order[2:], strict=False):
            room[place] += (values[after][axis] - values[before][axis]) / span
    return room


def knee(values: Sequence[Values]) -> int:
    """Return the place of the vector that is farthest from the worst of each part, all scaled to the front's span.

    That is the largest least gain: the point where giving up more of one part buys little of the others.
    """
    spans = [(min(part), max(part)) for part in zip(*values, strict=True)]

    def gain(value: Values) -> tuple[float, float]:
        scaled = [(v - low) / (high - low) if high > low else 1.0 for v, (low, high) in zip(value, spans, strict=True)]
        return sum(scaled), min(scaled)

    return max(range(len(values)), key=lambda place: gain(values[place]))
