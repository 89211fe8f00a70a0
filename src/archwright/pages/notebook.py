"""What a notebook shows of architectures, trials, results and runs, and of a search while it runs."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from archwright.loop import Result, Trial
from archwright.pages.record import read
from archwright.pages.report import page, view
from archwright.pages.shown import drawing, graphs_for
from archwright.space import Architecture

LINES, OFTEN = 200, 0.5  # lines that stay, and seconds between two pictures of the progress


def as_html(thing: Any) -> str:
    """Return an `Architecture`, a `Trial`, a `Result` or a finished `Run` as HTML, as a notebook shows it."""
    if isinstance(thing, Architecture):
        return page(
            "brief.html", title=f"{thing.space} {thing.id}", drawing=drawing(graphs_for(thing)), rows={}, lines=[]
        )
    if isinstance(thing, Trial):
        rows = {"reward": thing.reward, "seconds": thing.seconds, "error": thing.result.error, **thing.result.metrics}
        title, drawn = f"trial {thing.number}: {thing.architecture.id}", drawing(graphs_for(thing.architecture))
        return page("brief.html", title=title, drawing=drawn, rows=rows, lines=[])
    if isinstance(thing, Result):
        rows = {"reward": thing.reward, "error": thing.error, **thing.metrics}
        return page("brief.html", title="result", drawing=None, rows=rows, lines=[])
    shown = view(read(thing.folder))
    lines = thing.result.get("summary", [])
    return page("brief.html", title=shown["title"], drawing=shown["drawing"], rows={}, lines=lines)


class NotebookView:
    """Implements `runs.telling.View` as the output of a cell."""

    def __init__(self) -> None:
        from IPython.display import HTML, display

        self._html, self._lines = HTML, list[str]()
        self._title, self._share = "starting", 0.0
        self._words: Callable[[], str] = str
        self._drawn = -1.0
        self._handle = display(HTML(""), display_id=True)

    def say(self, text: str) -> None:
        self._lines = [*self._lines[1 - LINES :], text]
        self._draw(now=True)

    def begin(self, title: str) -> None:
        self._title, self._share, self._words = title, 0.0, str
        self._draw(now=True)

    def show(self, share: float, words: Callable[[], str]) -> None:
        self._share, self._words = share, words
        self._draw(now=False)

    def _draw(self, *, now: bool) -> None:
        if not now and time.monotonic() - self._drawn < OFTEN:
            return
        self._drawn = time.monotonic()
        values = {"title": self._title, "share": self._share, "words": self._words(), "lines": self._lines}
        self._handle.update(self._html(page("progress.html", **values)))


def in_notebook() -> bool:
    """Return whether this code runs in a cell of a notebook."""
    shell = sys.modules.get("IPython")
    return shell is not None and type(shell.get_ipython()).__name__ == "ZMQInteractiveShell"
