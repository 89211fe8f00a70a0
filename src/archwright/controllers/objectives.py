"""The values of several objectives in a trial."""

from __future__ import annotations

from collections.abc import Sequence

from archwright.loop import Trial


def values_of(trial: Trial, objectives: Sequence[str]) -> tuple[float, ...] | None:
    """Return the trial's values by the names of metrics; None of a trial that failed, or without objectives."""
    if not objectives or trial.result.error is not None:
        return None
    return tuple(trial.result.metrics[name] for name in objectives)
