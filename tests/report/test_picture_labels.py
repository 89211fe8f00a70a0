"""Labels of points: none overlaps another, wherever the points are."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from matplotlib.text import Text

from archwright.report.labels import Box, label, placed, together
from archwright.report.picture import plot

ROOM = Box(100.0, 60.0, 200.0, 120.0)
PLACES = st.tuples(st.floats(0, 200), st.floats(0, 120))


@settings(max_examples=40, deadline=None)
@given(middles=st.lists(PLACES, min_size=1, max_size=12), width=st.floats(8, 60))
def test_boxes_overlap_no_other_box(middles: list[tuple[float, float]], width: float) -> None:
    markers = [Box(x, y, 8.0, 8.0) for x, y in middles]
    found = placed(middles, [(width, 13.0)] * len(middles), markers, ROOM)
    assert not [pair for pair in itertools.combinations(found, 2) if pair[0].meets(pair[1])]
    assert not found[0].meets(markers[0])


def test_points_at_one_place_have_one_label_and_the_others_their_own() -> None:
    assert together([(0.0, 0.0), (50.0, 0.0), (1.0, 1.0), (9.0, 0.0)]) == [[0, 2], [1], [3]]


@pytest.mark.parametrize("step", [0.0, 0.004, 0.02])
def test_labels_of_a_saved_picture_do_not_overlap(step: float, tmp_path: Path) -> None:
    """Ten points at one place, nearly at one place, and in a row, and one in a corner."""
    points = [(str(number), 5.0 + number * step, 0.5 + number * step) for number in range(1, 11)]
    points.append(("11", 9.0, 0.9))
    with plot(tmp_path / "labels.png", "Labels", 3.0, notes="a note") as figure:
        axes = figure.subplots()
        axes.plot([x for _, x, _ in points], [y for *_, y in points], "o")
        axes.set_xlim(0, 9)
        axes.set_ylim(0, 0.9)
        figure.draw_without_rendering()
        label(axes, points, colour="black")
    written = [text.get_text() for text in axes.texts]
    assert sorted(", ".join(written).split(", "), key=int) == [name for name, *_ in points]
    extents = _extents(figure)
    assert not [pair for pair in itertools.combinations(extents, 2) if pair[0].overlaps(pair[1])]
    assert all(axes.get_window_extent().contains(*corner) for each in extents for corner in each.get_points())


def _extents(figure: Figure) -> list[Any]:
    """Return where the texts are, without the lines to their points."""
    figure.draw_without_rendering()
    return [Text.get_window_extent(text) for axes in figure.axes for text in axes.texts]
