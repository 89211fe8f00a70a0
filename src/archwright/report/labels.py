"""Labels of points in a plot, none of which overlaps another."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from archwright.report.box import Box
from archwright.report.picture import FAINT, text_width

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZE = 8.5  # points, as all lengths here
HEIGHT, GAP = 1.15 * SIZE, 1.5
MARKER = 4.0  # the radius of a point that labels keep off
TOGETHER = 4.5  # points nearer than this have one label
NEAREST, FARTHEST, STEP = 11.0, 400.0, 6.0  # from a point to the middle of its label, if that were a square
LEADER = 17.0  # a label farther from its point than this has a line to it
# As tried, right and up: beside the point first, since what an interval covers lies above and below.
DIRECTIONS = ((1, 0.6), (-1, 0.6), (1, -0.6), (-1, -0.6), (0.3, 1), (-0.3, 1), (0.3, -1), (-0.3, -1))


def label(axes: Axes, points: Sequence[tuple[str, float, float]], *, colour: str) -> None:
    """Write a label at each point (label, x, y) in data coordinates; those at one place share one: "1, 2".

    Where labels have room depends on the layout: call it last, after `figure.draw_without_rendering()`.
    """
    if not points:
        return
    unit = 72 / axes.figure.dpi
    at = [tuple(unit * axes.transData.transform((x, y))) for _, x, y in points]
    room = Box.of(unit * axes.get_window_extent().get_points())
    keep_off = [Box(x, y, 2 * MARKER, 2 * MARKER) for x, y in at]
    if (legend := axes.get_legend()) is not None:
        keep_off.append(Box.of(unit * legend.get_window_extent().get_points()))
    crowds = together(at)
    words = [", ".join(points[member][0] for member in crowd) for crowd in crowds]
    middles = [at[crowd[0]] for crowd in crowds]
    sizes = [(72 * text_width(text, SIZE) + 2 * GAP, HEIGHT + 2 * GAP) for text in words]
    background = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.5}  # it may lie on an interval
    middle_of_text: dict[str, Any] = {"textcoords": "offset points", "ha": "center", "va": "center"}
    line = {"arrowstyle": "-", "color": FAINT, "lw": 0.6, "shrinkA": 0, "shrinkB": 3}
    for crowd, text, middle, box in zip(crowds, words, middles, placed(middles, sizes, keep_off, room), strict=True):
        away, (_, *place) = (box.x - middle[0], box.y - middle[1]), points[crowd[0]]
        far = max(abs(away[0]) - box.width / 2, abs(away[1]) - box.height / 2) > LEADER - NEAREST
        written = axes.annotate(
            text,
            (place[0], place[1]),
            xytext=away,
            **middle_of_text,
            fontsize=SIZE,
            color=colour,
            bbox=background,
            zorder=4,
            arrowprops=line if far else None,
        )
        written.set_in_layout(False)  # the layout stays as it was measured


def together(at: Sequence[tuple[float, ...]]) -> list[list[int]]:
    """Group the numbers of points that lie on the first of their group."""
    groups: list[list[int]] = []
    for number, place in enumerate(at):
        near = (group for group in groups if math.dist(at[group[0]], place) < TOGETHER)
        if (group := next(near, None)) is None:
            groups.append([number])
        else:
            group.append(number)
    return groups


def placed(
    middles: Sequence[tuple[float, ...]],
    sizes: Sequence[tuple[float, float]],
    keep_off: Sequence[Box],
    room: Box,
) -> list[Box]:
    """Return a box of each size near its middle: in the room, off what is drawn there, and off all other boxes.

    Where there is no such place in reach it lies on what is drawn, and where all of the room is taken outside of that.
    """
    found: list[Box] = []
    for middle, size in zip(middles, sizes, strict=True):
        free = [box for box in _candidates(middle, size) if not any(box.meets(other) for other in found)]
        inside = [box for box in free if box.within(room)]
        off = (box for box in inside if not any(box.meets(drawn) for drawn in keep_off))
        found.append(next(itertools.chain(off, inside, free)))
    return found


def _candidates(middle: tuple[float, ...], size: tuple[float, float]) -> Iterator[Box]:
    """Yield boxes around a middle, the nearest first; a wide one is as far off beside it as above."""
    wider, reach = (size[0] - size[1]) / 2, NEAREST
    while reach < FARTHEST:
        for right, up in DIRECTIONS:
            yield Box(middle[0] + right * (reach + wider), middle[1] + up * reach, *size)
        reach += STEP
