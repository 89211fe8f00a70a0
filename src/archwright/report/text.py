"""Writes graphs as text for a terminal: one line per node, its operation and operands."""

from __future__ import annotations

from itertools import zip_longest

from archwright.graph import Graph, Node

# Combinations written between their operands; any other label is written before them: concat(2, 3).
SIGNS = {"add": "+", "sum": "+", "+": "+", "mul": "*", "multiply": "*", "elem_mult": "*", "product": "*", "*": "*"}
WIDEST_COLUMN = 32  # characters; longer operands are not lined up


def as_text(graph: Graph) -> list[str]:
    """Return the lines, each after those it refers to, like `4 = sep 5x5(h[i-1]) + identity(2)`.

    A part stands in the line of its user (see `Node`). Inputs have no line unless their label adds something. Names
    and labels are written as they are, the rest is ASCII.
    """
    named = [node for node in graph.in_order() if not graph.is_part(node)]
    lines = [(node.name, _operands(graph, node)) for node in named if graph.into(node.name) or node.label != node.name]
    margin = max((len(name) for name, _ in lines), default=0)
    columns = [
        max(widths)
        for column in zip_longest(*(operands for _, operands in lines if len(operands) > 1), fillvalue="")
        if (widths := [len(operand) for operand in column if len(operand) <= WIDEST_COLUMN] or [0])
    ]
    return [
        f"{name:<{margin}} = "
        + "".join(f"{operand:<{width}}" for operand, width in zip(operands[:-1], columns, strict=False))
        + operands[-1]
        for name, operands in lines
    ]


def _operands(graph: Graph, node: Node) -> list[str]:
    """Return the expression of a node in pieces to line up: the operands of a sum with their sign, or one piece."""
    sign = SIGNS.get(node.label)
    written = [_operand(graph, edge.source, edge.label, inside=sign is not None) for edge in graph.into(node.name)]
    if written and node.label == node.name:  # an output that is just a value
        return [", ".join(written)]
    if sign is None or len(written) < 2:
        return [f"{node.label}({', '.join(written)})" if written else node.label]
    return [written[0], *(f" {sign} {operand}" for operand in written[1:])]


def _operand(graph: Graph, name: str, label: str, *, inside: bool) -> str:
    """Return one operand: its node's name, or the expression of a part, in parentheses where needed."""
    pieces = _operands(graph, graph[name]) if graph.is_part(graph[name]) else [name]
    text = "".join(pieces)
    if len(pieces) > 1 and (inside or label):
        text = f"({text})"
    return f"{label} {text}" if label else text
