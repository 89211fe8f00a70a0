"""The real command: on a table, on real training with a kill between, and what it says of wrong input."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest
from command import archwright_command, done

from small_tables import write_npz

REAL = [
    "bench",
    "--data",
    "digits",
    "--strategies",
    "random,evolution",
    "--trials",
    "3",
    "--runs",
    "1",
    "--epochs",
    "0.05",
]


def test_a_table_is_compared_plotted_and_told(tmp_path: Path) -> None:
    write_npz(tmp_path / "table.npz")
    words = [
        "bench",
        "--table",
        "table.npz",
        "--strategies",
        "random,local",
        "--runs",
        "5",
        "--budget",
        "900s",
        "--json",
    ]
    code, out, err = done(*words, cwd=tmp_path)
    assert code == 0, err
    told = json.loads(out.splitlines()[-1])
    assert told == json.loads((tmp_path / "bench" / "bench.json").read_text())
    assert [line["label"] for line in told["strategies"]] == ["local", "random"]
    assert told["budget"] == {"total": 900.0, "unit": "seconds of training"}
    assert (tmp_path / "bench" / "bench.png").stat().st_size > 10_000
    assert "minus the best" in err


def test_real_training_goes_on_after_a_kill_to_the_same_end(tmp_path: Path) -> None:
    whole = done(*REAL, "--out", "whole", cwd=tmp_path)
    assert whole[0] == 0, whole[2]
    process = archwright_command(*REAL, "--out", "cut", cwd=tmp_path)
    children = tmp_path / "cut" / "children.jsonl"
    while not children.exists() and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    again = done(*REAL, "--out", "cut", cwd=tmp_path)
    assert again[0] == 0, again[2]
    results = [json.loads((tmp_path / name / "bench.json").read_text()) for name in ("whole", "cut")]
    assert results[0]["test"] == results[1]["test"]
    assert [line["scores"] for line in results[0]["strategies"]] == [
        line["scores"] for line in results[1]["strategies"]
    ]
    assert "about" in whole[2]
    code, _, err = done(*REAL[:-1], "0.1", "--out", "cut", cwd=tmp_path)
    assert code == 2
    assert "holds another comparison" in err


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ([], "name what is searched"),
        (["--table", "nothing.npz"], "there is no such file"),
        (["--table", "signals", "--budget", "none"], "expected seconds of training"),
        (["--table", "signals", "--strategies", "magic"], "is not a strategy"),
        (["--table", "signals", "--runs", "0"], "at least 1"),
        (["--data", "topics", "--space", "nas-recurrent"], "classifiers"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_wrong_input_is_one_line_and_exit_code_2(words: list[str], part: str, tmp_path: Path) -> None:
    code, _, err = done("bench", *words, cwd=tmp_path)
    assert code == 2
    assert part in err
    assert len(err.strip().splitlines()) == 1
