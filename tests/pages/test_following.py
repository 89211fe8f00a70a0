"""Following a run of another process, and what notebooks show."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest

import archwright
from archwright.__main__ import main
from archwright.loop import Proposal, Result, Trial
from archwright.pages import notebook
from archwright.pages.follow import follow
from archwright.pages.record import Status
from archwright.runs.events import Message, Stage
from archwright.runs.telling import Telling
from archwright.space import sample
from archwright.store import RunStore
from made_runs import HOSTILE, SPACE, add_trials, failed, finished, under_way


def test_events_are_those_of_the_run_until_nobody_is_at_it(tmp_path: Path) -> None:
    store = under_way(tmp_path / "run")
    seen = []
    for event in follow(tmp_path / "run", every=0.01):
        seen.append(event)
        if isinstance(event, Trial) and event.number == 24:
            add_trials(store, 2, begin=60)
            store.put_all({"warnings": ["too early"], "done/search": True})
        if isinstance(event, Stage) and event.name == "derive":
            store.close()
    trials = [event.number for event in seen if isinstance(event, Trial)]
    assert trials[1:] == [24, 60, 61]
    assert [event.name for event in seen if isinstance(event, Stage)] == ["search", "derive"]
    assert Message("warning: too early") in seen
    assert seen[-1] == Status("stopped", "in derive")


def test_a_run_that_has_ended_is_said_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert list(follow(failed(tmp_path / "failed"))) == [
        Status("failed", "in derive: RunError: every trial of the search failed")
    ]
    assert main(["watch", str(tmp_path / "failed")]) == 0
    assert "archwright resume" in capsys.readouterr().out
    assert main(["watch", str(finished(tmp_path / "one"))]) == 0
    assert "test accuracy    91.25 %" in capsys.readouterr().out
    assert main(["watch", str(tmp_path)]) == 2
    assert main(["watch", str(tmp_path / "one"), "--every", "0"]) == 2


def test_a_notebook_shows_architectures_trials_results_and_runs(tmp_path: Path) -> None:
    architecture = sample(SPACE, 3)
    assert "<svg" in architecture._repr_html_()
    assert architecture.id in architecture._repr_html_()
    trial = Trial(7, Proposal(7, architecture), Result(0.5, {"accuracy": 0.25}, HOSTILE), 1.0)
    assert "trial 7" in trial._repr_html_()
    for text in (trial._repr_html_(), trial.result._repr_html_()):
        assert "0.25" in text
        assert "<script" not in text
        assert "<img" not in text
    folder = finished(tmp_path / "run")
    with RunStore(folder) as store:
        store.put("result", {**store.get("result"), "summary": [HOSTILE, "test accuracy    91.25 %"]})
    shown = archwright.load(folder)._repr_html_()
    assert "91.25 %" in shown
    assert "<svg" in shown
    assert "<script" not in shown


def test_progress_in_a_notebook_has_the_words_of_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    handle = types.SimpleNamespace(update=shown.append)
    display = types.SimpleNamespace(HTML=lambda text: text, display=lambda *_, **__: handle)
    monkeypatch.setitem(sys.modules, "IPython", types.ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    monkeypatch.setattr(notebook, "OFTEN", 0.0)
    tell = Telling(notebook.NotebookView())
    tell(Message(HOSTILE))
    tell(Stage("search", 10.0, 30.0))
    tell(Trial(0, Proposal(0, sample(SPACE, 1)), Result(0.75), 1.0))
    assert "<script" not in shown[-1]
    assert "archwright: search" in shown[-1]
    assert "best 0.75" in shown[-1]
    assert "<progress" in shown[-1]


def test_it_is_a_notebook_where_a_kernel_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    class ZMQInteractiveShell: ...

    shell = types.ModuleType("IPython")
    monkeypatch.setitem(sys.modules, "IPython", shell)
    shell.get_ipython = lambda: None  # type: ignore[attr-defined]
    assert not notebook.in_notebook()
    shell.get_ipython = ZMQInteractiveShell  # type: ignore[attr-defined]
    assert notebook.in_notebook()
