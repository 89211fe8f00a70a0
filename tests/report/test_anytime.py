"""The plot of the best so far: what its height shows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from archwright.report.anytime import Curve, _heights, anytime


def test_wide_intervals_of_first_trials_and_of_worse_curves_do_not_press_the_rest_flat() -> None:
    used = np.array([1.0, 2.0, 3.0])
    good = Curve("good", used, np.array([75.0, 95.0, 96.0]), np.array([5.0, 94.0, 95.0]), np.array([145.0, 96.0, 97.0]))
    bad = Curve("bad", used, np.array([75.0, 88.0, 89.0]), np.array([5.0, 72.0, 72.0]), np.array([145.0, 106.0, 106.0]))
    low, high = _heights([good, bad], None)
    assert 75 < low < 89
    assert 97 < high < 98
    assert _heights([good, bad], 99.0)[1] > 99


@pytest.mark.parametrize("count", [3, 14])
def test_many_strategies_and_long_names_leave_the_plot_its_room(count: int, tmp_path: Path) -> None:
    """A layout that collapses is a warning, and a warning is an error here."""
    used = np.linspace(1, 10, 10)
    labels = [f"reinforce+learning_rate=0.01+batch={n}+entropy_weight=0.0+temperature=null" for n in range(count)]
    labels[0] *= 3  # wider than the picture
    curves = [Curve(label, used, used + n, used + n - 1, used + n + 1) for n, label in enumerate(labels)]
    path = anytime(curves, tmp_path / "x.png", title="t", used="trials", score="score", limit=None, notes="notes")
    assert path.stat().st_size > 10_000


def test_where_less_is_better_the_plot_is_cut_at_the_other_side() -> None:
    used = np.array([1.0, 2.0])
    curves = [Curve("a", used, np.array([90.0, 2.0]), np.array([80.0, 1.0]), np.array([99.0, 3.0]))]
    over = [Curve("a", used, -curves[0].mean, -curves[0].high, -curves[0].low)]
    low, high = _heights(over, None)
    assert _heights(curves, None, less=True) == (-high, -low)
