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
