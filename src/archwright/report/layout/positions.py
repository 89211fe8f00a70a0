"""The third step of a layered drawing: the place of each item from left to right.

Items that must line up (a lane over its ranks, a chain of boxes) form one block, and the blocks are placed so that the
sum of squared horizontal distances along the edges is least while neighbours keep their distance: a quadratic program,
solved by Hildreth's dual coordinate ascent (Hildreth 1957).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TypeAlias

import numpy as np

from archwright.report.layout.crossings import Rows
from archwright.report.layout.ranks import Item, Ranks

GAPS = (0.18, 0.14, 0.13)  # least distances in inches: between two boxes, box and lane, two lanes
SWEEPS, TOLERANCE = 400, 1e-3  # inches; overlaps that remain after the sweeps are pushed apart exactly
ALMOST, FIRM = 0.12, 400.0  # edges that lean by fewer inches are pulled upright so much harder, then set upright

Apart: TypeAlias = "dict[tuple[int, int], float]"  # least distance between the centres of two blocks, left and right
Pull: TypeAlias = "tuple[int, int, float, float]"  # upper and lower block, weight, x of the edge's end in the lower one


def place(
    ranks: Ranks, rows: Rows, widths: Mapping[Item, float], ports: Mapping[tuple[Item, Item], float]
) -> dict[Item, float]:
    """Return the x of each item's centre, in inches like `widths`; the leftmost edge of the drawing is 0.

    `ports`: the ends of the segments into a box, relative to its centre.
    """
    block = _blocks(ranks, rows)
    count = max(block.values()) + 1
    apart: Apart = {}
    for row in rows:
        for left, right in pairwise(row):
            pair = block[left], block[right]
            apart[pair] = max(apart.get(pair, 0.0), (widths[left] + widths[right]) / 2 + GAPS[left.lane + right.lane])
    pulls = [
        (block[a], block[b], 2.0 if a.is_box and b.is_box else 1.0, ports.get((a, b), 0.0))
        for a, b in ranks.segments
        if block[a] != block[b]
    ]
    x = _least_squares(count, pulls, apart)
    firmer = [(a, b, weight * (FIRM if abs(x[b] + port - x[a]) < ALMOST else 1), port) for a, b, weight, port in pulls]
    x = _straighten(_push_apart(_least_squares(count, firmer, apart), apart), pulls, apart)
    leftmost = min(x[block[item]] - widths[item] / 2 for row in rows for item in row)
    return {item: float(x[block[item]] - leftmost) for row in rows for item in row}


def _least_squares(count: int, pulls: Sequence[Pull], apart: Apart) -> np.ndarray:
    """Minimise the weighted sum of (x[above] - x[below] - port)^2 while x[j] - x[i] >= apart[i, j]."""
    quadratic = np.eye(count) * 1e-2  # towards the middle, which also ties parts of a graph that no edge connects
    linear = np.zeros(count)
    for above, below, weight, port in pulls:
        quadratic[above, above] += weight
        quadratic[below, below] += weight
        quadratic[above, below] -= weight
        quadratic[below, above] -= weight
        linear[above] += weight * port
        linear[below] -= weight * port
    inverse = np.linalg.inv(quadratic)
    x = inverse @ linear
    steps = {(i, j): inverse[:, j] - inverse[:, i] for i, j in apart}
    force = dict.fromkeys(apart, 0.0)
    for _ in range(SWEEPS):
        worst = 0.0
        for (i, j), distance in apart.items():
            step = steps[i, j]
            reach = step[j] - step[i]
            change = max((distance - (x[j] - x[i])) / reach, -force[i, j])
            if change:
                worst = max(worst, abs(change) * reach)
                force[i, j] += change
                x += change * step
        if worst < TOLERANCE:
            break
    return x


def _push_apart(x: np.ndarray, apart: Apart) -> np.ndarray:
    """Move positions right where needed to keep every distance exactly."""
    x = x.copy()
    for _ in range(len(x)):  # along a longest chain of neighbours at most; the blocks have an order from left to right
        before = x.copy()
        for (i, j), distance in apart.items():
            x[j] = max(x[j], x[i] + distance)
        if (x == before).all():
            break
    return x


def _straighten(x: np.ndarray, pulls: Sequence[Pull], apart: Apart) -> np.ndarray:
    """Make nearly vertical edges vertical by moving blocks that have room and no vertical edge yet."""
    x = x.copy()
    held: set[int] = set()
    lean = [x[below] + port - x[above] for above, below, _, port in pulls]
    for index in sorted(range(len(pulls)), key=lambda index: (round(abs(lean[index]), 6), index)):
        above, below, _, port = pulls[index]
        if abs(lean[index]) > ALMOST:
            break
        for block, target in ((above, x[below] + port), (below, x[above] - port)):
            low = max((x[i] + distance for (i, j), distance in apart.items() if j == block), default=-np.inf)
            high = min((x[j] - distance for (i, j), distance in apart.items() if i == block), default=np.inf)
            if block not in held and low <= target <= high:
                x[block] = target
                held |= {above, below}
                break
    return x


def _blocks(ranks: Ranks, rows: Rows) -> dict[Item, int]:
    """Return the block of each item. Items are joined only while the blocks keep an order from left to right."""
    items = [item for row in rows for item in row]
    block = {item: index for index, item in enumerate(items)}
    members: dict[int, list[Item]] = {index: [item] for item, index in block.items()}
    right_of: dict[int, set[int]] = {index: set() for index in members}
    for row in rows:
        for left, right in pairwise(row):
            right_of[block[left]].add(block[right])

    def leads(start: int, end: int) -> bool:
        seen = reached = {start}
        while reached and end not in seen:
            reached = {following for block in reached for following in right_of[block]} - seen
            seen = seen | reached
        return end in seen

    for above, below in (*ranks.straight, *_chains(ranks.segments)):
        a, b = block[above], block[below]
        if a == b or leads(a, b) or leads(b, a):
            continue
        for item in members[b]:
            block[item] = a
        members[a] += members.pop(b)
        right_of[a] |= right_of.pop(b)
        for following in right_of.values():
            if b in following:
                following.remove(b)
                following.add(a)
    number = {index: position for position, index in enumerate(members)}
    return {item: number[index] for item, index in block.items()}


def _chains(segments: Sequence[tuple[Item, Item]]) -> list[tuple[Item, Item]]:
    """Return segments that are the only one out of their upper and into their lower item."""
    fan_out, fan_in = Counter(a for a, _ in segments), Counter(b for _, b in segments)
    return [(a, b) for a, b in segments if fan_out[a] == 1 and fan_in[b] == 1]
