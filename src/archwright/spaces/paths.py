"""What a cell computes, whatever its nodes are called: the operations on each way from its inputs to its output."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

Path: TypeAlias = "tuple[str, ...]"
Node: TypeAlias = Hashable
SKIPS = frozenset({"identity", "skip_connect"})


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
            if operation != "none":
                _add(reached, reaching[source], () if operation in SKIPS else (operation,))
        reaching[node] = reached
    whole: dict[Path, int] = {}
    for end in ends:
        _add(whole, reaching[end], ())
    return whole


def _add(total: dict[Path, int], found: Mapping[Path, int], step: Path) -> None:
    for path, times in found.items():
        longer = path + step
        total[longer] = total.get(longer, 0) + times


def used(cells: Mapping[str, Iterable[str]]) -> dict[Any, float]:
    """Count each operation in each cell."""
    return {(cell, operation): float(n) for cell, names in cells.items() for operation, n in Counter(names).items()}


def chosen(cells: Mapping[str, Iterable[Iterable[tuple[Any, str]]]]) -> dict[str, list[str]]:
    """Return the operations of each cell, given its nodes with their edges (source, operation)."""
    return {cell: [operation for node in nodes for _, operation in node] for cell, nodes in cells.items()}
