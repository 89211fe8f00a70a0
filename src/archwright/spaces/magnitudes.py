"""What is known of a network of cells before it is trained: how many weights it has, and what lies on its ways."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Mapping, Sequence

from archwright.spaces.paths import Path

Edge = tuple[int, int, str]  # source and target node, and the operation


@functools.lru_cache(maxsize=256)
def weights(operation: str, channels: int) -> int:
    """Count the weights of an operation's convolutions; multiply-adds of a cell are in proportion to them."""
    from archwright.nets.ops import OPERATIONS

    if operation not in OPERATIONS:  # `none`
        return 0
    return sum(part.numel() for part in OPERATIONS[operation](channels, 1).parameters() if part.dim() > 1)


def of_ways(ways: Mapping[Path, int], weighted: Iterable[str], others: Iterable[str]) -> dict[str, float]:
    """Return what lies on the ways through a cell (`archwright.spaces.paths`).

    `through` is 1 where there is a way; `deep` and `least` are the mean and the least number of operations with weights
    on a way, and `pooled` the mean number of others.
    """
    with_weights, without, total = {*weighted}, {*others}, sum(ways.values())
    if not total:
        return {"through": 0.0, "deep": -1.0, "least": -1.0, "pooled": 0.0}
    deep = {way: sum(word in with_weights for word in way) for way in ways}
    pooled = sum(times * sum(word in without for word in way) for way, times in ways.items())
    return {
        "through": 1.0,
        "deep": sum(times * deep[way] for way, times in ways.items()) / total,
        "least": float(min(deep.values())),
        "pooled": pooled / total,
    }


def of_cells(
    ways: Mapping[str, Mapping[Path, int]], chosen: Mapping[str, Sequence[str]], channels: int
) -> dict[str, float]:
    """Return the weights of each cell's `chosen` operations, and what lies on the ways through it."""
    found: dict[str, float] = {}
    for cell, operations in chosen.items():
        size = {operation: weights(operation, channels) for operation in operations}
        weighted = [operation for operation in size if size[operation]]
        found[f"{cell} weights"] = magnitude(sum(size[operation] for operation in operations))
        for name, number in of_ways(ways[cell], weighted, size.keys() - set(weighted)).items():
            found[f"{cell} {name}"] = number
    return found


def live(edges: Sequence[Edge], first: int, last: int) -> list[Edge]:
    """Return the edges on some way from the first node to the last, of those in the order of their targets."""
    reached, needed = {first}, {last}
    for source, target, operation in edges:
        if operation != "none" and source in reached:
            reached.add(target)
    for source, target, operation in reversed(edges):
        if operation != "none" and target in needed:
            needed.add(source)
    return [edge for edge in edges if edge[2] != "none" and edge[0] in reached and edge[1] in needed]


def magnitude(count: float) -> float:
    """Return a number of weights as networks differ by it: the logarithm, of one more."""
    return math.log2(1 + count)
