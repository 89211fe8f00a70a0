"""The view of a run: a live panel on a terminal, plain lines elsewhere, both on standard error with `--json`."""

from __future__ import annotations

import math
import time
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from archwright.loop import Progress
from archwright.runs.events import Event, Message, Scored, Stage

if TYPE_CHECKING:
    from rich.console import Console

PLAIN_SECONDS = 10.0  # between two plain lines inside a phase


class Display(AbstractContextManager["Display"]):
    """Shows the events it is called with."""

    def __init__(self, *, json_output: bool) -> None:
        from rich.console import Console

        self.console: Console = Console(stderr=json_output, highlight=False)
        self._live: Any = None
        self._stage = Stage("", 0.0, 0.0)
        self._progress = Progress("", 0, 1)
        self._figures: dict[str, float] = {}
        self._trials, self._best, self._failed = 0, -math.inf, 0
        self._began = self._printed = time.monotonic()
        self._share = 0.0  # of the stage that was done when it was first heard of, in a run that goes on

    def __enter__(self) -> Display:
        if self.console.is_terminal:
            from rich.live import Live

            self._live = Live(get_renderable=self._panel, console=self.console, refresh_per_second=4, transient=True)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def say(self, text: str) -> None:
        """A line that stays."""
        from rich.text import Text

        self.console.print(Text(text), soft_wrap=True)

    def __call__(self, event: Event) -> None:
        """Show an event."""
        if isinstance(event, Message):
            self.say(event.text)
            return
        if isinstance(event, Stage):
            self._stage, self._began, self._share = event, time.monotonic(), -1.0
            self._progress = Progress(event.name, 0, 1)
            self.say(f"{event.name} (about {_minutes(event.seconds)}; {_minutes(event.remaining)} to the end)")
            self._printed = time.monotonic()
            return
        if isinstance(event, Scored):
            self._trials = event.trial.number + 1
            self._figures = event.figures
            if event.trial.result.error is None:
                self._best = max(self._best, event.trial.reward)
            else:
                self._failed += 1
                self.say(f"trial {event.trial.number} failed: {event.trial.result.error}")
        else:
            self._progress = event
            if self._share < 0:
                self._share = (event.step - 1) / max(1, event.steps)
        if self._live is None and time.monotonic() - self._printed >= PLAIN_SECONDS:
            self._printed = time.monotonic()
            self.say("  " + self._line())

    def _line(self) -> str:
        metrics = self._progress.metrics
        parts = [f"{self._progress.phase} {self._progress.step}/{self._progress.steps}"]
        names = {"epoch": "epoch {:.0f}", "loss": "loss {:.3f}", "accuracy": "accuracy {:.3f}"}
        parts += [text.format(metrics[name]) for name, text in names.items() if name in metrics]
        if self._stage.name == "search" and self._trials:
            if self._progress.phase != self._stage.name:  # otherwise they are what is counted
                parts.append(f"trial {self._trials}")
            figures = {"reward": "reward {:.4g}", "baseline": "baseline {:.4g}", "entropy": "entropy {:.3f}"}
            figures["staleness"] = "{:.0f} updates late"  # of a search by replicas
            parts += [text.format(self._figures[name]) for name, text in figures.items() if name in self._figures]
            parts.append(f"best {self._best:.4g}")
            if self._failed:
                parts.append(f"{self._failed} failed")
        return ", ".join([*parts, f"{_minutes(self._left())} left"])

    def _left(self) -> float:
        used = time.monotonic() - self._began
        later = max(0.0, self._stage.remaining - self._stage.seconds)
        share = self._progress.step / max(1, self._progress.steps)
        # The steps of shared training are those of a round, not of the search.
        if self._progress.phase != self._stage.name or not share > self._share >= 0:
            return max(0.0, self._stage.seconds - used) + later
        return used * (1 - share) / (share - self._share) + later

    def _panel(self) -> Any:
        from rich.panel import Panel
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        grid = Table.grid(expand=True)
        bar = ProgressBar(total=max(1, self._progress.steps), completed=self._progress.step)
        grid.add_row(bar)
        grid.add_row(Text(self._line()))
        return Panel(grid, title=f"archwright: {self._stage.name or 'starting'}", title_align="left")


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
