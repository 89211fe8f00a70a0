"""Plots the best result found so far over the budget: a line with an interval for each strategy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from archwright.errors import ConfigError
from archwright.report.picture import FAINT, plot, text_width

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# The Okabe-Ito colours that are dark enough for a line on white; a ninth line begins again, dashed.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#8a7500")
SMALLEST_GAP = 0.055  # between two names at the right, as a share of the height
# More curves than this, or a name that is wider (inches), are named below the plot: beside it there would be no room.
MOST_BESIDE, WIDEST_BESIDE = 10, 2.0
WIDTH, SIZE, LINE = 7.2, 9, 0.21  # of the picture (inches), of the names (points), and of a line of names (inches)
SAMPLE = 0.75  # inches of a name's line and margins below the plot


@dataclass(frozen=True)
class Curve:
    """The mean of the best so far after each amount `used`, and its interval; NaN where it is not yet known."""

    label: str
    used: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


def anytime(
    curves: Sequence[Curve],
    path: str | Path,
    *,
    title: str,
    used: str,
    score: str,
    limit: float | None,
    notes: str,
    less: bool = False,
) -> Path:
    """Plot the curves, each named at its right end or below, and the best possible score `limit` as a dotted line.

    The means and the interval of the highest curve set the height; the first trials and wider intervals are cut off
    where they would press the rest flat. `less`: less of the score is better. Raises ConfigError if there is nothing
    to plot.
    """
    known = [curve for curve in curves if np.isfinite(curve.mean).any()]
    if not known:
        raise ConfigError(f"{path}: there is nothing to plot")
    names = [_fitting(curve.label, WIDTH - 2 * SAMPLE) for curve in known]
    widest = max(text_width(name, SIZE) for name in names)
    below = len(known) > MOST_BESIDE or widest > WIDEST_BESIDE
    columns = max(1, int(WIDTH / (widest + SAMPLE)))
    lines = LINE * (-(-len(known) // columns) + 1) if below else 0.0
    with plot(path, title, 4.6 + lines, width=WIDTH, notes=notes) as figure:
        rows = {"height_ratios": (4.6, lines)} if below else {}
        axes, *rest = figure.subplots(2 if below else 1, squeeze=False, gridspec_kw=rows).flat
        drawn: list[Any] = []
        for number, curve in enumerate(known):
            colour, style = COLOURS[number % len(COLOURS)], "-" if number < len(COLOURS) else "--"
            axes.fill_between(curve.used, curve.low, curve.high, color=colour, alpha=0.15, lw=0)
            drawn += axes.plot(curve.used, curve.mean, color=colour, ls=style, lw=1.8)
        low, high = _heights(known, limit, less=less)
        axes.set(xlabel=used, ylabel=score, ylim=(low, high), xlim=(0, max(float(c.used[-1]) for c in known)))
        if limit is not None:
            axes.axhline(limit, color=FAINT, lw=1, ls=":")
        if below:
            rest[0].axis("off")
            rest[0].legend(drawn, names, loc="upper center", ncols=columns, fontsize=SIZE)
        else:
            _name(axes, known, low, high)
        axes.grid(axis="y")
    return Path(path)


def _fitting(label: str, width: float) -> str:
    """Return a name that is at most so many inches wide, cut at its end."""
    if text_width(label, SIZE) <= width:
        return label
    length = next(n for n in range(len(label), -1, -1) if text_width(f"{label[:n]}...", SIZE) <= width)
    return f"{label[:length]}..."


def _heights(curves: Sequence[Curve], limit: float | None, *, less: bool = False) -> tuple[float, float]:
    if less:  # the same upside down
        over = [Curve(c.label, c.used, -c.mean, -c.high, -c.low) for c in curves]
        low, high = _heights(over, None if limit is None else -limit)
        return -high, -low
    ends = [float(curve.mean[-1]) for curve in curves]
    best = curves[int(np.argmax(ends))]
    top = max(float(value) for value in (*ends, best.high[-1], limit) if value is not None and np.isfinite(value))
    firsts = [float(curve.mean[np.isfinite(curve.mean)][0]) for curve in curves]
    bottom = max(min(firsts), min(ends) - 1.2 * (top - min(ends)) - 1e-9)
    if top - bottom <= 0:
        bottom, top = bottom - 0.05 * abs(bottom or 1), top + 0.05 * abs(top or 1)
    margin = 0.04 * (top - bottom)
    return bottom - margin, top + margin


def _name(axes: Axes, curves: Sequence[Curve], low: float, high: float) -> None:
    """Write each curve's name beside its end, moved up or down where two would meet."""
    gap = SMALLEST_GAP * (high - low)  # at most MOST_BESIDE names, so there is room for all
    places = np.array([float(curve.mean[np.isfinite(curve.mean)][-1]) for curve in curves])
    for previous, following in pairwise(np.argsort(-places)):
        places[following] = min(places[following], places[previous] - gap)
    places += max(0.0, low - float(places.min(initial=low)))
    for number, (curve, place) in enumerate(zip(curves, places, strict=True)):
        colour = COLOURS[number % len(COLOURS)]
        axes.text(float(curve.used[-1]) * 1.015, place, curve.label, color=colour, va="center", fontsize=9)
