"""Scores of several architectures, side by side: how well each orders them, and one score of several."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Any

import numpy as np

from archwright.report.statistics import kendall_tau

AZ_NAS = ("expressivity", "progressivity", "trainability", "multiply_adds")
PRIOR = 4.0  # architectures' worth of belief that all scores count alike
Columns = Mapping[str, Sequence[float]]


def columns_of(rows: Sequence[Mapping[str, float]]) -> dict[str, list[float]]:
    """Return scores by name, for all architectures, from those of each; AZ-NAS's with them where its parts are."""
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    return columns | ({"az_nas": az_nas(columns)} if columns.keys() >= set(AZ_NAS) else {})


def az_nas(columns: Columns) -> list[float]:
    """Return the sum over AZ-NAS's scores of the logarithm of the rank, of 1 (Lee & Ham 2024, equation 9)."""
    places = np.array([_ranks(columns[name]) for name in AZ_NAS])
    total: list[float] = np.log(places / places.shape[1]).sum(axis=0).tolist()
    return total


def agreement(columns: Columns, values: Sequence[float]) -> dict[str, Any]:
    """Return Kendall's tau of each score with the values, its 95 % interval, and whose is the largest.

    A score that is the same for all has a tau of None.
    """
    found: dict[str, Any] = {}
    for name, scores in columns.items():
        tau, low, high = kendall_tau(scores, values)
        found[name] = None if math.isnan(tau) else {"tau": tau, "interval": [low, high]}
    known = {name: one["tau"] for name, one in found.items() if one is not None}
    return {"taus": found, "best": max(known, key=lambda name: known[name], default=None)}


def fused(columns: Columns, known: Mapping[int, float]) -> list[float]:
    """Return one score of several, weighed by what is known of some architectures: larger is better there, too.

    Ridge regression of normal scores on normal scores, whose weights are drawn to equal ones with the strength of
    `PRIOR` architectures. With nothing known it is the mean of the normal scores.
    """
    read = np.stack([_normal(scores) for scores in columns.values()], axis=1)
    weights = np.full(read.shape[1], 1 / read.shape[1])
    if len(known) > 1:
        rows = read[list(known)]
        rows, wanted = rows - rows.mean(axis=0), _normal(list(known.values()))
        square = rows.T @ rows + PRIOR * np.eye(len(weights))
        weights = weights + np.linalg.solve(square, rows.T @ (wanted - rows @ weights))
    made: list[float] = (read @ weights).tolist()
    return made


def _normal(scores: Sequence[float]) -> np.ndarray:
    """Return the normal quantiles of the ranks; zeros where all are alike."""
    quantile = NormalDist().inv_cdf
    return np.array([quantile((rank - 0.5) / len(scores)) for rank in _ranks(scores)])


def _ranks(scores: Sequence[float]) -> np.ndarray:
    """Return places from 1, the smallest first; those that are alike share the mean of theirs."""
    from scipy.stats import rankdata

    return np.asarray(rankdata(scores), dtype=float)


def as_lines(found: Mapping[str, Any]) -> list[str]:
    """Return what `agreement` found in words, the best first."""
    taus = sorted(found["taus"].items(), key=lambda item: 2.0 if item[1] is None else -item[1]["tau"])
    return [f"{name.replace('_', ' '):<16} {_words(one)}" for name, one in taus]


def first_words(found: Mapping[str, Any]) -> str:
    """Return in words the tau of the first of the scores, and of the best where that is another."""
    first, best = next(iter(found["taus"])), found["best"]
    names = [first] if best in (first, None) else [first, best]
    return "Kendall's tau of " + ", best ".join(f"{n.replace('_', ' ')} {_words(found['taus'][n])}" for n in names)


def _words(one: Mapping[str, Any] | None) -> str:
    return "the same for all" if one is None else "{:.2f} ({:.2f} to {:.2f})".format(one["tau"], *one["interval"])
