"""What pages show of the network delivered: its drawing, what its nodes cost, and what it confuses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from archwright.components import space_for
from archwright.errors import ArchwrightError
from archwright.graph import Edge, Graph, Node, answers_graph
from archwright.pages.record import RunRecord
from archwright.space import Architecture
from archwright.spaces import SPACES

MOST_CLASSES, PAIRS = 20, 30  # in a matrix; of more classes so many pairs are listed
Parts = Sequence[Mapping[str, Any]]  # what `training.parts.Part` holds, as plain data


def graphs_of(record: RunRecord, shown: Mapping[str, Any]) -> tuple[Graph, ...]:
    """Return the graphs that were recorded with the result; before it, those of the best architecture so far."""
    if "graphs" not in shown:
        return () if record.best is None else graphs_for(record.best)
    return tuple(
        Graph(graph["title"], tuple(Node(**node) for node in graph["nodes"]), tuple(Edge(**e) for e in graph["edges"]))
        for graph in shown["graphs"]
    )


def graphs_for(architecture: Architecture) -> tuple[Graph, ...]:
    """Return what its space draws of an architecture; its answers where the space is not one of ours."""
    if architecture.space in SPACES:
        try:
            return tuple(space_for(architecture).graphs(architecture))
        except ArchwrightError:  # of another version, or damaged
            pass
    return (answers_graph(architecture),)


def drawing(graphs: Sequence[Graph], parts: Parts = ()) -> Any:
    """Return graphs drawn for a page, None without any."""
    from markupsafe import Markup

    return Markup(_drawn(tuple(graphs), tuple(hover(graphs, parts).items()))) if graphs else None


@lru_cache(maxsize=64)
def _drawn(graphs: tuple[Graph, ...], said: tuple[tuple[tuple[int, str], str], ...]) -> str:
    from archwright.report.drawing import inline

    return inline(graphs, dict(said))


def _costs(graphs: Sequence[Graph], parts: Parts) -> Iterator[tuple[int, Node, str, Mapping[str, Any]]]:
    """Yield nodes with the number of their graph, the shapes of their output, and what they cost.

    A node that adds or multiplies its operands has the shape of the first, and no parameters.
    """
    known = {(part["graph"], part["node"]): part for part in parts}
    for number, graph in enumerate(graphs):
        word, shapes = graph.title.replace(",", " ").split(" ")[0], dict[str, list[str]]()
        for node in graph.in_order():
            part = known.get((word, node.name))
            operands = [shapes[edge.source] for edge in graph.into(node.name) if shapes.get(edge.source)]
            if part is None and operands and node.kind == "combine" and node.label != "concat":
                times = len(operands[0])
                part = {"shapes": operands[0], "parameters": 0, "multiply_adds": 0, "times": times, "whole": False}
            if part is not None:
                shapes[node.name] = part["shapes"]
                yield number, node, ", ".join(filter(None, dict.fromkeys(part["shapes"]))), part


def hover(graphs: Sequence[Graph], parts: Parts) -> dict[tuple[int, str], str]:
    """Return what each node says under the pointer, by the number of its graph and its name."""
    said = {(n, node.name): f"{node.name}: {node.label}" for n, graph in enumerate(graphs) for node in graph.nodes}
    for number, node, shape, part in _costs(graphs, parts):
        lines = [said[number, node.name], f"output {shape}" if shape else ""]
        lines.append(f"{part['parameters']:,} parameters, {part['multiply_adds']:,} multiply-adds")
        lines += ["with all that is inside"] * part["whole"]
        lines += [f"in {part['times']} cells or layers together"] * (part["times"] > 1)
        said[number, node.name] = "\n".join(filter(None, lines))
    return said


def nodes_table(graphs: Sequence[Graph], parts: Parts) -> list[tuple[str, list[tuple[Any, ...]]]]:
    """Return for each graph its title and rows: node, label, output, parameters, multiply-adds."""
    rows: list[list[tuple[Any, ...]]] = [[] for _ in graphs]
    for number, node, shape, part in _costs(graphs, parts):
        rows[number].append((node.name, node.label, shape, part["parameters"], part["multiply_adds"]))
    return [(graph.title, own) for graph, own in zip(graphs, rows, strict=True) if own]


def confusion(mistakes: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the confusion matrix as rows of (count, share of the row), or the pairs confused most if it is large."""
    names, confused = mistakes.get("classes") or [], mistakes.get("confused") or []
    if not names:
        return None
    pairs = [(names[truth], names[said], count) for truth, said, count in confused[:PAIRS]]
    if len(names) > MOST_CLASSES:
        return {"names": [], "rows": [], "pairs": pairs}
    counts = [[0] * len(names) for _ in names]
    for truth, said, count in [*((i, i, right) for i, right in enumerate(mistakes["right"])), *confused]:
        counts[truth][said] = count
    rows = [(name, [(n, n / max(1, sum(row))) for n in row]) for name, row in zip(names, counts, strict=True)]
    return {"names": names, "rows": rows, "pairs": pairs}
