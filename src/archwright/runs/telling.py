"""Tells what a run is doing, by its events: the same on a terminal, in a notebook, and of another process's run."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable
from typing import Protocol

from archwright.components import space_for
from archwright.loop import Progress, Trial
from archwright.report.words import duration
from archwright.runs.events import Event, Message, Stage
from archwright.space import Architecture, operations_of


class View(Protocol):
    """Where it is told."""

    def say(self, text: str) -> None:
        """Show a line, which stays."""

    def begin(self, title: str) -> None:
        """Begin a stage."""

    def show(self, share: float, words: Callable[[], str]) -> None:
        """Show the share of the stage that is done; `words` are asked for whenever they are shown."""


class Telling:
    """Tells the events it is called with."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._stage = Stage("", 0.0, 0.0)
        self._progress = Progress("", 0, 1)
        self._figures: dict[str, float] = {}
        self._trials, self._best, self._failed = 0, -math.inf, 0
        self._soft: Architecture | None = None  # what soft weights stand for: their rewards rank nothing
        self._began = time.monotonic()
        self._share = 0.0  # of the stage that was done at its first event, in a run that goes on

    def __call__(self, event: Event) -> None:
        if isinstance(event, Message):
            self._view.say(event.text)
            return
        if isinstance(event, Stage):
            self._stage, self._began, self._share = event, time.monotonic(), -1.0
            self._progress = Progress(event.name, 0, 1)
            self._view.say(f"{event.name} (about {duration(event.seconds)}; {duration(event.remaining)} to the end)")
            self._view.begin(event.name)
            return
        if isinstance(event, Trial):
            self._trials = event.number + 1
            self._figures = {**self._figures, **event.figures}
            if event.proposal.soft is not None:
                self._soft = event.architecture
            if event.result.error is None:
                self._best = max(self._best, event.reward)
            else:
                self._failed += 1
                self._view.say(f"trial {event.number} failed: {event.result.error}")
        else:
            self._progress = event
            if self._share < 0:
                self._share = (event.step - 1) / max(1, event.steps)
        self._view.show(self._progress.step / max(1, self._progress.steps), self._line)

    def _line(self) -> str:
        metrics = self._progress.metrics
        parts = [f"{self._progress.phase} {self._progress.step}/{self._progress.steps}"]
        names = {"epoch": "epoch {:.0f}", "loss": "loss {:.3f}", "accuracy": "accuracy {:.3f}"}
        parts += [text.format(metrics[name]) for name, text in names.items() if name in metrics]
        if self._stage.name == "search" and self._trials:
            if self._progress.phase != self._stage.name:  # otherwise the steps are the trials
                parts.append(f"trial {self._trials}")
            figures = {"reward": "reward {:.4g}", "baseline": "baseline {:.4g}", "entropy": "entropy {:.3f}"}
            figures |= {"skips": "skips {:.0%}", "staleness": "{:.0f} updates late"}  # of soft weights; by replicas
            parts += [text.format(self._figures[name]) for name, text in figures.items() if name in self._figures]
            parts.append(_strongest(self._soft) if self._soft is not None else f"best {self._best:.4g}")
            if self._failed:
                parts.append(f"{self._failed} failed")
        return ", ".join([*parts, f"{duration(self._left())} left"])

    def _left(self) -> float:
        used = time.monotonic() - self._began
        later = max(0.0, self._stage.remaining - self._stage.seconds)
        share = self._progress.step / max(1, self._progress.steps)
        # The steps of shared training are those of a round, not of the search.
        if self._progress.phase != self._stage.name or not share > self._share >= 0:
            return max(0.0, self._stage.seconds - used) + later
        return used * (1 - share) / (share - self._share) + later


def _strongest(architecture: Architecture) -> str:
    """Return the operations that soft weights find strongest, with how many there are of each."""
    counts = Counter(operations_of(space_for(architecture), architecture))
    return "strongest " + " ".join(f"{count}x{name}" for name, count in counts.most_common())
