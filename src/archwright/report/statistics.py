"""How far a measured figure can be trusted: intervals for accuracies, differences, rank correlations and means."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from archwright.errors import ConfigError

Floats: TypeAlias = "NDArray[np.float64]"


def wilson(successes: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Score interval (low, high) for a proportion, say the accuracy on `n` test images (Wilson 1927).

    Unlike p +- 1.96 s it stays within 0 and 1 and has a width at 0 % and 100 %.
    """
    if not 0 <= successes <= n or n < 1:
        raise ConfigError(f"{successes} of {n} is not a proportion; there must be at least one and at most n successes")
    z = _z(confidence)
    share = successes / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    # At the ends the bound is exactly 0 or 1; rounding must not say otherwise.
    return (0.0 if successes == 0 else max(0.0, middle - half)), (1.0 if successes == n else min(1.0, middle + half))


def paired_difference(
    a_correct: ArrayLike, b_correct: ArrayLike, confidence: float = 0.95
) -> tuple[float, float, float]:
    """Accuracy of a minus accuracy of b on the same images: (difference, low, high).

    `a_correct`, `b_correct`: one truth value per image, in the same order. The interval is the adjusted Wald interval
    of Agresti & Min (2005), which adds half an image to each of the four cells of the table (a right or wrong, b right
    or wrong). It is narrower than the two accuracies' own intervals suggest, because images that both get right or both
    get wrong say nothing about the difference; and it has a width even if the two never disagree.
    """
    a, b = np.asarray(a_correct), np.asarray(b_correct)
    if a.shape != b.shape or a.ndim != 1 or not a.size:
        raise ConfigError(f"paired answers must be two lists of the same length, not of shapes {a.shape} and {b.shape}")
    a, b = a.astype(bool), b.astype(bool)
    only_a, only_b, n = int(np.sum(a & ~b)), int(np.sum(~a & b)), a.size
    middle = (only_a - only_b) / (n + 2)
    half = _z(confidence) * math.sqrt(only_a + only_b + 1 - (only_a - only_b) ** 2 / (n + 2)) / (n + 2)
    return (only_a - only_b) / n, max(-1.0, middle - half), min(1.0, middle + half)


def mean_interval(values: ArrayLike, confidence: float = 0.95) -> tuple[float, float, float]:
    """(mean, low, high) of independent, roughly normal values, say of several seeds: Student's t interval.

    One value gives infinite bounds: a single run says nothing about how runs differ.
    """
    x = np.asarray(values, dtype=float)
    if x.ndim != 1 or not x.size or not np.isfinite(x).all():
        raise ConfigError(f"a mean needs a list of finite numbers, not {values!r}")
    mean = float(x.mean())
    if x.size == 1:
        return mean, -math.inf, math.inf
    half = t_quantile(0.5 + confidence / 2, x.size - 1) * float(x.std(ddof=1)) / math.sqrt(x.size)
    return mean, mean - half, mean + half


def kendall_tau(
    a: ArrayLike, b: ArrayLike, confidence: float = 0.95, *, seed: int = 0, resamples: int = 2000
) -> tuple[float, float, float]:
    """How well two scores agree on the order of the same items: (tau-b, low, high); 1 same order, -1 reversed.

    Tau-b counts pairs of items and corrects for ties (Kendall 1945). The interval is the percentile bootstrap over
    items, the same for the same seed. All three are NaN if one of the scores is the same for all items.
    """
    x, y = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if x.shape != y.shape or x.ndim != 1 or x.size < 2:
        raise ConfigError(f"two scores of at least two items are needed, not shapes {x.shape} and {y.shape}")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ConfigError("scores to be ranked must be finite; leave failed trials out")
    over, under = np.sign(x[:, None] - x), np.sign(y[:, None] - y)
    tau = float(_tau_b(np.ones((1, x.size)), over, under)[0])
    if math.isnan(tau):
        return math.nan, math.nan, math.nan
    _z(confidence)  # for its check
    # A resample is how often each item was drawn; an item drawn twice is tied with itself, which tau-b leaves out.
    drawn = np.random.default_rng(seed).multinomial(x.size, np.full(x.size, 1 / x.size), size=resamples)
    taus = _tau_b(drawn.astype(float), over, under)
    low, high = np.nanquantile(taus, [0.5 - confidence / 2, 0.5 + confidence / 2])
    return tau, float(low), float(high)


def _tau_b(weights: Floats, over: Floats, under: Floats) -> Floats:
    """Tau-b for each row of item weights; NaN where one of the scores is constant."""
    agreeing = np.einsum("ri,ri->r", weights @ (over * under), weights)
    untied_x = np.einsum("ri,ri->r", weights @ np.abs(over), weights)
    untied_y = np.einsum("ri,ri->r", weights @ np.abs(under), weights)
    scale = np.sqrt(untied_x * untied_y)
    taus: Floats = np.full(len(scale), np.nan)
    np.divide(agreeing, scale, out=taus, where=scale > 0)
    return taus


def t_quantile(probability: float, freedom: int) -> float:
    """The value that a Student t variable with `freedom` degrees stays below with the given probability."""
    if not 0 < probability < 1 or freedom < 1:
        raise ConfigError(f"no t quantile for probability {probability} and {freedom} degrees of freedom")
    if probability < 0.5:
        return -t_quantile(1 - probability, freedom)
    low, high = 0.0, 1.0
    while _t_below(high, freedom) < probability:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if _t_below(middle, freedom) < probability else (low, middle)
    return (low + high) / 2


def _t_below(t: float, freedom: int) -> float:
    """P(T < t) for t >= 0, by the finite series for whole degrees of freedom (Abramowitz & Stegun 26.7.3, 26.7.4)."""
    angle = math.atan(t / math.sqrt(freedom))
    cosine = math.cos(angle) ** 2
    term = math.cos(angle) if freedom % 2 else 1.0
    total = 0.0 if freedom == 1 else term
    for k in range(3 if freedom % 2 else 2, freedom - 1, 2):
        term *= cosine * (k - 1) / k
        total += term
    if freedom % 2:
        return 0.5 + (angle + math.sin(angle) * total) / math.pi
    return 0.5 + math.sin(angle) * total / 2


def _z(confidence: float) -> float:
    if not 0 < confidence < 1:
        raise ConfigError(f"confidence {confidence} is not between 0 and 1")
    return NormalDist().inv_cdf(0.5 + confidence / 2)
