"""The commands in README and docs are commands, and what they set are flags."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from archwright.__main__ import COMMANDS
from archwright.cli.commands import underscored
from archwright.cli.flags import search_flags

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def commands() -> list[str]:
    """The command lines in fenced blocks, and those between backticks."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        blocks = re.findall(r"```\n(.*?)```", text, flags=re.DOTALL)
        lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
        found += [part for line in lines for part in re.split(r"&&|;", line.partition("#")[0])]
        found += [" ".join(words.split()) for words in re.findall(r"`(archwright [^`]*)`", text)]
    return sorted({line.strip() for line in found if line.strip().startswith("archwright ")})


@pytest.mark.parametrize("line", commands())
def test_a_command_of_the_docs_parses(line: str) -> None:
    words = [underscored(word) for word in shlex.split(line) if word != "..."][1:]
    assert words[0].startswith("--") or words[0] in {*COMMANDS, "COMMAND"}
    names = {word for word in words if ".py:" in word}
    if words[0] != "search" or names or "..." in line or "--help" in words or "--config" in words or "S" in words:
        return  # other commands have few flags; files of the user's are not there
    search_flags(words[1:])


def test_there_are_commands_to_parse() -> None:
    assert len([line for line in commands() if line.startswith("archwright search")]) > 20


def test_an_extra_that_is_recommended_exists() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    listed = project.partition("[project.optional-dependencies]")[2].partition("\n[")[0]
    extras = set(re.findall(r"^(\w+) = \[", listed, flags=re.MULTILINE))
    pages = [*PAGES, *(ROOT / "src").rglob("*.py")]
    named = {name for page in pages for name in re.findall(r"archwright\[(\w+)\]", page.read_text(encoding="utf-8"))}
    assert {"optuna", "ray", "onnx"} <= named <= extras


def test_nobody_is_told_to_stop_every_ray_of_a_machine() -> None:
    assert [page.name for page in PAGES if "ray stop" in page.read_text(encoding="utf-8")] == []


def test_a_crash_of_a_test_worker_fails_the_suite() -> None:
    """A worker that is started anew for the same file would crash again, and the suite would wait for ever."""
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").partition("\ntest:")[2].partition("\n\n")[0]
    assert "--max-worker-restart=0" in recipe
