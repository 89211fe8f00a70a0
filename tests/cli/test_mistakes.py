"""A wrong flag or value is one line in our words: what was given, what would do, the nearest spelled one."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from archwright.__main__ import COMMANDS, HELP, main
from archwright.cli.commands import parser_of
from archwright.cli.helping import EXAMPLES
from archwright.errors import offered

TERMINAL = (80, 24)


def said(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The one line that a command says on standard error."""
    assert main(list(words)) == 2
    captured = capsys.readouterr()
    [line] = captured.err.splitlines()
    assert captured.out == ""
    assert not [part for part in ("typing", "class '", "Parser key", "Literal", "Subtypes") if part in line]
    return line.removeprefix("archwright: ")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["serch"], "'serch' is not a command; did you mean search? There are search, resume, "),
        (["search", "--preset", "smal"], "--preset is 'smal'; did you mean small? There are small, paper"),
        (["search", "--minutes", "two"], "--minutes is 'two'; it must be a number"),
        (["search", "--seed", "x y"], "--seed is 'x y'; it must be a whole number"),
        (["search", "--trials", "1.5"], "--trials is '1.5'; it must be a whole number"),
        (["search", "--baseline", "maybe"], "--baseline is 'maybe'; it must be true or false"),
        (["search", "--minuts", "5"], "--minuts is not a flag of archwright search; did you mean --minutes? "),
        (["search", "--image-sise=5"], "--image-sise is not a flag of archwright search; did you mean --image-size? "),
        (["search", "--data"], "--data needs a value"),
        (["search", "photos/"], "archwright search: 'photos/' is too much; "),
        (["search", "--space", "enas-mikro"], "'enas-mikro' is not a space; did you mean enas-micro? There are "),
        (["search", "--controller", "evolutoin"], "'evolutoin' is not a controller; did you mean evolution? There are"),
        (["search", "--objective", "acuracy"], "objective is 'acuracy'; did you mean accuracy? There are accuracy,"),
        (
            ["search", "--space", "darts", "--space.node", "4"],
            "--space.node is not a flag of archwright search (fields ",
        ),
        (
            ["search", "--space", "darts", "--evaluator", "gradiant"],
            "--evaluator is 'gradiant'; did you mean gradient? ",
        ),
        (["search", "--evaluator", "gradient", "--order", "3"], "--order is '3'; there are 1, 2"),
        (["transfer", "nasnet-a", "--data", "digits", "--preset", "big"], "--preset is 'big'; there are small, paper"),
        (["transfer", "nasnet-b", "--data", "digits"], "nasnet-b: there is no architecture; "),
        (["show"], "archwright show needs ARCHITECTURE; archwright show --help shows examples"),
        (["show", "x", "--filters", "few"], "--filters is 'few'; it must be a whole number"),
        (["show", "x", "--jsn"], "--jsn is not a flag of archwright show; did you mean --json? "),
        (["check", "x", "--level", "word"], "--level is 'word'; did you mean words? There are words, characters"),
        (["completion", "bsh"], "shell is 'bsh'; did you mean bash? There are bash, zsh, tcsh"),
        (["bench", "--table"], "--table needs a value"),
        (["search", "--objective", "latency-weighted"], "archwright search needs --objective.target; "),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_mistake_is_one_line_in_our_words(words: list[str], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, *words).startswith(line)


def test_a_mistake_in_a_configuration_names_the_flag(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.yaml").write_text("preset: smal\n")
    line = said(capsys, "search", "--config", str(tmp_path / "config.yaml"))
    assert line.startswith("--preset is 'smal'; did you mean small?")


def test_what_is_nothing_like_any_name_has_no_suggestion() -> None:
    assert offered("zebra", ["small", "paper"], "file.py:Name") == "there are small, paper, or file.py:Name"
    assert offered("SMALL", ["small", "paper"]) == "did you mean small? There are small, paper"


@pytest.mark.parametrize("words", [["--help"], ["search", "--help"], ["transfer", "--help"]])
def test_help_fits_a_terminal(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with suppress(SystemExit):
        assert main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    width, height = TERMINAL
    assert [line for line in lines if len(line) > width] == []
    assert len(lines) <= height


def test_help_begins_with_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert HELP.index("archwright search") < HELP.index("commands")
    assert set(EXAMPLES) <= set(COMMANDS)
    for command in sorted(set(COMMANDS) - {"search", "transfer"}):
        with pytest.raises(SystemExit):
            main([command, "--help"])
        lines = capsys.readouterr().out.splitlines()
        assert lines[0].split()[:2] == ["archwright", command]
        assert max(map(len, lines)) <= TERMINAL[0]


def test_every_command_is_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--help"])
    shown = capsys.readouterr().out.partition("commands;")[2]
    assert [name for name in COMMANDS if name not in shown.replace(",", " ").split()] == []


def test_a_parser_is_looked_at_without_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for command in COMMANDS:
        assert parser_of(command).prog == f"archwright {command}"
    assert list(tmp_path.iterdir()) == []
