"""Laws of a drawing: everything downwards, nothing on top of anything else, no line through a box, always the same."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import numpy as np
import pytest
from example_graphs import ENAS_CELLS, PUBLISHED, graphs, macro_network, recurrent_cell
from hypothesis import given, settings

from archwright.graph import Edge, Graph, Node
from archwright.report.layout import Box, Curve, Layout, lay_out

LABEL = {"W1": (0.25, 0.2), "W2": (0.25, 0.2), "W3": (0.25, 0.2), "W4": (0.25, 0.2)}


def laid_out(graph: Graph) -> Layout:
    # Heights differ, so that the law about lines holds for boxes that do not fill their layer too.
    sizes = {
        node.name: (0.5 + 0.07 * len(node.label), 0.3 + 0.1 * (index % 3 == 0))
        for index, node in enumerate(graph.nodes)
    }
    return lay_out(graph, sizes, LABEL)


def points(curves: Iterable[Curve], count: int = 24) -> np.ndarray:
    """Points on the curves: [curves, count + 1, 2]."""
    t = np.linspace(0, 1, count + 1)[:, None]
    weights = np.hstack([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3])
    return weights @ np.array(list(curves)).reshape(-1, 4, 2)


def inside(box: Box, at: np.ndarray) -> np.ndarray:
    across = np.abs(at[..., 0] - box.x) < box.width / 2 - 1e-6
    return across & (np.abs(at[..., 1] - box.y) < box.height / 2 - 1e-6)


def check_edges_lead_down(layout: Layout) -> None:
    for route in layout.routes:
        source, target = layout.boxes[route.edge.source], layout.boxes[route.edge.target]
        assert source.y + source.height / 2 < target.y - target.height / 2
        assert route.curves[0][0] == pytest.approx((source.x, source.y + source.height / 2))
        end = route.curves[-1][3]
        assert end[1] == pytest.approx(target.y - target.height / 2)
        assert abs(end[0] - target.x) < target.width / 2
        for before, after in itertools.pairwise(route.curves):
            assert before[3] == after[0]
        assert (np.diff(points(route.curves)[..., 1].ravel()) > -1e-9).all()


def overlap(a: Box, b: Box) -> bool:
    """Whether the two share more than an edge."""
    across = abs(a.x - b.x) < (a.width + b.width) / 2 - 1e-9
    return across and abs(a.y - b.y) < (a.height + b.height) / 2 - 1e-9


def check_nothing_overlaps(layout: Layout) -> None:
    boxes = [*layout.boxes.values(), *(route.label for route in layout.routes if route.label)]
    assert not any(overlap(a, b) for a, b in itertools.combinations(boxes, 2))
    for box in boxes:
        assert box.width / 2 - 1e-9 <= box.x <= layout.width - box.width / 2 + 1e-9
        assert box.height / 2 - 1e-9 <= box.y <= layout.height - box.height / 2 + 1e-9


def check_no_line_runs_through_a_box(layout: Layout) -> None:
    all_curves = {curve for route in layout.routes for curve in route.curves}
    at = points(all_curves)
    assert not any(inside(box, at).any() for box in layout.boxes.values())
    for route in layout.routes:
        if route.label:
            assert not inside(route.label, points(all_curves - set(route.curves))).any()


def check_lines_of_different_values_stay_apart(layout: Layout) -> None:
    """Vertical lines that start at different boxes never lie on each other: who follows one does not end at another."""
    vertical: dict[float, list[tuple[float, float, str]]] = {}
    for source, curves in curves_by_source(layout).items():
        for (x, top), _, _, (end, bottom) in curves:
            if x == end:
                vertical.setdefault(round(x, 4), []).append((top, bottom, source))
    for lines in vertical.values():
        for (top, bottom, source), (other_top, other_bottom, other) in itertools.combinations(lines, 2):
            assert source == other or min(bottom, other_bottom) <= max(top, other_top) + 1e-6


def curves_by_source(layout: Layout) -> dict[str, set[Curve]]:
    curves: dict[str, set[Curve]] = {}
    for route in layout.routes:
        curves.setdefault(route.edge.source, set()).update(route.curves)
    return curves


def check_all(layout: Layout) -> None:
    check_edges_lead_down(layout)
    check_nothing_overlaps(layout)
    check_no_line_runs_through_a_box(layout)
    check_lines_of_different_values_stay_apart(layout)


@pytest.mark.parametrize("graph", PUBLISHED, ids=lambda graph: graph.title)
def test_published_architectures_obey_the_laws(graph: Graph) -> None:
    check_all(laid_out(graph))


@settings(max_examples=25, deadline=None)
@given(graphs())
def test_any_graph_obeys_the_laws(graph: Graph) -> None:
    check_all(laid_out(graph))


@settings(max_examples=10, deadline=None)
@given(graphs(nodes=15))
def test_the_same_graph_is_always_laid_out_the_same(graph: Graph) -> None:
    assert laid_out(graph) == laid_out(graph)


def test_a_dense_graph_of_forty_nodes_obeys_the_laws() -> None:
    names = [f"n{index}" for index in range(40)]
    nodes = tuple(Node(name, "conv 3x3") for name in names)
    check_all(laid_out(Graph("dense", nodes, tuple(Edge(a, b) for a, b in itertools.combinations(names, 2)))))


def test_inputs_are_at_the_top_and_outputs_at_the_bottom() -> None:
    for graph in (*ENAS_CELLS, recurrent_cell()):
        layout = laid_out(graph)
        heights = {
            kind: {layout.boxes[n.name].y for n in graph.nodes if n.kind == kind} for kind in ("input", "output")
        }
        others = [layout.boxes[node.name].y for node in graph.nodes if node.kind in ("operation", "combine")]
        assert max(heights["input"]) < min(others)
        assert min(heights["output"]) > max(others)


def test_cells_keep_the_order_of_their_inputs() -> None:
    for graph in ENAS_CELLS:
        boxes = laid_out(graph).boxes
        assert boxes["h[i-2]"].x < boxes["h[i-1]"].x


def test_the_chain_of_a_macro_network_is_a_straight_column() -> None:
    graph = macro_network()
    layout = laid_out(graph)
    assert len({round(box.x, 6) for box in layout.boxes.values()}) == 1
    for route in layout.routes[1:]:
        source, target = layout.boxes[route.edge.source], layout.boxes[route.edge.target]
        if len(route.curves) <= 3 and target.y - source.y < 1:  # the main line, from one layer to the next
            assert {round(x, 6) for curve in route.curves for x, _ in curve} == {round(source.x, 6)}


def test_all_uses_of_a_value_share_one_lane() -> None:
    """A hundred skip connections over 24 layers need no more lanes than there are layers."""
    graph = macro_network()
    layout = laid_out(graph)
    assert len(graph.edges) > 100
    lanes = {round(curve[0][0], 4) for route in layout.routes for curve in route.curves if curve[0][0] == curve[3][0]}
    assert len(lanes) <= len(graph.nodes)
    assert layout.width < 6  # inches


def test_parallel_edges_end_side_by_side() -> None:
    layout = laid_out(Graph("square", (Node("x", "x"), Node("y", "mul")), (Edge("x", "y"), Edge("x", "y"))))
    first, second = (route.curves[-1][3] for route in layout.routes)
    assert first[0] < second[0]


def test_a_tree_is_drawn_without_crossings() -> None:
    nodes = [Node(f"leaf {i}", "x", "input") for i in (0, 5, 2, 7, 1, 4, 3, 6)]
    nodes += [Node(f"{level} {i}", "add", "combine") for level, count in ((1, 4), (2, 2), (3, 1)) for i in range(count)]
    edges = [Edge(f"leaf {i}", f"1 {i // 2}") for i in range(8)]
    edges += [Edge(f"{level} {i}", f"{level + 1} {i // 2}") for level, count in ((1, 4), (2, 2)) for i in range(count)]
    layout = laid_out(Graph("tree", tuple(nodes), tuple(edges)))
    for a, b in itertools.combinations(layout.routes, 2):
        starts, ends = a.curves[0][0], a.curves[-1][3]
        others = b.curves[0][0], b.curves[-1][3]
        if starts[1] == others[0][1]:
            assert (starts[0] - others[0][0]) * (ends[0] - others[1][0]) > 0
