"""Charts: what is placed lies inside, ticks are round, and thinning keeps what stands out."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archwright.graph import Edge, Graph, Node
from archwright.report.charts import Series, chart, intervals, thinned
from archwright.report.drawing import inline
from archwright.report.plots import Estimate

NUMBERS = st.floats(-1e6, 1e6) | st.sampled_from([math.nan, math.inf, 0.0, 1e-9])


@settings(max_examples=60)
@given(st.lists(st.tuples(NUMBERS, NUMBERS), max_size=30))
def test_marks_and_ticks_lie_inside(points: list[tuple[float, float]]) -> None:
    drawn = chart([Series("one", points, "dots")], x="trial")
    finite = [p for p in points if all(map(math.isfinite, p))]
    if not finite:
        assert drawn is None
        return
    assert drawn is not None
    assert len(drawn.series[0].marks) == len(finite)
    for x, y, _ in drawn.series[0].marks:
        assert drawn.left - 0.1 <= x <= drawn.right + 0.1
        assert drawn.top - 0.1 <= y <= drawn.bottom + 0.1
    assert len({words for _, words in drawn.y_ticks}) == len(drawn.y_ticks) > 0


def test_what_stands_out_is_kept_of_many_points() -> None:
    points = [(float(n), math.sin(n)) for n in range(20_000)]
    points[12_345] = (12_345.0, 9.0)
    kept = thinned(points)
    assert len(kept) <= 600
    assert (12_345.0, 9.0) in kept
    assert kept == sorted(kept)


def test_estimates_are_placed_in_their_order() -> None:
    placed = intervals([Estimate("a", 3.0, 1.0, 5.0), Estimate("b", math.nan, 0.0, 1.0)], 100.0)
    (row,) = placed["rows"]
    assert 0 < row["low"] < row["value"] < row["high"] < 100


def test_a_drawing_in_a_page_scales_and_says_what_its_nodes_are() -> None:
    nodes = (Node("in", "input", "input"), Node("1", "<b>conv</b>"), Node("out", "output", "output"))
    graph = Graph("network", nodes, (Edge("in", "1"), Edge("1", "out")))
    svg = inline(graph, {(0, "1"): "1: <script>\n5 parameters"})
    assert svg.startswith('<svg class="drawing"')
    assert not re.match(r"<svg[^>]*\s(width|height)=", svg)
    assert "<title>1: &lt;script&gt;\n5 parameters</title>" in svg
    assert "&lt;b&gt;conv&lt;/b&gt;" in svg
    assert "<script" not in svg


@pytest.mark.parametrize("value", [0.0, 1.0, -3.5])
def test_one_value_has_a_chart(value: float) -> None:
    assert chart([Series("one", [(1.0, value), (2.0, value)])], x="trial") is not None
