"""The commands, and what is the same for all of them: errors in one line, Ctrl-C, exit codes."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from archwright.errors import ArchwrightError

MODULES = {
    "search": "archwright.cli.searching",
    "resume": "archwright.cli.searching",
    "finish": "archwright.cli.searching",
    "train": "archwright.cli.training",
    "rank": "archwright.cli.ranking",
    "transfer": "archwright.cli.transferring",
    "compare": "archwright.cli.comparing",
    "show": "archwright.cli.showing",
    "export": "archwright.cli.showing",
    "predict": "archwright.cli.showing",
    "bench": "archwright.cli.benching",
    "list": "archwright.cli.listing",
    "spaces": "archwright.cli.listing",
    "controllers": "archwright.cli.listing",
    "check": "archwright.cli.listing",
}


def dispatch(command: str, arguments: Sequence[str], *, debug: bool = False) -> int:
    """Run one command and return the exit code."""
    run: Callable[[Sequence[str]], int] = getattr(
        importlib.import_module(MODULES[command]), command.replace("list", "list_")
    )
    try:
        return run([underscored(word) for word in arguments])
    except ArchwrightError as error:
        if debug:
            raise
        print(f"archwright: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        if debug:
            raise
        print("archwright: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `archwright list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def underscored(word: str) -> str:
    """Return a flag as parsers know it: dashes and underscores both work, and values stay as they are."""
    if not word.startswith("--"):
        return word
    flag, equals, value = word.partition("=")
    return "--" + flag[2:].replace("-", "_") + equals + value


def dashed_help(text: str) -> str:
    """Return help in which flags are written with dashes."""
    return re.sub(r"--[a-z][a-z_.]*", lambda found: found.group().replace("_", "-"), text)


class Parser(argparse.ArgumentParser):
    """A parser of flags that are defined with underscores and shown with dashes."""

    def format_help(self) -> str:
        """Return the help with dashes."""
        return dashed_help(super().format_help())

    def format_usage(self) -> str:
        """Return the usage with dashes."""
        return dashed_help(super().format_usage())

    def error(self, message: str) -> NoReturn:
        """Raise one line in the words of the flags."""
        super().error(dashed_help(message))


def print_json(value: Any) -> None:
    """One object on one line of standard output."""
    print(json.dumps(value), flush=True)
