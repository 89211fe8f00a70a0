"""The view of a run."""

from __future__ import annotations

import pytest

from archwright.cli import display
from archwright.loop import Progress
from archwright.runs.events import Stage


def test_time_left_is_by_what_this_process_did(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    monkeypatch.setattr(display.time, "monotonic", lambda: now[0])
    shown = display.Display(json_output=False)
    shown(Stage("search", 1000.0, 1060.0))
    for step in range(41, 61):  # 40 of 100 children were trained before the run was resumed
        now[0] += 2.0
        shown(Progress("search", step, 100))
    assert "search 60/100, 2 min left" in capsys.readouterr().out


def test_the_steps_of_a_round_say_nothing_of_the_search(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    monkeypatch.setattr(display.time, "monotonic", lambda: now[0])
    shown = display.Display(json_output=False)
    shown(Stage("search", 100.0, 100.0))
    now[0] = 20.0
    shown(Progress("shared weights", 9, 10, {"loss": 2.0}))
    assert "shared weights 9/10, loss 2.000, 80 s left" in capsys.readouterr().out
