"""The real command: on a table, on real training with a kill between, and what it says of wrong input."""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from archwright.cli.benching import bench
from archwright.errors import ConfigError
from archwright.lab.strategies import strategies
from archwright.lab.training import Setup
from archwright.runs.planner import UserSettings, make_plan
from command import archwright_command, done
from small_images import noise_data
from small_tables import write_npz

REAL = [
    *("bench", "--data", "digits", "--limit", "64", "--space", "nas-conv", "--strategies", "random,evolution"),
    *("--trials", "2", "--runs", "1", "--epochs", "0.2"),
]
TABLE = ["bench", "--table", "table.npz", "--runs", "5", "--budget", "900s", "--json"]


def test_a_table_is_compared_plotted_and_told(tmp_path: Path) -> None:
    write_npz(tmp_path / "table.npz")
    code, out, err = done(*TABLE, "--strategies", "random,local", cwd=tmp_path)
    assert code == 0, err
    told = json.loads(out.splitlines()[-1])
    assert told == json.loads((tmp_path / "bench" / "bench.json").read_text())
    assert [line["trials"] > 5 for line in told["strategies"]] == [True, True]
    assert told["budget"] == {"total": 900.0, "unit": "seconds of training"}
    assert (tmp_path / "bench" / "bench.png").stat().st_size > 10_000
    assert "minus the best" in err
    code, out, err = done(*TABLE, "--strategies", "random,local,evolution", "--resume", cwd=tmp_path)
    assert code == 0, err
    again = {line["label"]: line["scores"] for line in json.loads(out.splitlines()[-1])["strategies"]}
    assert len(again) == 3
    assert all(again[line["label"]] == line["scores"] for line in told["strategies"])
    code, _, err = done(*TABLE, "--seed", "1", "--resume", cwd=tmp_path)
    assert (code, "name another folder" in err) == (2, True)


def test_a_wrong_word_costs_no_search_that_is_there(tmp_path: Path) -> None:
    """Everything is validated before anything is opened, and nothing is overwritten without being told."""
    words = ["--table", "signals", "--runs", "2", "--budget", "5t", "--out"]
    assert bench([*words, str(tmp_path / "kept"), "--strategies", "random"]) == 0
    kept = {path.name: path.read_bytes() for path in (tmp_path / "kept").iterdir()}
    for wrong, part in (
        (["--strategies", "random,guided+foo=3", "--resume"], "there is no setting 'foo'"),
        (["--strategies", "random,guided+foo=3"], "there is no setting 'foo'"),
        (["--strategies", "random"], "holds 2 searches; --resume keeps them"),
        (["--strategies", "random", "--processes", "0", "--resume"], "at least 1"),
    ):
        with pytest.raises(ConfigError, match=part):
            bench([*words, str(tmp_path / "kept"), *wrong])
        assert {path.name: path.read_bytes() for path in (tmp_path / "kept").iterdir()} == kept
    with pytest.raises(ConfigError, match="there is no setting 'foo'"):
        bench([*words, str(tmp_path / "new"), "--strategies", "guided+foo=3"])
    assert not (tmp_path / "new").exists()


def test_ctrl_c_ends_all_processes_at_once_and_what_has_ended_is_kept(tmp_path: Path) -> None:
    words = ["bench", "--table", "signals", "--strategies", "random", "--budget", "20t", "--processes", "2"]
    process = archwright_command(*words, "--runs", "4000", cwd=tmp_path, start_new_session=True)
    searches = tmp_path / "bench" / "searches.jsonl"
    while process.poll() is None and not (searches.exists() and len(searches.read_text().splitlines()) > 1):
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)  # ends only when the workers, which have the same stderr, have ended
    assert (process.returncode, err.splitlines()[-1]) == (130, "archwright: stopped")
    assert "Traceback" not in err
    kept = searches.read_text().splitlines()
    code, _, err = done(*words, "--runs", "2", "--resume", cwd=tmp_path)
    assert code == 0, err
    assert set(kept[1:]) <= set(searches.read_text().splitlines())


def test_real_training_goes_on_after_a_kill_to_the_same_end(tmp_path: Path) -> None:
    whole = done(*REAL, "--out", "whole", cwd=tmp_path)
    assert whole[0] == 0, whole[2]
    process = archwright_command(*REAL, "--out", "cut", cwd=tmp_path)
    children = tmp_path / "cut" / "children.jsonl"
    while not children.exists() and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    (tmp_path / "cut" / "evolution-0").mkdir(exist_ok=True)
    (tmp_path / "cut" / "evolution-0" / "run.sqlite").touch()  # as a kill leaves it that comes a little later
    unfinished = tmp_path / "cut" / f"bench.json.{'0' * 16}.tmp"
    unfinished.touch()
    again = done(*REAL, "--out", "cut", cwd=tmp_path)
    assert again[0] == 0, again[2]
    results = [json.loads((tmp_path / name / "bench.json").read_text()) for name in ("whole", "cut")]
    assert results[0]["test"] == results[1]["test"]
    assert [line["scores"] for line in results[0]["strategies"]] == [
        line["scores"] for line in results[1]["strategies"]
    ]
    assert "about" in whole[2]
    assert not unfinished.exists()


def test_a_folder_holds_one_comparison(tmp_path: Path) -> None:
    data = noise_data()
    plans = [
        make_plan(
            data,
            UserSettings(space="enas-micro", settings={"evaluator": "from-scratch", **settings}),
            data_name="digits",
            data_options={},
            device="cpu",
            timed=False,
        )
        for settings in ({}, {"trials": 7})
    ]
    one, other = (Setup(plan, data, strategies("random"), 1, tmp_path / "held") for plan in plans)
    one.begin()
    replace(one, runs=2, strategies=strategies("random,local")).begin()
    with pytest.raises(ConfigError, match="holds another comparison: its trials is 20, here it is 7"):
        other.begin()


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ([], "name what is searched"),
        (["--table", "nothing.npz"], "there is no such file"),
        (["--table", "signals", "--budget", "none"], "expected seconds of training"),
        (["--table", "signals", "--strategies", "magic"], "is not a strategy"),
        (["--table", "signals", "--runs", "0"], "at least 1"),
        (["--table", "signals", "--processes", "0"], "at least 1"),
        (["--table", "signals", "--trials", "9"], "--budget 100t"),
        (["--table", "signals", "--strategies", "evolution+populace=3"], "opulation, sample, first"),
        (
            ["--table", "signals", "--strategies", "ppo+clips=3"],
            "'clips'; did you mean clip? There are clip, epochs, gradient_clip",
        ),
        (["--table", "signals", "--strategies", "ppo+unit=3"], "units, layers"),
        (["--data", "digits", "--budget", "9s"], "--trials"),
        (["--data", "digits", "--runs", "0"], "at least 1"),
        (["--data", "digits", "--limit", "64", "--strategies", "random+a=1"], "there is no setting 'a'"),
        (["--data", "topics", "--space", "nas-recurrent"], "classifiers"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_wrong_input_is_one_line_and_exit_code_2(words: list[str], part: str, tmp_path: Path) -> None:
    code, _, err = done("bench", *words, cwd=tmp_path)
    assert code == 2
    assert part in err
    assert len(err.strip().splitlines()) == 1
