"""Summarises a contest: means with intervals, ranks, paired differences, and the best so far over the budget."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from archwright.lab.contest import Allowance, Course
from archwright.report.anytime import Curve
from archwright.report.statistics import mean_interval

POINTS = 100  # of an anytime curve


@dataclass(frozen=True)
class Line:
    """One strategy's result. `difference` is its score minus the leader's, paired by run; None for the leader."""

    label: str
    mean: float
    deviation: float
    interval: tuple[float, float]
    reward: float
    rank: float
    trials: float
    own_milliseconds: float  # for one proposal
    difference: tuple[float, float, float] | None
    p: float | None  # Wilcoxon's signed-rank test against the leader, corrected for the number of strategies


def by_strategy(courses: Sequence[Course]) -> dict[str, list[Course]]:
    """Group the courses by strategy, in the order of their runs."""
    found: dict[str, list[Course]] = {}
    for course in sorted(courses, key=lambda c: c.run):
        found.setdefault(course.strategy, []).append(course)
    return found


def standings(courses: Sequence[Course]) -> list[Line]:
    """Return the strategies, the best mean score first.

    The p values are two-sided and corrected by Holm's method; the interval of a difference is Student's, uncorrected.
    """
    from scipy.stats import rankdata

    grouped = by_strategy(courses)
    scores = {label: np.array([course.score for course in own]) for label, own in grouped.items()}
    places = rankdata([-values for values in scores.values()], axis=0)  # [strategies, runs], 1 for the best of a run
    ranks = dict(zip(scores, places.mean(1), strict=True))
    order = sorted(scores, key=lambda label: -float(scores[label].mean()))
    leader = scores[order[0]]
    corrected = _holm({label: _wilcoxon(scores[label], leader) for label in order[1:]})
    lines = []
    for label in order:
        own, values = grouped[label], scores[label]
        mean, low, high = mean_interval(values)
        lines.append(
            Line(
                label,
                mean,
                float(values.std()),
                (low, high),
                float(np.mean([course.reward for course in own])),
                float(ranks[label]),
                float(np.mean([course.trials for course in own])),
                1000 * sum(course.own_seconds for course in own) / sum(course.trials for course in own),
                None if label == order[0] else mean_interval(values - leader),
                corrected.get(label),
            )
        )
    return lines


def curves(courses: Sequence[Course], allowed: Allowance) -> list[Curve]:
    """Return the best so far of each strategy, as the budget is used up."""
    used = np.linspace(0, allowed.total, POINTS + 1)[1:]
    found = []
    for label, own in by_strategy(courses).items():
        values = np.array([[course.at(at) for at in used] for course in own], dtype=float)  # None becomes NaN
        complete = np.isfinite(values).all(0)
        mean, low, high = (np.full(len(used), math.nan) for _ in range(3))
        for point in np.flatnonzero(complete):
            mean[point], low[point], high[point] = mean_interval(values[:, point])
        found.append(Curve(label, used, mean, low, high))
    return found


def to_json(courses: Sequence[Course], allowed: Allowance, about: Mapping[str, Any]) -> dict[str, Any]:
    """Return everything as plain data; numbers that are not finite are None."""
    lines, grouped = standings(courses), by_strategy(courses)
    results: dict[str, Any] = _plain(
        {
            "format": 1,
            **about,
            "budget": {"total": allowed.total, "unit": allowed.unit},
            "strategies": [
                {
                    **vars(line),
                    "scores": [course.score for course in grouped[line.label]],
                    "rewards": [course.reward for course in grouped[line.label]],
                }
                for line in lines
            ],
            "anytime": [
                {"label": c.label, **{n: getattr(c, n).tolist() for n in ("used", "mean", "low", "high")}}
                for c in curves(courses, allowed)
            ],
        }
    )
    return results


def table(lines: Sequence[Line]) -> tuple[list[str], list[list[str]]]:
    """Return column names and rows, for people."""
    columns = ["strategy", "score", "std", "95 % interval", "rank", "minus the best", "p", "trials", "ms/proposal"]
    rows = []
    for line in lines:
        low, high = line.interval
        several = math.isfinite(high)  # runs: one alone has no interval, and no test
        gap = ""
        if line.difference is not None:
            gap = ("{:+.3f} [{:+.3f}, {:+.3f}]" if several else "{:+.3f}").format(*line.difference)
        rows.append(
            [
                line.label,
                f"{line.mean:.3f}",
                f"{line.deviation:.3f}",
                f"{low:.3f} to {high:.3f}" if several else "",
                f"{line.rank:.2f}",
                gap,
                "" if line.p is None or not several else "<0.001" if line.p < 0.001 else f"{line.p:.3f}",
                f"{line.trials:.1f}",
                f"{line.own_milliseconds:.1f}",
            ]
        )
    return columns, rows


def _wilcoxon(a: np.ndarray, b: np.ndarray) -> float:
    """Return the p value; 1 where all differences are zero."""
    from scipy.stats import wilcoxon

    difference = a - b
    return 1.0 if not difference.any() else float(wilcoxon(difference, method="auto").pvalue)


def _holm(raw: Mapping[str, float]) -> dict[str, float]:
    corrected: dict[str, float] = {}
    highest = 0.0
    for place, label in enumerate(sorted(raw, key=lambda name: raw[name])):
        highest = max(highest, min(1.0, raw[label] * (len(raw) - place)))
        corrected[label] = highest
    return corrected


def _plain(value: Any) -> Any:
    """Return the value as JSON can hold it: a number that is not finite is None."""
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
