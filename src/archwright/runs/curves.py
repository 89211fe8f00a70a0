"""The course of each training, kept in the run folder for its pictures: `curve/NAME` is a fact of the run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from archwright.loop import Progress
    from archwright.store import RunStore
    from archwright.training.fit import Fit

PIECES = 200  # of a training; each leaves a point, and so does every validation


class Curve:
    """The figures of some steps: which ones depends on the training alone, whenever it was killed.

    Record it with `save` before the state of the training is recorded: points of steps that a kill takes back are
    dropped when it goes on.
    """

    def __init__(self, store: RunStore, name: str, fit: Fit) -> None:
        self._store, self._key = store, f"curve/{name}"
        kept: list[Any] = store.get(self._key, {}).get("points", [])
        self._points = [point for point in kept if point[0] <= fit.step]

    def see(self, progress: Progress, *, ends_epoch: bool) -> None:
        """Add a step, if it is one of those that are kept."""
        every = max(1, progress.steps // PIECES)
        if progress.step % every and not (ends_epoch and "validation_loss" in progress.metrics):
            return
        figures = {name: float(f"{value:.5g}") for name, value in progress.metrics.items()}
        self._points.append([progress.step, figures])

    def save(self, fit: Fit) -> None:
        """Record the points so far."""
        self._store.put(self._key, {"steps": fit.steps, "per_epoch": fit.per_epoch, "points": self._points})
