"""The second step of a layered drawing: the order of the items within each rank, with few crossings.

Barycentre sweeps (Sugiyama, Tagawa & Toda 1981) and exchanges of neighbours (Gansner et al. 1993, section 3).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from archwright.report.layout.ranks import Item, Ranks

Rows: TypeAlias = "tuple[tuple[Item, ...], ...]"
STRAIGHT = 8  # two straight lines cannot cross, so one of them must bend: worse than a branch that crosses a line
SWEEPS, PATIENCE = 24, 6
RESTARTS, WORK = 24, 2000  # small graphs can afford more starts, and in them a crossing saved is seen


def reduce_crossings(ranks: Ranks) -> Rows:
    """Return the rows of `ranks`, reordered. The same ranks always give the same rows."""
    ordering = _Ordering(ranks)
    rows = ordering.best
    ordering.improve(rows)
    ordering.improve(_depth_first(rows, ordering.down))
    ordering.improve([row[::-1] for row in rows])
    shuffle = random.Random(0).shuffle
    for _ in range(min(WORK // max(1, len(ranks.segments)), RESTARTS)):
        shuffled = [list(row) for row in rows]
        for row in shuffled:
            shuffle(row)
        ordering.improve(shuffled)
    items = [item for row in ranks.rows for item in row]
    return tuple(tuple(items[index] for index in row) for row in ordering.best)


class _Ordering:
    """The best order found so far. Items are numbers, row after row; an order is a list of rows of numbers."""

    def __init__(self, ranks: Ranks) -> None:
        number = {item: index for index, item in enumerate(item for row in ranks.rows for item in row)}
        self.up: list[list[int]] = [[] for _ in number]
        self.down: list[list[int]] = [[] for _ in number]
        gaps: list[list[tuple[int, int, bool]]] = [[] for _ in ranks.rows]
        straight = set(ranks.straight)
        self.straight = {pair for a, b in straight for pair in ((number[a], number[b]), (number[b], number[a]))}
        for above, below in ranks.segments:
            a, b = number[above], number[below]
            self.down[a].append(b)
            self.up[b].append(a)
            gaps[above.rank].append((a, b, (above, below) in straight))
        self.gaps = [np.array(gap, dtype=np.int64).reshape(-1, 3).T for gap in gaps]
        self.boxes = np.array([item.is_box for item in number])
        self.best = [[number[item] for item in row] for row in ranks.rows]
        self.cost = self.count(self.best), self.disorder(self.best)

    def improve(self, start: Sequence[Sequence[int]]) -> None:
        """Sweep down and up from a given order, and keep the best order found."""
        rows, stale = [list(row) for row in start], 0
        for sweep in range(SWEEPS):
            down = sweep % 2 == 0
            for index in range(1, len(rows)) if down else range(len(rows) - 2, -1, -1):
                fixed, towards = (rows[index - 1], self.up) if down else (rows[index + 1], self.down)
                rows[index] = _by_barycentre(rows[index], fixed, towards)
            self.exchange(rows)
            stale = 0 if self.keep(rows) or self.keep([row[::-1] for row in rows]) else stale + 1
            if stale > PATIENCE:
                return

    def keep(self, rows: list[list[int]]) -> bool:
        """Remember an order if it is better: fewer crossings, or as many and closer to the order of the graph."""
        if (crossings := self.count(rows)) > self.cost[0]:
            return False
        cost = crossings, self.disorder(rows)
        if better := cost < self.cost:
            self.best, self.cost = [list(row) for row in rows], cost
        return better

    def disorder(self, rows: Sequence[Sequence[int]]) -> int:
        """Count the pairs of boxes that stand the other way round than the graph lists them; inputs count most."""
        listed = [np.array([item for item in row if self.boxes[item]]) for row in rows]
        swapped = [int(np.triu(row[:, None] > row, 1).sum()) for row in listed]
        return 100 * swapped[0] + sum(swapped)

    def count(self, rows: Sequence[Sequence[int]]) -> int:
        """Return the weighted number of crossings between neighbouring ranks."""
        place = np.empty(len(self.up), dtype=np.int64)
        for row in rows:
            place[row] = np.arange(len(row))
        total = 0
        for above, below, straight in self.gaps:
            crossed = (place[above][:, None] < place[above]) & (place[below][:, None] > place[below])
            total += int(crossed.sum() + (STRAIGHT - 1) * crossed[straight == 1][:, straight == 1].sum())
        return total

    def exchange(self, rows: list[list[int]]) -> None:
        """Exchange neighbours in place while that removes crossings."""
        places = {item: index for row in rows for index, item in enumerate(row)}
        place = [places[item] for item in range(len(self.up))]
        for _ in range(10):
            improved = False
            for row in rows:
                for i in range(len(row) - 1):
                    left, right = row[i], row[i + 1]
                    if self.between(left, right, place) > self.between(right, left, place):
                        row[i], row[i + 1] = right, left
                        place[left], place[right] = i + 1, i
                        improved = True
            if not improved:
                return

    def between(self, left: int, right: int, place: Sequence[int]) -> int:
        """Count crossings among the edges of two items of one rank when `left` stands left of `right`."""
        total, straight = 0, self.straight
        for near in (self.up, self.down):
            for a in near[left]:
                for b in near[right]:
                    if place[a] > place[b]:
                        total += STRAIGHT if (a, left) in straight and (b, right) in straight else 1
        return total


def _by_barycentre(row: Sequence[int], fixed: Sequence[int], towards: Sequence[Sequence[int]]) -> list[int]:
    """Sort items by the mean place of their neighbours; those without neighbours keep their places."""
    place = {item: index for index, item in enumerate(fixed)}
    mean = {item: sum(place[n] for n in towards[item]) / len(towards[item]) for item in row if towards[item]}
    moving = iter(sorted(mean, key=mean.__getitem__))
    return [next(moving) if item in mean else item for item in row]


def _depth_first(rows: Sequence[Sequence[int]], down: Sequence[Sequence[int]]) -> list[list[int]]:
    """Return the order in which a depth-first search meets the items: trees have no crossings."""
    place: dict[int, int] = {}
    stack = [item for row in reversed(rows) for item in reversed(row)]
    while stack:
        item = stack.pop()
        if item not in place:
            place[item] = len(place)
            stack.extend(reversed(down[item]))
    return [sorted(row, key=place.__getitem__) for row in rows]
