"""The view of a run: a live panel on a terminal, plain lines elsewhere, both on standard error with `--json`."""

from __future__ import annotations

from contextlib import AbstractContextManager

from archwright.cli.progress import ProgressView
from archwright.runs.events import Event
from archwright.runs.telling import Telling


class Display(AbstractContextManager["Display"]):
    """Shows the events it is called with."""

    def __init__(self, *, json_output: bool) -> None:
        self._view = ProgressView(json_output=json_output)
        self._telling = Telling(self._view)
        self.say = self._view.say

    def __enter__(self) -> Display:
        self._view.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._view.__exit__()

    def __call__(self, event: Event) -> None:
        self._telling(event)
