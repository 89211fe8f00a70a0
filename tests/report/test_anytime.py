"""The plot of the best so far: what its height shows."""

from __future__ import annotations

import numpy as np

from archwright.report.anytime import Curve, _heights


def test_wide_intervals_of_first_trials_and_of_worse_curves_do_not_press_the_rest_flat() -> None:
    used = np.array([1.0, 2.0, 3.0])
    good = Curve("good", used, np.array([75.0, 95.0, 96.0]), np.array([5.0, 94.0, 95.0]), np.array([145.0, 96.0, 97.0]))
    bad = Curve("bad", used, np.array([75.0, 88.0, 89.0]), np.array([5.0, 72.0, 72.0]), np.array([145.0, 106.0, 106.0]))
    low, high = _heights([good, bad], None)
    assert 75 < low < 89
    assert 97 < high < 98
    assert _heights([good, bad], 99.0)[1] > 99
