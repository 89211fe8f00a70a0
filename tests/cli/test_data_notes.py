"""Every command that reads data says what is wrong with it, before it trains anything."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

import archwright
from archwright.cli.commands import dispatch
from archwright.runs.events import Message

WARNING = "5 of 20 test images are in the training part too; test accuracy will be too high"
NOTE = "not used from data.npz: 1 arrays (weather)"
SMALL = ["--space", "enas-micro", "--space.nodes", "1", "--space.filters", "4", "--space.repeats", "1"]
SMALL += ["--trials", "2", "--trials-per-epoch", "2", "--samples", "1", "--warmup", "0", "--device", "cpu"]
SMALL += ["--search-recipe.epochs", "1", "--final-recipe.epochs", "1", "--final-space.repeats", "1"]
SMALL += ["--data", "data.npz"]
BENCH = ["bench", "--data", "data.npz", "--space", "nas-conv", "--strategies", "random", "--runs", "1", "--trials", "1"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data, of which test images are in the training part too, and a run on it."""
    folder = tmp_path_factory.mktemp("notes")
    rng = np.random.default_rng(0)
    x, test = rng.integers(0, 255, (60, 8, 8), dtype=np.uint8), rng.integers(0, 255, (20, 8, 8), dtype=np.uint8)
    test[:5] = x[:5]
    parts = {"x_train": x, "y_train": np.arange(60) % 2, "x_val": 255 - x[:20], "y_val": np.arange(20) % 2}
    np.savez(folder / "data.npz", **parts, x_test=test, y_test=np.arange(20) % 2, weather=np.zeros(3))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert dispatch("search", [*SMALL, "--run", "run", "--json"]) == 0
    return folder


@pytest.fixture(autouse=True)
def copied(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(run, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    "words",
    [
        ["check", "data.npz"],
        ["search", *SMALL, "--dry-run"],
        ["search", *SMALL, "--run", "new"],
        ["resume", "run"],
        ["finish", "run"],
        ["compare", "run", "--baseline", "--no-pictures"],
        ["transfer", "run", "--data", "data.npz", "--repeats", "1", "--filters", "4", "--dry-run"],
        [*BENCH, "--dry-run"],
    ],
    ids=lambda words: " ".join([words[0], *(word for word in words if word == "--dry-run")]),
)
def test_a_command_says_what_is_wrong_with_its_data(words: Sequence[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert dispatch(words[0], words[1:]) == 0
    assert {WARNING, NOTE} <= said(capsys)


def said(capsys: pytest.CaptureFixture[str]) -> set[str]:
    lines = "".join(capsys.readouterr()).splitlines()
    return {line.removeprefix("warning").removeprefix("note").strip(": ") for line in lines}


def test_what_is_written_says_it_too(capsys: pytest.CaptureFixture[str]) -> None:
    train = ["train", "run", "--data", "data.npz", "--epochs", "1", "--to", "trained"]
    for words in (["rank", "run", "--architectures", "3", "--epochs", "0.1"], [*BENCH, "--epochs", "1"], train):
        assert dispatch(words[0], words[1:]) == 0
        assert {WARNING, NOTE} <= said(capsys), words[0]
    for file in ("run/result.json", "run/ranking.json", "bench-training/bench.json", "trained/result.json"):
        written = json.loads(Path(file).read_text())
        assert WARNING in written["data_warnings"], file
        assert NOTE in written["data_notes"], file
    assert WARNING in Path("run/report.md").read_text()


def test_whoever_watches_from_python_is_told() -> None:
    events: list[object] = []
    archwright.resume("run", watch=events.append)
    assert Message(f"warning: {WARNING}") in events


@pytest.mark.parametrize("words", [["resume", "run"], ["rank", "run"], ["compare", "run", "--baseline"]])
def test_a_run_whose_data_has_moved_says_how_to_name_it(
    words: Sequence[str], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("data.npz").rename("moved.npz")
    assert dispatch(words[0], words[1:]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.endswith("if the data has moved, --data says where it is now")
    if words[0] == "resume":
        assert dispatch(words[0], [*words[1:], "--data", "moved.npz"]) == 0
