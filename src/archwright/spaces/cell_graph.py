"""The drawing of a cell, for the spaces whose architectures are cells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from archwright.graph import Edge, Graph, Node

if TYPE_CHECKING:
    from archwright.nets.cell import Wiring
SIDES = ("left", "right")


def cell_graph(
    cell: str,
    nodes: Wiring,
    joins: Sequence[str] | None = None,
    kept: Sequence[int] = (),
    inputs: tuple[str, str] = ("h[i-2]", "h[i-1]"),
) -> Graph:
    """Draw a cell of nodes that join two operations each. `inputs` label states 0 and 1, the older and newer;
    `kept` states go to the output although a node reads them."""
    drawn = [Node(str(state), words, "input") for state, words in enumerate(inputs)]
    edges: list[Edge] = []
    used: set[int] = set()
    for index, operands in enumerate(nodes, start=2):
        drawn.append(Node(str(index), "add" if joins is None else joins[index - 2], "combine"))
        for side, (source, op) in zip(SIDES, operands, strict=True):
            used.add(source)
            drawn.append(Node(f"{index}/{side}", op.replace("_", " "), "operation"))
            edges += [Edge(str(source), f"{index}/{side}"), Edge(f"{index}/{side}", str(index))]
    drawn.append(Node("output", "concat", "output"))
    edges += [Edge(str(state), "output") for state in range(len(nodes) + 2) if state not in used or state in kept]
    return Graph(f"{cell} cell", tuple(drawn), tuple(edges))
