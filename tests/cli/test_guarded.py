"""Every error is one line and exit code 2, whoever raised it, and any text can be printed."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from archwright.__main__ import main
from archwright.cli.commands import dispatch
from archwright.cli.guarded import guarded
from archwright.cli.progress import OutputClosed, ProgressView
from archwright.errors import DataError

WITHOUT_ENCODING = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}


def command(*words: str, to: int, cwd: Path, **environment: str) -> tuple[int, bytes]:
    """Run the program; return its exit code and standard error."""
    words = (sys.executable, "-m", "archwright", *words)
    process = subprocess.run(
        words, stdout=to, stderr=subprocess.PIPE, cwd=cwd, env={**os.environ, **environment}, check=False
    )
    return process.returncode, process.stderr


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (DataError("a\nb\x1b[2J"), "archwright: a b\\x1b[2J"),
        (OSError(28, "No space left on device", "model/weights"), "archwright: model/weights: No space left on device"),
        (OSError(28, "No space left on device"), "archwright: No space left on device"),
        (PermissionError(13, "Permission denied", b"\xff/x"), "archwright: \\udcff/x: Permission denied"),
        (MemoryError("Unable to allocate 4. GiB"), "archwright: memory is short (Unable to allocate 4. GiB); less"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"), "archwright: UnicodeDecodeError: 'utf-8'"),
        (ValueError("Expected more than 1 value"), "archwright: ValueError: Expected more than 1 value (--debug"),
        (RecursionError("maximum recursion depth"), "archwright: RecursionError: maximum"),
    ],
)
def test_an_error_is_one_line(error: Exception, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> int:
        raise error

    assert guarded(work) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(said)
    with pytest.raises(type(error)):
        guarded(work, debug=True)


@pytest.mark.parametrize("words", [["--help"], ["list", "--help"]])
def test_output_that_nobody_reads_is_no_error(words: list[str], tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    assert command(*words, to=writing, cwd=tmp_path) == (0, b"")
    os.close(writing)


@pytest.mark.parametrize("words", [["--help"], ["list", "--help"], ["list"]])
def test_a_full_disk_is_one_line(words: list[str], tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        assert command(*words, to=full.fileno(), cwd=tmp_path) == (2, b"archwright: No space left on device\n")


def test_a_long_command_says_that_its_reader_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reading, writing = os.pipe()
    os.close(reading)

    def work() -> int:
        with os.fdopen(writing, "w") as out:
            monkeypatch.setattr(sys, "stdout", out)
            try:
                ProgressView(json_output=False).say("x" * 100_000)
            finally:
                monkeypatch.undo()
                os.dup2(os.open(os.devnull, os.O_WRONLY), writing)
        return 0

    assert guarded(work) == 2
    assert "nobody reads the output" in capsys.readouterr().err
    assert issubclass(OutputClosed, Exception)


def test_any_name_is_printed_in_any_locale(tmp_path: Path) -> None:
    names = ["\u00e4".encode(), b"\xff", b"a\nb"]
    for name in names:
        folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))
        folder.mkdir()
        (folder / "run.sqlite").touch()
    with (tmp_path / "out").open("wb") as out:
        assert command("list", ".", to=out.fileno(), cwd=tmp_path, **WITHOUT_ENCODING) == (0, b"")
    lines = (tmp_path / "out").read_bytes().decode("ascii").splitlines()
    assert len(lines) == 1 + len(names)
    assert any(line.startswith("a\\nb ") for line in lines)


def test_a_path_of_any_kind_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["check", "x" * 5000], ["check", "a\0b"], ["predict", "x" * 5000, "y"], ["list", "x" * 5000]):
        assert dispatch(words[0], words[1:]) in (0, 2)
        assert len(capsys.readouterr().err.splitlines()) <= 1
    assert main(["no\x1b[2Jcommand"]) == 2
    assert "\x1b" not in capsys.readouterr().err


def test_other_libraries_say_nothing_on_standard_error(tmp_path: Path) -> None:
    """Neither warnings, nor loggers that nobody set up; the caller's own setting of warnings stays."""
    code = (
        "import logging, sys, warnings\n"
        "from archwright.cli.guarded import settle_streams\n"
        "settle_streams()\n"
        "warnings.warn('of a library')\n"
        "logging.getLogger('matplotlib').warning('no cache')\n"
    )
    for options, lines in (([], 0), (["-W", "default"], 1)):
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONWARNINGS"}
        words = [sys.executable, *options, "-c", code]
        process = subprocess.run(words, capture_output=True, check=True, cwd=tmp_path, env=environment)
        assert process.stderr.count(b"of a library") == lines
        assert b"no cache" not in process.stderr


def test_in_python_warnings_are_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    before = list(warnings.filters)
    assert main(["--version"]) == 0
    assert warnings.filters == before


def test_classes_of_any_name_are_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from PIL import Image

    for name in ("\u00e4".encode(), b"\xff", b"a\nb"):
        folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/data/" + name))
        folder.mkdir(parents=True)
        for number in range(12):
            Image.new("L", (8, 8), number).save(folder / f"{number}.png")
    assert main(["check", str(tmp_path / "data")]) == main(["check", str(tmp_path / "data"), "--json"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert {line.split()[0] for line in lines if line.startswith(("\u00e4", "a\\n", "\\ud"))} == {
        "\u00e4",
        "a\\nb",
        "\\udcff",
    }


SEARCHED = """
import sys
from archwright.cli.commands import dispatch
from archwright.cli.guarded import settle_streams
settle_streams()
small = "--space nas-conv --space.layers 1 --space.first_layers 1 --trials 1 --search-recipe.epochs 1".split()
small += "--final-recipe.epochs 1 --device cpu --image-size 8 --run run".split()
print("codes", dispatch("search", ["--data", "data", *small]), dispatch("predict", ["run", "data"]))
print("codes", dispatch("export", ["run", "--formats", "source"]), dispatch("show", ["run", "--no-pictures"]))
"""


def test_a_run_on_classes_of_any_name_is_complete_in_any_locale(tmp_path: Path) -> None:
    from PIL import Image

    for name in ("\u00e4\u5341".encode(), b"\xff", b"a\nb"):
        folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/data/" + name))
        folder.mkdir(parents=True)
        for number in range(12):
            Image.new("L", (8, 8), 9 * number).save(folder / f"{number}.png")
    environment = {**os.environ, **WITHOUT_ENCODING}
    words = [sys.executable, "-c", SEARCHED]
    process = subprocess.run(words, capture_output=True, check=False, cwd=tmp_path, env=environment)
    assert process.stdout.count(b"codes 0 0") == 2, process.stderr
    assert b"Traceback" not in process.stderr
    assert process.stdout.isascii()
    for name in ("report.md", "result.json", "model/model.json", "export/model.py"):
        assert (tmp_path / "run" / name).stat().st_size, name


def test_a_batch_of_one_is_no_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """BatchNorm refuses to be trained with it."""
    monkeypatch.chdir(tmp_path)
    words = ["--space", "nas-conv", "--final-recipe.batch", "1", "--search-recipe.batch", "1", "--limit", "64"]
    assert dispatch("search", [*words, "--device", "cpu", "--dry-run"]) in (0, 2)


def test_a_configuration_in_another_encoding_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.yaml").write_bytes("data: B\u00e4ume\n".encode("latin-1"))
    assert dispatch("search", ["--config", str(tmp_path / "config.yaml"), "--dry-run"]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "config.yaml is not YAML" in line
