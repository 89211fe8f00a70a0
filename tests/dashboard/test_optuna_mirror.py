"""Runs as studies of Optuna: the same trials, followed, served to this machine alone."""

from __future__ import annotations

import http.client
import json
import threading
from pathlib import Path

import pytest

from archwright.dashboard.optuna_mirror import Mirror, server
from archwright.loop import Proposal, Result, Trial
from archwright.space import Architecture
from archwright.store import RunStore
from made_runs import add_trials, finished, under_way

optuna = pytest.importorskip("optuna", reason="the extra optuna is not installed")


def states(mirror: Mirror, name: str) -> list[str]:
    return [trial.state.name for trial in optuna.load_study(study_name=name, storage=mirror.storage).trials]


def test_a_study_has_the_trials_of_its_run_and_follows_it(tmp_path: Path) -> None:
    mirror = Mirror()
    with under_way(tmp_path / "run", trials=4) as store:
        assert mirror.update([tmp_path / "run"]) == []
        assert states(mirror, "run") == ["RUNNING"] * 2 + ["COMPLETE"] * 4
        pending = [
            Trial(n, Proposal(n, store.architecture(n)), Result(0.0, {}, "Diverged: nan"), 1.0)
            for n, *_ in store.pending()
        ]
        store.told(pending[:1], None)
        add_trials(store, 2, begin=30)
        mirror.update([tmp_path / "run"])
        mirror.update([tmp_path / "run"])
    assert states(mirror, "run") == ["FAIL", "RUNNING"] + ["COMPLETE"] * 6
    study = optuna.load_study(study_name="run", storage=mirror.storage)
    with RunStore.reading(tmp_path / "run") as store:
        best = max(trial.reward for trial in store.trials())
    assert study.best_value == best
    assert study.best_trial.params["normal/2/left/op:op"] in ("sep_3x3", "sep_5x5", "avg_3x3", "max_3x3", "identity")
    assert study.trials[0].user_attrs["error"] == "Diverged: nan"


def test_what_cannot_be_read_and_spaces_of_ones_own_hide_nothing(tmp_path: Path) -> None:
    finished(tmp_path / "good", trials=3)
    with RunStore(tmp_path / "own", create=True) as store:
        own = Proposal(0, Architecture("mine", (), (("layer", "conv"),)))
        store.proposed([(0, own)], 1)
        store.told([Trial(0, own, Result(0.5), 1.0)], None)
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "run.sqlite").write_bytes(b"nothing")
    mirror = Mirror()
    problems = mirror.update([tmp_path / "bad", tmp_path / "good", tmp_path / "own"])
    assert (len(problems), "bad" in problems[0]) == (1, True)
    assert states(mirror, "own") == ["COMPLETE"]
    assert len(states(mirror, "good")) == 3


def test_the_dashboard_of_optuna_answers_this_machine_only(tmp_path: Path) -> None:
    pytest.importorskip("optuna_dashboard", reason="the extra optuna is not installed")
    mirror = Mirror()
    mirror.update([finished(tmp_path / "photos", trials=3)])
    serving = server(mirror, "127.0.0.1", 0)
    thread = threading.Thread(target=serving.serve_forever, daemon=True)
    thread.start()
    try:
        answers = []
        for host in (f"127.0.0.1:{serving.server_port}", "example.com"):
            connection = http.client.HTTPConnection("127.0.0.1", serving.server_port, timeout=20)
            connection.request("GET", "/api/studies", headers={"Host": host})
            answer = connection.getresponse()
            answers.append((answer.status, answer.read()))
            connection.close()
    finally:
        serving.shutdown()
        thread.join()
        serving.server_close()
    assert [status for status, _ in answers] == [200, 421]
    assert json.loads(answers[0][1])["study_summaries"][0]["study_name"] == "photos"
