"""Draws graphs as PNG and SVG files, with matplotlib's objects only: no display, no global state."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archwright.errors import ConfigError
from archwright.graph import Graph, Node
from archwright.report.layout import Layout, Point, lay_out
from archwright.report.picture import FAINT, INK, checked_path, save, settings, text_width

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

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
    path = checked_path(path)
    with _drawn(graphs, title) as (figure, drawn):
        return save(figure, path, title=title or ", ".join(graph.title for graph in drawn))


def inline(graphs: Graph | Sequence[Graph], hover: Mapping[tuple[int, str], str] | None = None) -> str:
    """Return a drawing as an `svg` element for a page: it has the page's width at most, and text stays text.

    `hover`: what a node, (number of the graph, name), says under the pointer. Raises ConfigError if there is no graph.
    """
    written = io.StringIO()
    with _drawn(graphs, None) as (figure, drawn):
        width = figure.get_size_inches()[0]
        figure.savefig(written, format="svg", metadata=dict.fromkeys(("Date", "Creator")))
    said = {
        f"node-{n}-{i}": (hover or {}).get((n, node.name))
        for n, g in enumerate(drawn)
        for i, node in enumerate(g.nodes)
    }

    def titled(found: re.Match[str]) -> str:
        words = said.get(found.group(1))
        return found.group() if words is None else f"{found.group()}<title>{escape(words)}</title>"

    svg = written.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(
        r'(<svg[^>]*?) width="[^"]*"', r"\1", re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1), count=1
    )
    svg = svg.replace("<svg", f'<svg class="drawing" role="img" style="width:100%;max-width:{96 * width:.0f}px"', 1)
    svg = svg.replace("</style>", ".drawing text{pointer-events:none}</style>", 1)
    return re.sub(r'<g id="(node-\d+-\d+)">', titled, svg)


@contextmanager
def _drawn(graphs: Graph | Sequence[Graph], title: str | None) -> Iterator[tuple[Figure, tuple[Graph, ...]]]:
    """Yield the figure of a drawing, and its graphs, while matplotlib has our settings."""
    from matplotlib.figure import Figure

    graphs = (graphs,) if isinstance(graphs, Graph) else tuple(graphs)
    if not graphs:
        raise ConfigError("there is no graph to draw")
    layouts = [_lay_out(graph) for graph in graphs]
    (width, height), corners = _arrange(graphs, layouts, title or "")
    with settings():
        figure = Figure(figsize=(width, height))
        axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
        axes.set_axis_off()
        if title:
            _write(axes, (width / 2, MARGIN + HEADING_HEIGHT / 2), title, fontsize=TITLE, fontweight="bold")
        for number, (graph, layout, corner) in enumerate(zip(graphs, layouts, corners, strict=True)):
            _draw_edges(axes, graph, layout, corner)
            _draw_boxes(axes, graph, layout, corner, number)
        yield figure, graphs


def colours(node: Node) -> tuple[str, str]:
    """Return fill and outline of a node's box."""
    found = (pair for pattern, pair in COLOURS.items() if re.search(pattern, node.label, re.IGNORECASE))
    return BY_KIND.get(node.kind) or next(found, OTHER_OPERATION)


def _texts(graph: Graph, node: Node) -> list[str]:
    """Return what is written in a box: the name, unless it adds nothing to the label, and the label."""
    name = "" if graph.is_part(node) or node.name == node.label else node.name
    return [text for text in (name, node.label) if text]


def _width(texts: Sequence[str]) -> float:
    return sum(text_width(text, TEXT) for text in texts) + NAME_GAP * (len(texts) == 2)


def _lay_out(graph: Graph) -> Layout:
    widths = {node.name: max(_width(_texts(graph, node)) + 2 * PADDING, NARROWEST) for node in graph.nodes}
    sizes = {name: (width, BOX_HEIGHT) for name, width in widths.items()}
    labels = {edge.label: (text_width(edge.label, LABEL) + 0.06, 0.2) for edge in graph.edges if edge.label}
    return lay_out(graph, sizes, labels)


def _arrange(graphs: Sequence[Graph], layouts: Sequence[Layout], title: str) -> tuple[Point, list[Point]]:
    """Arrange graphs from left to right in centred lines no wider than `WIDEST`, headings above graphs.

    Return the size of the drawing and the upper left corner of each graph's layout, in inches.
    """
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
    return (inner + 2 * MARGIN, y - BETWEEN + MARGIN), corners


def _draw_edges(axes: Axes, graph: Graph, layout: Layout, corner: Point) -> None:
    from matplotlib.patches import PathPatch, Polygon
    from matplotlib.path import Path as Outline

    line = {"facecolor": "none", "edgecolor": LINE, "linewidth": LINE_WIDTH, "capstyle": "round", "clip_on": False}
    for node in graph.nodes:  # one path for all its edges, so that shared curves are drawn once
        curves = dict.fromkeys(c for route in layout.routes if route.edge.source == node.name for c in route.curves)
        if curves:
            points = [(corner[0] + x, corner[1] + y) for curve in curves for x, y in curve]
            codes = [Outline.MOVETO, Outline.CURVE4, Outline.CURVE4, Outline.CURVE4] * len(curves)
            axes.add_patch(PathPatch(Outline(points, codes), **line))
    for route in layout.routes:
        x, y = (a + b for a, b in zip(corner, route.curves[-1][3], strict=True))
        head = [(x, y), (x - ARROW[0] / 2, y - ARROW[1]), (x + ARROW[0] / 2, y - ARROW[1])]
        axes.add_patch(Polygon(head, closed=True, facecolor=LINE, linewidth=0, clip_on=False, zorder=2))
        if route.label is not None:
            at = (corner[0] + route.label.x, corner[1] + route.label.y)
            background = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}
            _write(axes, at, route.edge.label, fontsize=LABEL, bbox=background)


def _draw_boxes(axes: Axes, graph: Graph, layout: Layout, corner: Point, number: int) -> None:
    from matplotlib.patches import FancyBboxPatch

    if graph.title:
        middle = (corner[0] + layout.width / 2, corner[1] - HEADING_HEIGHT * 0.62)
        _write(axes, middle, graph.title, fontsize=HEADING, fontweight="bold")
    for index, node in enumerate(graph.nodes):
        box, (fill, outline) = layout.boxes[node.name], colours(node)
        x, y = corner[0] + box.x, corner[1] + box.y
        rounding = box.height / 2 - 0.01 if node.kind in ("input", "output") else 0.05
        corner_of_box, style = (x - box.width / 2, y - box.height / 2), f"round,pad=0,rounding_size={rounding}"
        shape = FancyBboxPatch(corner_of_box, box.width, box.height, boxstyle=style, clip_on=False, zorder=3)
        dashed = (fill, node.kind) == ("#ffffff", "operation")
        shape.set(facecolor=fill, edgecolor=outline, linewidth=LINE_WIDTH, linestyle=(0, (3, 2)) if dashed else "-")
        shape.set_gid(f"node-{number}-{index}")
        axes.add_patch(shape)
        texts = _texts(graph, node)
        if len(texts) == 2:
            left = x - _width(texts) / 2
            _write(axes, (left, y), texts[0], color=FAINT, ha="left")
            _write(axes, (left + text_width(texts[0], TEXT) + NAME_GAP, y), texts[1], ha="left")
        else:
            _write(axes, (x, y), "".join(texts))


def _write(axes: Axes, at: Point, text: str, **style: Any) -> None:
    """Write centred text; `style` are properties of matplotlib's text."""
    axes.text(*at, text, va="center_baseline", zorder=4, **{"fontsize": TEXT, "color": INK, "ha": "center", **style})
