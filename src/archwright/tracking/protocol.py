"""What a tracker is told of a run, and the protocol of trackers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from archwright.loop import Trial
from archwright.space import Architecture

PICTURES, PAGES = (".png",), (".md", ".html", ".json", ".yaml", ".svg")


@dataclass(frozen=True)
class TrackedRun:
    """A run as trackers know it: its name, its folder, and its plan as settings with dotted names."""

    name: str
    folder: Path
    settings: Mapping[str, Any]

    def files(self, *suffixes: str) -> list[Path]:
        """Return the files of the run folder with these suffixes; links are left out, they could lead anywhere."""
        there = (path for path in sorted(self.folder.iterdir()) if path.suffix in suffixes)
        return [path for path in there if path.is_file() and not path.is_symlink()]

    @property
    def model(self) -> Path | None:
        """The folder of the delivered model, once there is one."""
        folder = self.folder / "model"
        return folder if folder.is_dir() and not folder.is_symlink() else None


class Tracker(Protocol):
    """Keeps what happens in one run. All calls come from one thread, which is not the run's.

    Whatever a call raises ends the tracking with a warning, and never the run.
    """

    where: str  # where the tracked run is, for people; set by `begin`

    def begin(self, run: TrackedRun, known: str | None) -> str:
        """Begin a tracked run, or go on with the `known` one; return what finds it again."""

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Take values at a step; each name has steps of its own, and may get one twice after a kill."""

    def trial(self, trial: Trial) -> None:
        """Take a trial, as a run inside the run where there is such a thing."""

    def artefacts(self, run: TrackedRun) -> None:
        """Take the pictures, pages and model of a run that has ended."""

    def end(self, state: str) -> None:
        """End, with everything written: "finished", "stopped" (resume may go on) or "failed"."""


def flat(values: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Return nested settings as one mapping with dotted names; what is not given is left out."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{before}{name}.")
        elif value is not None:
            found[f"{before}{name}"] = value
    return found


def trial_values(trial: Trial) -> dict[str, float]:
    """Return the numbers of a trial: reward, seconds, what was measured, and the controller's figures."""
    if trial.result.error is not None:
        return {"trial/seconds": trial.seconds, "trial/failed": 1.0}
    values = {"trial/reward": trial.reward, "trial/seconds": trial.seconds}
    values |= {f"trial/{name}": float(value) for name, value in trial.result.metrics.items()}
    return values | {f"figures/{name}": float(value) for name, value in trial.figures.items()}


def answers(architecture: Architecture) -> dict[str, str]:
    """Return the decisions of an architecture as settings."""
    return {name: str(answer) for name, answer in architecture.answers}
