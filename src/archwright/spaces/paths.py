"""What a cell computes, whatever its nodes are called: the operations on each way from its inputs to its output."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

Path: TypeAlias = "tuple[str, ...]"
Node: TypeAlias = Hashable
SKIPS = frozenset({"identity", "skip_connect"})
CUTS = frozenset({"none"})


def paths(
    inputs: Iterable[Node], nodes: Iterable[tuple[Node, Sequence[tuple[Node, str]]]], ends: Iterable[Node]
) -> dict[Path, int]:
    """Count the operation paths through a cell; with several inputs the first word of a path names the input.

    Identities are left out of a path and `none` cuts it (White et al. 2021, BANANAS, has the 0/1 encoding).

    Args:
        inputs: the nodes that are given.
        nodes: every other node with its edges (source, operation), sources first.
        ends: the nodes whose outputs leave the cell.
    """
    inputs = list(inputs)
    reaching: dict[Node, dict[Path, int]] = {node: {(() if len(inputs) == 1 else (str(node),)): 1} for node in inputs}
    for node, edges in nodes:
        reached: dict[Path, int] = {}
        for source, operation in edges:
            if operation in CUTS:
                continue
            step = () if operation in SKIPS else (operation,)
            for path, times in reaching[source].items():
                longer = path + step
                reached[longer] = reached.get(longer, 0) + times
        reaching[node] = reached
    whole: dict[Path, int] = {}
    for end in ends:
        for path, times in reaching[end].items():
            whole[path] = whole.get(path, 0) + times
    return whole


def used(cells: Mapping[str, Iterable[str]]) -> dict[Any, float]:
    """How often each operation is in each cell."""
    return {(cell, operation): float(n) for cell, names in cells.items() for operation, n in Counter(names).items()}
