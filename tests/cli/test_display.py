"""The view of a run."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from archwright.cli import display
from archwright.loop import Progress
from archwright.runs import telling
from archwright.runs.events import Event, Stage

Show = Callable[[Event], str]


@pytest.fixture
def show(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Show:
    """What is printed of an event, each 20 seconds after the one before."""
    now = [0.0]
    monkeypatch.setattr(telling.time, "monotonic", lambda: now[0])
    shown = display.Display(json_output=False)

    def printed(event: Event) -> str:
        shown(event)
        now[0] += 20.0
        return capsys.readouterr().out

    return printed


def test_time_left_is_by_what_this_process_did(show: Show) -> None:
    show(Stage("search", 1000.0, 1060.0))
    lines = [show(Progress("search", step, 100)) for step in range(41, 61)]  # 40 children of an earlier process
    # 20 children in 400 s leave 800 s for 40, and 60 s for later stages.
    assert "search 60/100, 14 min left" in lines[-1]


def test_the_steps_of_a_round_say_nothing_of_the_search(show: Show) -> None:
    show(Stage("search", 100.0, 100.0))
    assert "shared weights 9/10, loss 2.000, 80 s left" in show(Progress("shared weights", 9, 10, {"loss": 2.0}))
