"""Searches for several objectives are judged by the volume that their front dominates (Zitzler & Thiele 1999)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from archwright.controllers.hypervolume import hypervolume
from archwright.evaluators.table import Table
from archwright.fronts import front
from archwright.loop import Trial

Points = list[tuple[float, ...]]


def bounded(table: Table, rows: Iterable[Mapping[str, float]]) -> Table:
    """Return a table of several objectives with the worst of each as the reference, and the volumes of all rows."""
    figures = list(rows)
    seen = [table.aims.values(row) for row in figures]
    reference = tuple(np.min(seen, axis=0).tolist())
    kept = [_scored(table, row, values) for row, values in zip(figures, seen, strict=True)]
    reference = tuple(np.minimum(reference, np.min(kept, axis=0)).tolist())
    whole = tuple(_volume(points, reference) for points in (seen, kept))
    return replace(table, reference=reference, whole=whole, best=100.0)


def improvements(table: Table, ended: Sequence[tuple[float, Trial]]) -> tuple[tuple[float, float, float], ...]:
    """Return (used, reward, score) whenever the front of what a search saw has changed.

    Both are volumes in per cent of the table's: of the front by what the search saw, and of the same architectures by
    the table's score in the place of the first objective.
    """
    found: list[tuple[float, float, float]] = []
    trials: list[tuple[tuple[float, ...], tuple[float, ...]]] = []  # of the front: seen, and scored
    for used, trial in ended:
        if trial.result.error is not None:
            continue
        figures = table.look(trial.architecture)
        seen = table.aims.values(figures)
        everything = [*trials, (seen, _scored(table, figures, seen))]
        kept = [everything[place] for place in front([values for values, _ in everything])]
        if kept != trials:
            trials = kept
            shares = [
                100 * _volume([pair[part] for pair in kept], table.reference) / table.whole[part] for part in (0, 1)
            ]
            found.append((float(used), *shares))  # type: ignore[arg-type]  # two
    return tuple(found)


def _scored(table: Table, figures: Mapping[str, float], seen: tuple[float, ...]) -> tuple[float, ...]:
    return (float(figures[table.score]), *seen[1:])


def _volume(points: Points, reference: Sequence[float]) -> float:
    best = [points[place] for place in front(points)] if len(points) < 1000 else points
    return hypervolume(np.array(best), np.array(reference))
