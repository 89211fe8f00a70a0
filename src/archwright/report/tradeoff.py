"""Plots accuracy against size, as NASNet's figure 5, for one's own networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archwright.errors import ConfigError
from archwright.report.labels import label
from archwright.report.picture import FAINT, INK, plot

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe-Ito hues; each kind has a shape of its own too.
LOOKS = {
    "found": ("#0f5f96", "o", True),
    "random": ("#b5520c", "s", False),
    "reference": ("#3b7d4f", "D", False),
    "published": (FAINT, "X", True),
    "searched": ("#7aa6c8", ".", True),
}
PANELS = (("parameters", "parameters"), ("multiply_adds", "multiply-adds of an image"))


@dataclass(frozen=True)
class Point:
    """A network: its test accuracy (with the interval, where it is ours) and its size. `kind` is a key of `LOOKS`."""

    label: str
    kind: str
    accuracy: float
    interval: tuple[float, float] | None
    parameters: float | None = None
    multiply_adds: float | None = None
    costs: Mapping[str, float] = field(default_factory=dict)

    def at(self, size: str) -> float | None:
        """Return a size or cost by its name."""
        return self.costs.get(size, getattr(self, size, None))


def tradeoff(
    points: Sequence[Point],
    path: str | Path,
    *,
    title: str,
    panels: Sequence[tuple[str, str]] = PANELS,
    measure: str = "test accuracy, %",
    times: float = 100,
    behind: Sequence[Point] = (),
    front: bool = False,
    notes: str = "",
) -> Path:
    """Plot accuracy against parameters and against multiply-adds; points are numbered, and the legend names them.

    Other `panels` are costs by name, with their words; `measure` is the accuracy's, which is shown so many `times`.
    Points `behind` have no number. `front` joins numbered points that are found or references, and better than all
    cheaper ones, by steps.

    Raises ConfigError if there is nothing to plot.
    """
    from matplotlib.lines import Line2D

    if not points:
        raise ConfigError(f"{path}: there are no networks to plot")
    width = 11 if len(panels) == 2 else 3.5 + 3.75 * len(panels)
    with plot(path, title, 4.6 + 0.12 * max(0, len(points) - 12), width=width, notes=notes) as figure:
        drawn = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for axes, (size, words) in zip(drawn, panels, strict=True):
            _draw(axes, points, size, times, behind)
            if front:
                _step(axes, [(x, times * point.accuracy) for point in points if (x := point.at(size)) is not None])
            axes.set_xlabel(words)
        drawn[0].set_ylabel(measure)
        numbered = enumerate(points, start=1)
        handles = [Line2D([], [], label=f"{number}  {point.label}", **_marker(point, 6)) for number, point in numbered]
        figure.legend(handles=handles, loc="outside right upper", fontsize=8.5)
        figure.draw_without_rendering()
        for axes, (size, _) in zip(drawn, panels, strict=True):
            numbers = [(str(number), x, times * one.accuracy) for number, one, x in _numbered(points, size)]
            label(axes, numbers, colour=INK)
    return Path(path)


def _step(axes: Axes, points: Sequence[tuple[float, float]]) -> None:
    """Draw the best so far over a cost."""
    line: list[tuple[float, float]] = []
    for x, y in sorted(points, key=lambda point: (point[0], -point[1])):
        if not line or y > line[-1][1]:
            line.append((x, y))
    axes.step(*zip(*line, strict=True), where="post", color=FAINT, lw=1, ls=":", zorder=1)


def _numbered(points: Sequence[Point], size: str) -> list[tuple[int, Point, float]]:
    """Return the points that have this size or cost, with their numbers."""
    return [(number, point, x) for number, point in enumerate(points, start=1) if (x := point.at(size)) is not None]


def _draw(axes: Axes, points: Sequence[Point], size: str, times: float, behind: Sequence[Point]) -> None:
    from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator, NullFormatter

    shown = _numbered(points, size)
    others = [(point, x) for point in behind if (x := point.at(size)) is not None]
    axes.set_xscale("log")
    for point, x in others:
        axes.plot(x, times * point.accuracy, **_marker(point, 5), alpha=0.6, zorder=1.5)
    for _, point, x in shown:
        y = times * point.accuracy
        if point.interval is not None:
            bounds = [times * bound for bound in point.interval]
            axes.plot([x, x], bounds, color=LOOKS[point.kind][0], lw=1.6, alpha=0.7, zorder=2)
        axes.plot(x, y, **_marker(point, 5 if point.kind == "published" else 7), zorder=3)
    sizes = [*(x for *_, x in shown), *(x for _, x in others)] or [1.0]
    low, high = min(sizes) / 1.5, max(sizes) * 1.5
    axes.set_xlim(low, high)
    # Less than a decade has too few round powers for a logarithmic axis, whose labels would run into each other.
    subs = (1.0,) if high > 60 * low else (1.0, 2.0, 5.0)
    axes.xaxis.set_major_locator(LogLocator(subs=subs) if high > 10 * low else MaxNLocator(4, steps=(1, 2, 5, 10)))
    axes.xaxis.set_major_formatter(EngFormatter(sep="") if high > 1000 else "{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid()


def _marker(point: Point, size: float) -> dict[str, Any]:
    colour, marker, filled = LOOKS[point.kind]
    fill = colour if filled else "white"
    return {"color": colour, "marker": marker, "mfc": fill, "mec": colour, "mew": 1.5, "ms": size, "ls": "none"}
