"""Cells whose nodes are sums of edges: how they are wired, and what soft weights stand for (DARTS: Liu et al. 2019)."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from archwright.space import Architecture, Open, strongest
from archwright.spaces.cells import CELLS, SIDES

if TYPE_CHECKING:
    from archwright.nets.wiring import Operands, Wiring
NONE = "none"  # the operation of an edge that is not there; it stands first


def kept_edges(weights: Mapping[int, Sequence[float]], operations: Sequence[str], keep: int) -> list[tuple[int, str]]:
    """Return the `keep` strongest edges into a node, in the order of their sources, each with its strongest operation.

    An edge is as strong as its strongest operation but `none`; of equal edges the one from the lower source is kept, of
    equal operations the first (section 2.4; the official `genotype`).

    Args:
        weights: of the operations on each edge, by the edge's source.
        operations: their names, `none` first.
        keep: 2 in convolutional cells, 1 in recurrent ones.
    """
    own = {source: [float(weight) for weight in options][1:] for source, options in sorted(weights.items())}
    kept = sorted(own, key=lambda source: -max(own[source]))[:keep]
    return [(source, operations[1 + strongest(own[source])]) for source in sorted(kept)]


def one_hot(name: str, options: Sequence[str]) -> tuple[float, ...]:
    """Return 1 for the option of this name and 0 for the others."""
    return tuple(float(option == name) for option in options)


@functools.lru_cache(maxsize=16)
def pairs(node: int) -> tuple[str, ...]:
    """Return the pairs of different states that a node may read, "LOWER,HIGHER"."""
    return tuple(f"{low},{high}" for low, high in itertools.combinations(range(node), 2))


def _states(pair: object) -> tuple[int, int]:
    low, high = str(pair).split(",")
    return int(low), int(high)


@functools.lru_cache(maxsize=1024)
def wiring(architecture: Architecture, nodes: int) -> dict[str, Wiring]:
    """Return for each cell the two edges (source state, operation) of each node, the lower state first."""
    return {
        cell: tuple(
            tuple(
                (source, str(architecture[f"{cell}/{node}/{side}/op"]))
                for source, side in zip(_states(architecture[f"{cell}/{node}/inputs"]), SIDES, strict=True)
            )
            for node in range(2, nodes + 2)
        )
        for cell in CELLS
    }


def operands(open: Open, name: str, node: int) -> tuple[Operands, ...]:
    """Return what is open of each edge into the node called `name`; an edge that is not open is left out."""
    from archwright.nets.wiring import Operands

    if open.mixed:
        return tuple(Operands((source,), open[f"{name}/{source}"]) for source in range(node))
    found: dict[int, dict[str, None]] = {}
    for pair in map(_states, open[f"{name}/inputs"]):
        for source, side in zip(pair, SIDES, strict=True):
            found.setdefault(source, {}).update(dict.fromkeys(open[f"{name}/{side}/op"]))
    return tuple(Operands((source,), tuple(operations)) for source, operations in sorted(found.items()))
