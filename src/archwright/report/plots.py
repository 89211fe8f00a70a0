"""Plots a search and its result."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from archwright.errors import ConfigError
from archwright.report.picture import FAINT, INK, plot, text_width

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DOTS, MEAN, FOUND = "#74a9cf", "#b5520c", "#0f5f96"  # Okabe-Ito hues; as grey: light, middle, dark
MANY = 3000  # dots; more are drawn as one image inside an SVG, which would be megabytes of markup otherwise


def search_curve(
    rewards: Sequence[float],
    path: str | Path,
    *,
    baseline: Sequence[float] | None = None,
    failed: Sequence[int] = (),
    phases: Sequence[tuple[int, str]] = (),
    title: str = "Rewards of the search",
    reward: str = "reward",
) -> Path:
    """Plot the reward of each trial (dots), the best so far (steps) and the trend (line).

    The line is the controller's `baseline` after each trial, if given, else the mean of the last trials (a twentieth of
    all, at least 5). `failed` are indices of trials without a real reward, and trials with NaN or infinity count as
    such: they are marked at the bottom. `phases` are (index of its first trial, name). Raises ConfigError if there are
    no trials, or if `baseline` has another length.
    """
    from matplotlib.lines import Line2D

    values = np.asarray(rewards, dtype=float)
    if values.ndim != 1 or not len(values):
        raise ConfigError(f"{path}: there are no rewards to plot")
    if baseline is not None and len(baseline) != len(values):
        raise ConfigError(f"{path}: {len(values)} rewards but {len(baseline)} values of the baseline")
    values = np.where(np.isfinite(values), values, np.nan)
    values[list(failed)] = np.nan
    if baseline is None:
        window = max(5, len(values) // 20)
        line, name = moving_mean(values, window), f"mean of the last {window}"
    else:
        line, name = np.asarray(baseline, dtype=float), "baseline"
    with plot(path, title, 4.0) as figure:
        axes = figure.subplots()
        trials = np.arange(1, len(values) + 1)
        axes.plot(trials, line, color=MEAN, lw=2.0, label=name, zorder=3)
        _draw_rewards(axes, values)
        axes.grid(axis="y")
        axes.set(xlabel="trial", ylabel=reward)
        _set_scales(axes, values)
        _mark_phases(axes, phases, len(values))
        dots = Line2D([], [], color=DOTS, marker="o", ms=5, ls="none", label="trial")
        handles = [dots, *axes.get_legend_handles_labels()[0]]
        figure.legend(handles=handles, loc="outside lower center", ncols=4, fontsize=9)
    return Path(path)


def _draw_rewards(axes: Axes, values: np.ndarray) -> None:
    """Draw dots, the best so far, and crosses at the bottom for NaN."""
    trials, good = np.arange(1, len(values) + 1), np.isfinite(values)
    size, many = float(np.clip(3000 / len(values), 5, 26)), len(values) > MANY
    axes.scatter(trials[good], values[good], s=size, c=DOTS, linewidths=0, rasterized=many, zorder=2)
    best = np.fmax.accumulate(values)
    axes.plot(trials, best, color=INK, lw=1.4, drawstyle="steps-post", label="best so far", zorder=4)
    if failures := int(np.count_nonzero(~good)):
        cross: dict[str, Any] = {"s": 22, "c": INK, "marker": "x", "linewidths": 1, "zorder": 5}
        bottom, heights = axes.get_xaxis_transform(), np.full(failures, 0.02)
        axes.scatter(trials[~good], heights, transform=bottom, label=f"failed ({failures})", **cross)


def _set_scales(axes: Axes, values: np.ndarray) -> None:
    """Set the height by the rewards: a baseline that starts at zero would press them flat."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(nbins=9, integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
    axes.set_xlim(0.5 - 0.02 * len(values), len(values) + 0.5 + 0.02 * len(values))
    if not np.isfinite(values).any():
        axes.set_yticks([])
        return
    low, high = np.nanmin(values), np.nanmax(values)
    margin = 0.06 * (high - low) or 0.05 * abs(high) or 0.05
    axes.set_ylim(low - margin, high + margin)


def moving_mean(values: np.ndarray, window: int) -> np.ndarray:
    """Return, at each position, the mean of those of the last `window` values that are not NaN; NaN without any."""
    known = np.isfinite(values)
    sums = np.concatenate([[0.0], np.cumsum(np.where(known, values, 0.0))])
    counts = np.concatenate([[0], np.cumsum(known)])
    end = np.arange(1, len(values) + 1)
    start = np.maximum(end - window, 0)
    count = counts[end] - counts[start]
    return np.where(count > 0, (sums[end] - sums[start]) / np.maximum(count, 1), np.nan)


def _mark_phases(axes: Axes, phases: Sequence[tuple[int, str]], count: int) -> None:
    """Draw a thin line where each phase begins, with its name above the plot where there is room for it."""
    trials_per_inch = 1.04 * count / 6.2
    free_from, above = -np.inf, axes.get_xaxis_transform()
    for first, name in phases:
        width = (text_width(name, 8.5) + 0.08) * trials_per_inch
        at = min(first + 0.5, count + 0.5 - width)
        has_room = at >= free_from
        if first < count and (has_room or len(phases) <= 20):
            axes.axvline(first + 0.5, color="#b0b0b0", lw=0.8, zorder=1)
        if first < count and has_room:
            axes.text(at, 1.01, name, transform=above, fontsize=8.5, color=FAINT, va="bottom")
            free_from = at + width


@dataclass(frozen=True)
class Estimate:
    """A measured figure, say in per cent, with its interval. `found` marks the model that the search delivered."""

    label: str
    value: float
    low: float
    high: float
    found: bool = False


def comparison(
    estimates: Sequence[Estimate],
    path: str | Path,
    *,
    title: str = "Test accuracy",
    measure: str = "test accuracy, %",
    notes: Sequence[str] = (),
) -> Path:
    """Plot estimates as dots with intervals, one line each from top to bottom, the figures on the right.

    `notes` are lines below the plot, for the kind of interval and the paired differences: intervals that overlap do
    not mean that there is no difference. Raises ConfigError if there is nothing to plot.
    """
    if not estimates:
        raise ConfigError(f"{path}: there are no estimates to compare")
    labels = [textwrap.fill(estimate.label, 34) for estimate in estimates]
    lines = max(label.count("\n") + 1 for label in labels)
    height = 1.3 + (0.18 + 0.2 * lines) * len(estimates) + 0.2 * len(notes)
    with plot(path, title, height, notes="\n".join(notes)) as figure:
        axes = figure.subplots()
        for line, estimate in enumerate(estimates):
            colour, fill, weight = (FOUND, FOUND, "bold") if estimate.found else (FAINT, "white", "normal")
            low, high, beside = estimate.low, estimate.high, axes.get_yaxis_transform()
            axes.plot([low, high], [line, line], color=colour, lw=2.2, solid_capstyle="butt")
            axes.plot(estimate.value, line, marker="o", ms=8, mew=1.8, mec=colour, mfc=fill, clip_on=False, zorder=3)
            text = f"{estimate.value:.2f}  [{low:.2f}, {high:.2f}]"
            axes.text(1.04, line, text, transform=beside, va="center", fontsize=9, color=INK, fontweight=weight)
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x")
        axes.set_ylim(len(estimates) - 0.5, -0.5)
        axes.set_yticks(range(len(estimates)), labels, fontsize=10)
        for label, estimate in zip(axes.get_yticklabels(), estimates, strict=True):
            label.set_fontweight("bold" if estimate.found else "normal")
        axes.margins(x=0.06)
        axes.set_xlabel(measure, fontsize=9)
    return Path(path)


def agreement(
    first_scores: Sequence[float],
    second_scores: Sequence[float],
    path: str | Path,
    *,
    title: str,
    first: str,
    second: str,
) -> Path:
    """Plot two scores of the same items against each other, one dot an item. `first` and `second` name the axes."""
    with plot(path, title, 4.4) as figure:
        axes = figure.subplots()
        axes.scatter(first_scores, second_scores, s=26, c=FOUND, linewidths=0, alpha=0.8)
        axes.grid()
        axes.set(xlabel=first, ylabel=second)
    return Path(path)
