"""Cells of nodes that join two operations each: reading them from an architecture, and drawing them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from archwright.graph import Edge, Graph, Node
from archwright.space import Architecture, Open

if TYPE_CHECKING:
    from archwright.nets.wiring import Operands, SoftSides, Wiring
CELLS = ("normal", "reduction")
SIDES = ("left", "right")


@functools.lru_cache(maxsize=256)
def state_number(answer: object) -> int:
    """Return the number of a state that is called NUMBER or CELL/NUMBER."""
    return int(str(answer).rsplit("/", 1)[-1])


@functools.lru_cache(maxsize=16)
def _names(nodes: int) -> dict[str, list[list[tuple[str, str]]]]:
    # For each cell and node, the names of the link and of the operation on each side.
    return {
        cell: [
            [(f"{cell}/{node}/{side}", f"{cell}/{node}/{side}/op") for side in SIDES] for node in range(2, nodes + 2)
        ]
        for cell in CELLS
    }


@functools.lru_cache(maxsize=1024)
def wiring(architecture: Architecture, nodes: int) -> dict[str, Wiring]:
    """Return for each cell the operands (source state, operation) of each node, numbered as in the answers."""
    return {
        cell: tuple(
            [
                tuple([(state_number(architecture[link]), str(architecture[op])) for link, op in operands])
                for operands in names
            ]
        )
        for cell, names in _names(nodes).items()
    }


def soft_sides(soft: Mapping[str, Any], nodes: int) -> dict[str, SoftSides]:
    """Return for each cell the soft weights of its nodes."""
    from archwright.nets.wiring import SoftSides

    return {
        cell: SoftSides(tuple(tuple((soft[link], soft[op]) for link, op in node) for node in names))
        for cell, names in _names(nodes).items()
    }


def operands(
    open: Open, nodes: int, number: Callable[[Any], int] = state_number
) -> dict[str, list[tuple[Operands, ...]]]:
    """Return what is open of each node, by cell; `number` numbers the states that are answers."""
    from archwright.nets.wiring import Operands

    return {
        cell: [tuple(Operands(tuple(map(number, open[link])), open[op]) for link, op in node) for node in names]
        for cell, names in _names(nodes).items()
    }


def cell_graph(
    cell: str,
    nodes: Wiring,
    joins: Sequence[str] | None = None,
    kept: Sequence[int] = (),
    inputs: tuple[str, str] = ("h[i-2]", "h[i-1]"),
) -> Graph:
    """Draw a cell. `inputs` label states 0 and 1; `kept` states go to the output although a node reads them."""
    from archwright.nets.wiring import loose_ends

    drawn = [Node(str(state), words, "input") for state, words in enumerate(inputs)]
    edges: list[Edge] = []
    for index, operands in enumerate(nodes, start=2):
        drawn.append(Node(str(index), "add" if joins is None else joins[index - 2], "combine"))
        for side, (source, op) in zip(SIDES, operands, strict=True):
            drawn.append(Node(f"{index}/{side}", op.replace("_", " "), "operation"))
            edges += [Edge(str(source), f"{index}/{side}"), Edge(f"{index}/{side}", str(index))]
    drawn.append(Node("output", "concat", "output"))
    edges += [Edge(str(state), "output") for state in loose_ends(nodes, kept)]
    return Graph(f"{cell} cell", tuple(drawn), tuple(edges))
