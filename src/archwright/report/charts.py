"""Charts as data for a page: everything is placed here, and a template writes it as SVG, escaped.

Lengths are in units of the drawing, which a page scales.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from archwright.report.plots import Estimate

WIDTH, HEIGHT = 1020, 290
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 10, 40  # margins
MANY = 600  # points of a series; of more, the highest and the lowest in each of so many halves of columns
DIGITS = 4  # of numbers on axes
# Okabe and Ito's colours and a dash for each: told apart in grey too.
COLOURS = ("#0f5f96", "#b5520c", "#3b7d4f", "#8a4f7d", "#6a6a6a", "#b8860b", "#1a1a1a", "#56b4e9")
DASHES = ("", "7 3", "2 3", "9 3 2 3")

Point = tuple[float, float]


@dataclass(frozen=True)
class Series:
    """Points in the order of x. `hover` names what a dot stands for."""

    label: str
    points: Sequence[Point]
    kind: Literal["line", "dots", "steps"] = "line"
    hover: str = ""


@dataclass(frozen=True)
class Drawn:
    """A series as it is drawn: a path, or marks with what they say under the pointer."""

    label: str
    kind: str
    colour: str
    dash: str
    path: str = ""
    marks: Sequence[tuple[float, float, str]] = ()


@dataclass(frozen=True)
class Chart:
    """A chart as it is drawn. Ticks are (place, words)."""

    x: str
    x_ticks: Sequence[tuple[float, str]]
    y_ticks: Sequence[tuple[float, str]]
    series: Sequence[Drawn]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    bottom: int = HEIGHT - BOTTOM
    top: int = TOP


def chart(series: Sequence[Series], *, x: str, width: int = WIDTH, height: int = HEIGHT) -> Chart | None:
    """Place series in one chart; points that are not finite are left out. None if no point is left."""
    right, bottom = width - RIGHT, height - BOTTOM
    kept = [(one, [p for p in one.points if all(map(math.isfinite, p))]) for one in series]
    every = [point for _, points in kept for point in points]
    if not every:
        return None
    x_span, y_span = _span([p[0] for p in every]), _span([p[1] for p in every], margin=0.05)

    def at(point: Point) -> Point:
        return _placed(point[0], x_span, LEFT, right), _placed(point[1], y_span, bottom, TOP)

    drawn = []
    for number, (one, points) in enumerate(kept):
        if not points:
            continue
        points, colour = thinned(points), COLOURS[number % len(COLOURS)]
        if one.kind == "dots":
            marks = [(*at(p), f"{one.hover} {_number(p[0])}: {_number(p[1])}".strip()) for p in points]
            drawn.append(Drawn(one.label, one.kind, colour, "", marks=marks))
        else:
            drawn.append(
                Drawn(one.label, one.kind, colour, DASHES[number % len(DASHES)], _path(map(at, points), one.kind))
            )
    return Chart(
        x,
        [(_placed(tick, x_span, LEFT, right), words) for tick, words in _ticks(*x_span, width // 120)],
        [(_placed(tick, y_span, bottom, TOP), words) for tick, words in _ticks(*y_span)],
        drawn,
        width=width,
        height=height,
        right=right,
        bottom=bottom,
    )


def intervals(estimates: Iterable[Estimate], width: float = 460.0) -> dict[str, list[Any]]:
    """Place estimates in a width: `rows` have label, words, low, value, high and found; `ticks` are the axis."""
    kept = [e for e in estimates if all(map(math.isfinite, (e.low, e.value, e.high)))]
    span = _span([bound for e in kept for bound in (e.low, e.high)], margin=0.08)
    rows = []
    for e in kept:
        low, value, high = (_placed(bound, span, 0.0, width) for bound in (e.low, e.value, e.high))
        words = f"{e.value:.2f}  [{e.low:.2f}, {e.high:.2f}]"
        rows.append({"label": e.label, "words": words, "low": low, "value": value, "high": high, "found": e.found})
    return {"rows": rows, "ticks": [(_placed(tick, span, 0.0, width), words) for tick, words in _ticks(*span)]}


def thinned(points: Sequence[Point], most: int = MANY) -> list[Point]:
    """Return at most so many points: of each column those with the largest and the smallest y, in the order of x."""
    if len(points) <= most:
        return list(points)
    columns = most // 2
    kept: list[Point] = []
    for column in range(columns):
        part = points[column * len(points) // columns : (column + 1) * len(points) // columns]
        pair = {min(part, key=lambda p: p[1]), max(part, key=lambda p: p[1])}
        kept += sorted(pair)
    return kept


def _span(values: Sequence[float], margin: float = 0.0) -> Point:
    low, high = min(values, default=0.0), max(values, default=1.0)
    more = margin * (high - low) or (0.05 * abs(high) or 0.5 if low == high else 0.0)
    return low - more, high + more


def _placed(value: float, span: Point, begin: float, end: float) -> float:
    return round(begin + (value - span[0]) / (span[1] - span[0]) * (end - begin), 1)


def _ticks(low: float, high: float, about: int = 6) -> list[tuple[float, str]]:
    """Return round numbers within the span, with as many decimals as they need."""
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    first = math.ceil(low / step)
    ticks = [number * step for number in range(first, first + 2 * about + 1) if number * step <= high + 1e-9 * step]
    places = max(0, -math.floor(math.log10(step) + 1e-9))
    return [
        (tick, f"{tick:,.{places}f}" if max(map(abs, ticks)) < 1e7 and places < 8 else f"{tick:.4g}") for tick in ticks
    ]


def _path(points: Iterable[Point], kind: str) -> str:
    words: list[str] = []
    for x, y in points:
        words.append(f"{'L' if words else 'M'}{x} {y}" if kind == "line" or not words else f"H{x}V{y}")
    return "".join(words)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == round(value) and abs(value) < 1e7 else f"{value:.{DIGITS}g}"
