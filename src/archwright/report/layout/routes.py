"""The last step of a layered drawing: the boxes and the curves of the edges.

Within the height of a rank every edge runs straight down at its own x, beside the boxes; it bends only between ranks,
so no edge can run through a box. All lengths are in inches, x to the right and y down.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

from archwright.graph import Edge, Graph
from archwright.report.box import Box
from archwright.report.layout.crossings import Rows, reduce_crossings
from archwright.report.layout.positions import place
from archwright.report.layout.ranks import Item, Ranks, build_ranks

Point: TypeAlias = "tuple[float, float]"
Curve: TypeAlias = "tuple[Point, Point, Point, Point]"  # a cubic Bezier curve: start, two control points, end
PORT = 0.13  # between the ends of edges on the top of a box, where there is room


@dataclass(frozen=True)
class Route:
    """The path of an edge as consecutive curves, downwards; `label` is the box of its label."""

    edge: Edge
    curves: tuple[Curve, ...]
    label: Box | None = None


@dataclass(frozen=True)
class Layout:
    """Boxes by node name and routes in the order of the graph's edges, within [0, width] x [0, height]."""

    width: float
    height: float
    boxes: dict[str, Box]
    routes: tuple[Route, ...]


def lay_out(graph: Graph, sizes: Mapping[str, Point], label_sizes: Mapping[str, Point] | None = None) -> Layout:
    """Place boxes of the given sizes (width, height by node name); `label_sizes` by the text of an edge's label."""
    ranks = build_ranks(graph)
    rows = reduce_crossings(ranks)
    small: dict[int | None, Point] = {None: (0.0, 0.0)}  # a lane, then the labels by the number of their edge
    small |= {number: (label_sizes or {}).get(edge.label, (0.0, 0.0)) for number, edge in enumerate(graph.edges)}
    size = {item: sizes[item.node] if item.is_box else small[item.edge] for row in rows for item in row}
    widths = {item: width for item, (width, _) in size.items()}
    ports = _ports(ranks, rows, widths)
    x = place(ranks, rows, widths, {(path[-2], path[-1]): port for path, port in zip(ranks.paths, ports, strict=True)})
    bands = _bands(rows, ranks, x, size)
    box = {item: Box(x[item], sum(bands[item.rank]) / 2, *size[item]) for item in size}
    routes = tuple(
        _route(edge, path, port, bands, box) for edge, path, port in zip(graph.edges, ranks.paths, ports, strict=True)
    )
    width = max(placed.x + placed.width / 2 for placed in box.values())
    return Layout(width, bands[-1][1], {item.node: placed for item, placed in box.items() if item.is_box}, routes)


def _ports(ranks: Ranks, rows: Rows, widths: Mapping[Item, float]) -> list[float]:
    """Return where each edge ends on top of its target, relative to the target's centre.

    Ends stand side by side in the order of their origins; one that comes straight from above is in the middle.
    """
    order = {item: index for row in rows for index, item in enumerate(row)}
    straight = set(ranks.straight)
    arriving: dict[Item, list[int]] = {}
    for index in sorted(range(len(ranks.paths)), key=lambda index: order[ranks.paths[index][-2]]):
        arriving.setdefault(ranks.paths[index][-1], []).append(index)
    ports = [0.0] * len(ranks.paths)
    for target, ordered in arriving.items():
        vertical = [position for position, index in enumerate(ordered) if ranks.paths[index][-2:] in straight]
        middle = vertical[0] if len(vertical) == 1 else (len(ordered) - 1) / 2
        step = min(PORT, widths[target] * 0.4 / max(middle, len(ordered) - 1 - middle, 1))
        for position, index in enumerate(ordered):
            ports[index] = (position - middle) * step
    return ports


def _bands(rows: Rows, ranks: Ranks, x: Mapping[Item, float], size: Mapping[Item, Point]) -> list[Point]:
    """Return top and bottom of each rank. The wider an edge swings between two ranks, the more room it gets."""
    swing = [0.0] * len(rows)
    for above, below in ranks.segments:
        swing[below.rank] = max(swing[below.rank], abs(x[above] - x[below]))
    bands: list[Point] = []
    y = 0.0
    for number, row in enumerate(rows):
        y += min(0.30 + 0.08 * swing[number], 0.7) if number else 0
        bands.append((y, y + max(size[item][1] for item in row)))
        y = bands[-1][1]
    return bands


def _route(edge: Edge, path: Sequence[Item], port: float, bands: Sequence[Point], box: Mapping[Item, Box]) -> Route:
    curves: list[Curve] = []
    start, end = box[path[0]], box[path[-1]]
    here = (start.x, start.y + start.height / 2)
    for above, below in pairwise(path):
        bottom = (here[0], bands[above.rank][1])
        top = (box[below].x + (port if below is path[-1] else 0), bands[below.rank][0])
        middle = (bottom[1] + top[1]) / 2
        curves += _straight(here, bottom)
        curves.append((bottom, (bottom[0], middle), (top[0], middle), top))
        here = top
    curves += _straight(here, (here[0], end.y - end.height / 2))
    return Route(edge, tuple(curves), next((box[item] for item in path if item.edge is not None), None))


def _straight(start: Point, end: Point) -> list[Curve]:
    """Return a vertical line as a curve; nothing if it has no length."""
    if end[1] - start[1] < 1e-9:
        return []
    third = (end[1] - start[1]) / 3
    return [(start, (start[0], start[1] + third), (end[0], end[1] - third), end)]
