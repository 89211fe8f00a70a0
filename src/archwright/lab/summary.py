"""Summarises a contest: means with intervals, ranks, paired differences, and the best so far over the budget."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

import numpy as np

from archwright.lab.contest import Allowance, Course
from archwright.report.anytime import Curve
from archwright.report.statistics import mean_interval

POINTS = 100  # of an anytime curve
SAME = 1e-9  # two scores that differ by less are one


@dataclass(frozen=True)
class Line:
    """One strategy's result. `difference` is its score minus the leader's, paired by run; None for the leader.

    `regret` is how much worse the score is than the best there is, and `optimal` the share of runs that found that;
    None where it is not known.
    """

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
    regret: float | None = None
    optimal: float | None = None


def by_strategy(courses: Sequence[Course]) -> dict[str, list[Course]]:
    """Group the courses by strategy, in the order of their runs."""
    found: dict[str, list[Course]] = {}
    for course in sorted(courses, key=lambda c: c.run):
        found.setdefault(course.strategy, []).append(course)
    return found


def standings(courses: Sequence[Course], *, less: bool = False, best: float | None = None) -> list[Line]:
    """Return the strategies, the best mean score first; `less`: of the score, less is better.

    The p values are two-sided and corrected by Holm's method; the interval of a difference is Student's, uncorrected.
    """
    from scipy.stats import rankdata

    grouped = by_strategy(courses)
    scores = {label: np.array([course.score for course in own]) for label, own in grouped.items()}
    sign = -1.0 if less else 1.0
    places = rankdata(
        [-sign * values for values in scores.values()], axis=0
    )  # [strategies, runs], 1 for the best of a run
    ranks = dict(zip(scores, places.mean(1), strict=True))
    order = sorted(scores, key=lambda label: -sign * float(scores[label].mean()))
    leader = scores[order[0]]
    corrected = _holm({label: _wilcoxon(scores[label], leader) for label in order[1:]})
    lines = []
    for label in order:
        own, values = grouped[label], scores[label]
        mean, low, high = mean_interval(values)
        deviation, rank = float(values.std()), float(ranks[label])
        reward, trials = (float(np.mean([getattr(course, name) for course in own])) for name in ("reward", "trials"))
        milliseconds = 1000 * sum(course.own_seconds for course in own) / sum(course.trials for course in own)
        difference = None if label == order[0] else mean_interval(values - leader)
        line = Line(
            label, mean, deviation, (low, high), reward, rank, trials, milliseconds, difference, corrected.get(label)
        )
        if best is not None:
            away = sign * (best - values)
            line = replace(line, regret=float(away.mean()), optimal=float((away <= SAME).mean()))
        lines.append(line)
    return lines


def curves(courses: Sequence[Course], allowed: Allowance) -> list[Curve]:
    """Return the best so far of each strategy, as the budget is used up."""
    used = np.linspace(0, allowed.total, POINTS + 1)[1:]
    found = []
    for label, own in by_strategy(courses).items():
        values = np.array([[course.at(at) for at in used] for course in own], dtype=float)  # None becomes NaN
        unknown = (math.nan, math.nan, math.nan)
        points = [mean_interval(at) if np.isfinite(at).all() else unknown for at in values.T]
        found.append(Curve(label, used, *np.array(points).T))
    return found


def to_json(
    courses: Sequence[Course], allowed: Allowance, about: Mapping[str, Any], lines: Sequence[Line]
) -> dict[str, Any]:
    """Return everything as plain data; numbers that are not finite are None."""
    grouped = by_strategy(courses)
    results = {
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
        "anytime": [vars(curve) for curve in curves(courses, allowed)],
    }
    text = json.dumps(results, default=np.ndarray.tolist)
    plain: dict[str, Any] = json.loads(text, parse_constant=lambda _: None)
    return plain


def table(lines: Sequence[Line]) -> tuple[list[str], list[list[str]]]:
    """Return column names and rows, for people."""
    known = any(line.regret is not None for line in lines)
    columns = ["strategy", "score", "std", "95 % interval", *(("regret", "at optimum") if known else ()), "reward"]
    columns += ["rank", "minus the best", "p", "trials", "ms/proposal"]
    rows = []
    for line in lines:
        low, high = line.interval
        several = math.isfinite(high)  # runs: one alone has no interval, and no test
        gap = ("{:+.3f} [{:+.3f}, {:+.3f}]" if several else "{:+.3f}").format(*line.difference or (math.nan,) * 3)
        row = [
            line.label,
            f"{line.mean:.3f}",
            f"{line.deviation:.3f}",
            f"{low:.3f} to {high:.3f}" if several else "",
        ]
        if line.regret is not None and line.optimal is not None:
            row += [f"{line.regret:.3f}", f"{100 * line.optimal:.0f} %"]
        row += [
            f"{line.reward:.3f}",
            f"{line.rank:.2f}",
            "" if line.difference is None else gap,
            "" if line.p is None or not several else "<0.001" if line.p < 0.001 else f"{line.p:.3f}",
            f"{line.trials:.1f}",
            f"{line.own_milliseconds:.1f}",
        ]
        rows.append(row)
    return columns, rows


def _wilcoxon(a: np.ndarray, b: np.ndarray) -> float:
    """Return the p value; 1 where all differences are zero."""
    from scipy.stats import wilcoxon

    difference = a - b
    return 1.0 if not difference.any() else float(wilcoxon(difference, method="auto").pvalue)


def _holm(raw: Mapping[str, float]) -> dict[str, float]:
    order = sorted(raw, key=raw.__getitem__)
    scaled = [min(1.0, raw[label] * (len(raw) - place)) for place, label in enumerate(order)]
    return dict(zip(order, accumulate(scaled, max), strict=True))
