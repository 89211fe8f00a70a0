"""The commands in README and docs are commands, and what they set are flags."""

from __future__ import annotations

import re
import shlex

import pytest

from archwright.__main__ import COMMANDS
from archwright.cli.commands import parser_of, underscored
from archwright.cli.flags import parsed, search_flags
from archwright.cli.helping import EXAMPLES, example_lines
from doc_pages import PAGES, ROOT, in_sentences
from doc_pages import commands as commands_of

# Words that stand for what the user has.
PLACEHOLDERS = {"...", "--help", "S", "GB", "N", "FLAG", "SECONDS"}


def commands() -> list[str]:
    """The command lines in fenced blocks, those between backticks, and the examples of the help."""
    found = [line for page in PAGES for line in (*commands_of(page), *in_sentences(page))]
    found += [re.split(r"\s{3,}", line.strip())[0] for name in EXAMPLES for line in example_lines(name).splitlines()]
    return sorted({line.partition(" >")[0] for line in found})


@pytest.mark.parametrize("line", commands())
def test_a_command_of_the_docs_parses(line: str) -> None:
    _, command, *words = [underscored(word) for word in shlex.split(line)]
    assert command.startswith("--") or command in {*COMMANDS, "COMMAND"}
    if command not in COMMANDS or PLACEHOLDERS & {*words} or words in ([], ["--baseline"]):
        return  # named in a sentence, without what it takes
    if command == "search":
        if not {"--config", *(word for word in words if ".py:" in word)} & {*words}:  # the user's files are not there
            search_flags(words)
    elif command == "transfer":
        parsed(parser_of(command, ["nasnet-a"]), words, {})
    else:
        parser_of(command).parse_args(words)


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
