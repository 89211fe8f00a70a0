"""Learning rates over training: pure functions of the position."""

from __future__ import annotations

import math
from collections.abc import Sequence


def restart_periods(total: float, *, period: float = 10, factor: int = 2) -> tuple[float, ...]:
    """Return the lengths of the cosine periods that fill `total`: `period`, `period * factor`, ... all stretched alike.

    Where `total` is such a sum (10, 30, 70, 150, 310, 630 for the defaults) nothing is stretched. Otherwise as many
    whole periods as fit are stretched to fill it, so that training always ends at the minimum; a shorter `total`
    than `period` is one cosine.
    """
    lengths, end = [float(period)], float(period)
    while end + lengths[-1] * factor <= total:
        lengths.append(lengths[-1] * factor)
        end += lengths[-1]
    if end == total:
        return tuple(lengths)
    return tuple(length * total / end for length in lengths)


def cosine_with_restarts(
    position: float, total: float, *, high: float, low: float, period: float = 10, factor: int = 2
) -> float:
    """Return `low + (high - low) (1 + cos(pi t / T)) / 2` at t in a period T (Loshchilov & Hutter 2017; ENAS C2).

    `position` and `total` are in epochs. The papers move it once per epoch (whole positions); training here moves it
    with every step. From `total` on it is `low`. The official code mixes old and new period in the step of a restart;
    here a restart is at `high`.
    """
    if position >= total:
        return low
    start = 0.0
    for length in restart_periods(total, period=period, factor=factor):
        if position < start + length:
            return low + (high - low) * (1 + math.cos(math.pi * (position - start) / length)) / 2
        start += length
    return low  # a position that rounding put behind the last period


def falling(share: float, *, high: float, low: float, over: float) -> float:
    """Return `high`, and from a `share` of 1 - `over` of training on a straight line down to `low` at 1.

    The decay of WSD (Hu et al. 2024). Haegele et al. 2024: a straight line does as well as a cosine over the whole.
    """
    left = max(0.0, 1 - share) / over
    return high if left >= 1 else min(high, low + (high - low) * left)  # rounding may pass it


def step_decay(position: float, total: float, *, high: float, at: Sequence[float], factor: float = 10) -> float:
    """Return `high`, divided by `factor` once for each share of `total` in `at` that has passed."""
    return float(high / factor ** sum(position >= share * total for share in at))
