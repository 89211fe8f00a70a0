"""Draws graphs as PNG and SVG files, with matplotlib's objects only: no display, no global state."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from archwright.errors import ConfigError
from archwright.graph import Graph, Node
from archwright.report.layout import Layout, Point, lay_out
from archwright.report.picture import FAINT, INK, checked_path, save, settings, text_width

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.path import Path as Outline

TEXT, LABEL, HEADING, TITLE = 10.0, 8.5, 12.0, 13.0  # points: boxes, edges, each graph, the whole drawing
MARGIN, BETWEEN, HEADING_HEIGHT = 0.2, 0.45, 0.36  # inches
BOX_HEIGHT, NARROWEST, PADDING, NAME_GAP = 0.31, 0.5, 0.11, 0.09  # inches
WIDEST = 11.0  # inches; graphs that do not fit side by side are drawn below each other
LINE, LINE_WIDTH, ARROW = "#4a4a4a", 1.1, (0.07, 0.085)  # arrow heads: width and length in inches

# Fill and outline by the label; the first expression that matches counts. Tints of the Okabe-Ito colours,
# light enough for black text and for a grey print: the label is complete, the colour only helps to find it again.
COLOURS: dict[str, tuple[str, str]] = {
    r"\bsep|depthwise": ("#bfe0f5", "#2a7fb0"),
    r"\bdil": ("#a9d9d0", "#0a7a5c"),
    r"\bavg|average": ("#fde3ad", "#b07a0c"),
    r"\bmax": ("#f6c39a", "#b5520c"),
    r"\bidentity|\bskip|\bnone\b|\bid\b": ("#ffffff", "#7a7a7a"),
    r"tanh|relu|sigmoid|silu|gelu|\bsin\b": ("#efd3e3", "#a0527f"),
    r"conv|\d ?[x\u00d7] ?\d": ("#c3cdf2", "#4356a8"),
}
OTHER_OPERATION = ("#e6e0d4", "#7d7256")
BY_KIND = {"input": ("#ffffff", INK), "combine": ("#ececec", "#6a6a6a"), "output": ("#dcdcdc", INK)}


def draw(graphs: Graph | Sequence[Graph], path: str | Path, *, title: str | None = None) -> Path:
    """Draw graphs (say, those of `space.graphs(architecture)`) to a .png or .svg file and return its path.

    Raises ConfigError for another suffix, a path that cannot be written, or if there is no graph.
    """
    from matplotlib.figure import Figure

    path = checked_path(path)
    graphs = (graphs,) if isinstance(graphs, Graph) else tuple(graphs)
    if not graphs:
        raise ConfigError("there is no graph to draw")
    layouts = [_lay_out(graph) for graph in graphs]
    sheet = _arrange(graphs, layouts, title or "")
    with settings():
        figure = Figure(figsize=(sheet.width, sheet.height))
        axes = figure.add_axes((0, 0, 1, 1), xlim=(0, sheet.width), ylim=(sheet.height, 0))
        axes.set_axis_off()
        if title:
            _write(axes, (sheet.width / 2, MARGIN + HEADING_HEIGHT / 2), title, size=TITLE, weight="bold")
        for graph, layout, corner in zip(graphs, layouts, sheet.corners, strict=True):
            _draw_edges(axes, graph, layout, corner)
            _draw_boxes(axes, graph, layout, corner)
        return save(figure, path, title=title or ", ".join(graph.title for graph in graphs))


def colours(node: Node) -> tuple[str, str]:
    """Return fill and outline of a node's box."""
    if node.kind != "operation":
        return BY_KIND[node.kind]
    found = (pair for pattern, pair in COLOURS.items() if re.search(pattern, node.label, re.IGNORECASE))
    return next(found, OTHER_OPERATION)


def _texts(graph: Graph, node: Node) -> tuple[str, str]:
    """Return the name to write in a box (empty where it adds nothing to the label) and the label."""
    return ("" if graph.is_part(node) or node.name == node.label else node.name), node.label


def _lay_out(graph: Graph) -> Layout:
    sizes = {}
    for node in graph.nodes:
        name, label = _texts(graph, node)
        width = text_width(name, TEXT) + text_width(label, TEXT) + (NAME_GAP if name and label else 0)
        sizes[node.name] = (max(width + 2 * PADDING, NARROWEST), BOX_HEIGHT)
    labels = {edge.label: (text_width(edge.label, LABEL) + 0.06, 0.2) for edge in graph.edges if edge.label}
    return lay_out(graph, sizes, labels)


@dataclass(frozen=True)
class _Sheet:
    """The size of a drawing and the upper left corner of each graph's layout, in inches."""

    width: float
    height: float
    corners: tuple[Point, ...]


def _arrange(graphs: Sequence[Graph], layouts: Sequence[Layout], title: str) -> _Sheet:
    """Arrange graphs from left to right in centred lines no wider than `WIDEST`, headings above graphs."""
    widths = [max(lay.width, text_width(g.title, HEADING, "bold")) for g, lay in zip(graphs, layouts, strict=True)]
    lines: list[list[int]] = [[]]
    for index, width in enumerate(widths):
        if lines[-1] and sum(widths[i] + BETWEEN for i in lines[-1]) + width > WIDEST:
            lines.append([])
        lines[-1].append(index)
    across = [sum(widths[i] for i in line) + BETWEEN * (len(line) - 1) for line in lines]
    inner = max(*across, text_width(title, TITLE, "bold"))
    corners: list[Point] = []
    y = MARGIN + (HEADING_HEIGHT if title else 0)
    for line, width in zip(lines, across, strict=True):
        heading = HEADING_HEIGHT if any(graphs[i].title for i in line) else 0
        x = MARGIN + (inner - width) / 2
        for i in line:
            corners.append((x + (widths[i] - layouts[i].width) / 2, y + heading))
            x += widths[i] + BETWEEN
        y += heading + max(layouts[i].height for i in line) + BETWEEN
    return _Sheet(inner + 2 * MARGIN, y - BETWEEN + MARGIN, tuple(corners))


def _draw_edges(axes: Axes, graph: Graph, layout: Layout, corner: Point) -> None:
    from matplotlib.patches import PathPatch, Polygon

    for outline in _outlines(graph, layout, corner):
        patch = PathPatch(
            outline, facecolor="none", edgecolor=LINE, linewidth=LINE_WIDTH, capstyle="round", clip_on=False
        )
        axes.add_patch(patch)
    for route in layout.routes:
        x, y = (a + b for a, b in zip(corner, route.curves[-1][3], strict=True))
        head = [(x, y), (x - ARROW[0] / 2, y - ARROW[1]), (x + ARROW[0] / 2, y - ARROW[1])]
        axes.add_patch(Polygon(head, closed=True, facecolor=LINE, linewidth=0, clip_on=False, zorder=2))
        if route.label is not None:
            at = (corner[0] + route.label.x, corner[1] + route.label.y)
            _write(axes, at, route.edge.label, size=LABEL, on_white=True)


def _outlines(graph: Graph, layout: Layout, corner: Point) -> Iterator[Outline]:
    """Yield one path for all the edges that start at a node, so that shared curves are drawn once."""
    from matplotlib.path import Path as Outline

    for node in graph.nodes:
        curves = dict.fromkeys(c for route in layout.routes if route.edge.source == node.name for c in route.curves)
        if curves:
            points = [(corner[0] + x, corner[1] + y) for curve in curves for x, y in curve]
            yield Outline(points, [Outline.MOVETO, Outline.CURVE4, Outline.CURVE4, Outline.CURVE4] * len(curves))


def _draw_boxes(axes: Axes, graph: Graph, layout: Layout, corner: Point) -> None:
    from matplotlib.patches import FancyBboxPatch

    if graph.title:
        middle = (corner[0] + layout.width / 2, corner[1] - HEADING_HEIGHT * 0.62)
        _write(axes, middle, graph.title, size=HEADING, weight="bold")
    for node in graph.nodes:
        box, (fill, outline) = layout.boxes[node.name], colours(node)
        x, y = corner[0] + box.x, corner[1] + box.y
        rounding = box.height / 2 - 0.01 if node.kind in ("input", "output") else 0.05
        axes.add_patch(
            FancyBboxPatch(
                (x - box.width / 2, y - box.height / 2),
                box.width,
                box.height,
                boxstyle=f"round,pad=0,rounding_size={rounding}",
                facecolor=fill,
                edgecolor=outline,
                linewidth=LINE_WIDTH,
                linestyle=(0, (3, 2)) if (fill, node.kind) == ("#ffffff", "operation") else "-",
                clip_on=False,
                zorder=3,
            )
        )
        name, label = _texts(graph, node)
        if name and label:
            left = x - (text_width(name, TEXT) + NAME_GAP + text_width(label, TEXT)) / 2
            _write(axes, (left, y), name, colour=FAINT, align="left")
            _write(axes, (left + text_width(name, TEXT) + NAME_GAP, y), label, align="left")
        else:
            _write(axes, (x, y), label or name)


def _write(
    axes: Axes,
    at: Point,
    text: str,
    *,
    size: float = TEXT,
    weight: str = "normal",
    colour: str = INK,
    align: str = "center",
    on_white: bool = False,
) -> None:
    background = {"facecolor": "white", "edgecolor": "none", "pad": 1.0} if on_white else None
    axes.text(
        *at,
        text,
        fontsize=size,
        fontweight=weight,
        color=colour,
        ha=align,
        va="center_baseline",
        bbox=background,
        zorder=4,
    )
