"""A user's own code that hangs in the command's process: where it hangs is said, and Ctrl-C ends it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from archwright.cli import hanging
from archwright.cli.commands import dispatch
from archwright.spaces import SPACES

FILE = Path(__file__).with_name("hanging_components.py")
SEARCH = ["--space", f"{FILE}:Hanging", "--controller", f"{FILE}:Own", "--data", "digits", "--limit", "128"]
SEARCH += ["--trials", "1", "--search-recipe.epochs", "1", "--final-recipe.epochs", "1", "--device", "cpu"]


@pytest.fixture(autouse=True)
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    before = dict(SPACES)
    yield
    SPACES.clear()
    SPACES.update(before)


@pytest.mark.parametrize("where", ["decide", "network", "with_auxiliary", "ask"])
def test_where_it_hangs_is_said_and_ctrl_c_stops_it(
    where: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In planning, but for the controller, which is asked in the search."""
    said: list[str] = []

    def interrupt(text: str) -> None:
        said.append(text)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(hanging, "complain", interrupt)
    monkeypatch.setattr(hanging, "LOOK", 0.05)
    monkeypatch.setattr(hanging, "PATIENCE", 0.3)
    assert dispatch("search", [*SEARCH, "--space.where", where, "--run", "run"]) == 130
    [text] = said
    place, _, rest = text.partition(": ")
    assert place.startswith("hanging_components.py, line ")
    assert place.endswith(f", in {where}")
    line = FILE.read_text().splitlines()[int(place.split()[2].strip(",")) - 1]
    assert line.split()[0] in ("while", "time.sleep(0.01)")
    assert "no progress for" in rest
    assert "--time-limit" in rest
    printed = capsys.readouterr()
    if where == "ask":
        assert "archwright resume run " in printed.out
    else:
        assert printed.err.startswith("archwright: stopped in hanging_components.py, line ")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_code_that_works_is_not_complained_of(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(hanging, "LOOK", 0.01)
    threads = threading.active_count()
    assert dispatch("search", [*SEARCH, "--run", "run"]) == 0
    assert capsys.readouterr().err == ""
    assert threading.active_count() == threads


@pytest.mark.parametrize(
    ("where", "said"),
    [("exit", "decide: SystemExit: 3"), ("error", "ValueError: of the user's (hanging_components.py, ")],
)
def test_code_that_ends_or_fails_is_one_line_with_its_place(
    where: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dispatch("search", [*SEARCH, "--space.where", where, "--dry-run"]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert said in line
    assert "hanging_components.py, line " in line


@pytest.mark.parametrize("swallows", [False, True])
def test_a_file_that_hangs_when_it_is_loaded_is_stopped_even_if_it_swallows_ctrl_c(
    swallows: bool, tmp_path: Path
) -> None:
    caught = "except KeyboardInterrupt:\n        print('swallowed', flush=True)"
    last = caught if swallows else "finally:\n        pass"
    waiting = "print('begun', flush=True)\n        while True:\n            time.sleep(0.1)"
    (tmp_path / "stuck.py").write_text(f"import time\nwhile True:\n    try:\n        {waiting}\n    {last}\n")
    words = [sys.executable, "-m", "archwright", "spaces", "stuck.py:X"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGINT)
        if swallows:
            assert process.stdout.readline() == "swallowed\n"
            time.sleep(2 * hanging.TWICE)
            process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    said = "at once" if swallows else r"in stuck.py, line \d, in <module>"
    assert re.fullmatch(f"archwright: stopped {said}\n", err)


def test_a_limit_that_the_method_cannot_keep_names_one_that_can(capsys: pytest.CaptureFixture[str]) -> None:
    limit = ["--space", "enas-micro", "--space.nodes", "1", "--space.repeats", "1", "--space.filters", "4"]
    limit += ["--data", "digits", "--limit", "128", "--device", "cpu", "--threads", "1", "--trials", "1", "--dry-run"]
    limit += ["--final-space.repeats", "1", "--final-space.filters", "4", "--time-limit", "60"]
    assert dispatch("search", limit) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "time_limit is 60" in line
    advice = line[line.index("use --evaluator") :].split()[1:]
    assert dispatch("search", [*limit, *advice]) == 0
