"""Progress on a console: a panel with a bar on a terminal, a line every ten seconds elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from archwright.cli.hanging import progressed
from archwright.errors import RunError
from archwright.report.escape import for_terminal
from archwright.report.words import duration

if TYPE_CHECKING:
    from rich.console import Console

PLAIN_SECONDS = 10.0  # between two plain lines of a stage


class OutputClosed(RunError):
    """The program that reads standard output has ended."""


class ProgressView(AbstractContextManager["ProgressView"]):
    """Shows how far a stage is, on standard error with `json_output`."""

    def __init__(self, *, json_output: bool) -> None:
        from rich.console import Console

        class Terminal(Console):
            def on_broken_pipe(self) -> None:
                raise OutputClosed("nobody reads the output any more, so this command has ended, too")

        self.console: Console = Terminal(stderr=json_output, highlight=False)
        self._live: Any = None
        self.begin("starting")

    def __enter__(self) -> ProgressView:
        if self.console.is_terminal:
            from rich.live import Live

            self._live = Live(get_renderable=self._panel, console=self.console, refresh_per_second=4, transient=True)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def say(self, text: str) -> None:
        """Print one line, which stays."""
        from rich.text import Text

        progressed()
        self.console.print(Text(for_terminal(text)), soft_wrap=True)

    def begin(self, title: str) -> None:
        """Begin a stage; its first plain line comes after ten seconds."""
        progressed()
        self._title, self._share = title, 0.0
        self._words: Callable[[], str] = str
        self._began = self._printed = time.monotonic()

    def show(self, share: float, words: Callable[[], str]) -> None:
        """Show the share of the stage that is done; `words` are asked for whenever they are drawn or printed."""
        progressed()
        self._share, self._words = share, words
        if self._live is None and time.monotonic() - self._printed >= PLAIN_SECONDS:
            self._printed = time.monotonic()
            self.say("  " + words())

    def count(self, done: int, total: int, things: str, *, earlier: int = 0) -> None:
        """Show `done` of `total` things, and the time left at the pace since `begin`; `earlier` ones took no time."""
        left = (time.monotonic() - self._began) / max(1, done - earlier) * (total - done)
        self.show(done / max(1, total), lambda: f"{done} of {total} {things}, about {duration(left)} left")

    def _panel(self) -> Any:
        from rich.console import Group
        from rich.panel import Panel
        from rich.progress_bar import ProgressBar
        from rich.text import Text

        content = Group(ProgressBar(total=1.0, completed=self._share), Text(for_terminal(self._words())))
        return Panel(content, title=f"archwright: {self._title}", title_align="left")
