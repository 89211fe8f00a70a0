"""The commands, their flags, and how they print."""

from __future__ import annotations

import argparse
import importlib
import json
import re
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from contextvars import ContextVar
from typing import Any, NoReturn

from archwright.cli.guarded import guarded
from archwright.cli.hanging import interruptible, watched
from archwright.cli.helping import help_of
from archwright.cli.mistakes import explained
from archwright.components import typed
from archwright.errors import ConfigError, DataWarning
from archwright.modalities import MODALITIES
from archwright.report.escape import for_terminal

MODULES = {
    "search": "archwright.cli.searching",
    "resume": "archwright.cli.searching",
    "finish": "archwright.cli.searching",
    "train": "archwright.cli.training",
    "rank": "archwright.cli.ranking",
    "transfer": "archwright.cli.transferring",
    "compare": "archwright.cli.comparing",
    "front": "archwright.cli.front",
    "show": "archwright.cli.showing",
    "export": "archwright.cli.exporting",
    "predict": "archwright.cli.showing",
    "report": "archwright.cli.reporting",
    "dashboard": "archwright.cli.dashing",
    "watch": "archwright.cli.watching",
    "bench": "archwright.cli.benching",
    "list": "archwright.cli.listing",
    "spaces": "archwright.cli.listing",
    "controllers": "archwright.cli.listing",
    "check": "archwright.cli.listing",
    "cook": "archwright.cli.cooking",
    "doctor": "archwright.cli.doctoring",
    "completion": "archwright.cli.completing",
}
SHARED_DATA_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "validation": {"type": float, "help": "share of the data for validation"},
    "test": {"type": float, "help": "share of the data for the test"},
    "limit": {"type": int, "help": "use at most this many training images, or tokens of text"},
}
SHARED: Mapping[str, dict[str, Any]] = {  # flags of several commands
    "filters": {"type": int, "help": "channels of the first cells"},
    "repeats": {"type": int, "help": "normal cells between reductions"},
    "space": {"help": "FILE.py:NAME, if the space comes from your own file"},
    "controller": {"help": "FILE.py:NAME, if the controller comes from your own file"},
    "objective": {"help": "FILE.py:NAME, if the objective comes from your own file"},
    "track": {"help": "mlflow, tensorboard, wandb or trackio, or several, separated by commas"},
    "no_pictures": {"action": "store_true", "help": "print only"},
    "seed": {"type": int, "default": 0, "help": "of everything random"},
    "device": {"type": str, "default": "auto", "help": "auto, cpu, cuda, cuda:N or mps"},
    "json": {"action": "store_true", "help": "the result as one JSON object on the last line"},
}


def dispatch(command: str, arguments: Sequence[str], *, debug: bool = False) -> int:
    """Run one command and return the exit code."""

    def work() -> int:
        typed(*arguments)
        own = any(".py:" in word for word in arguments)  # other code of the user's is not loaded
        with warnings.catch_warnings(), watched() if own else nullcontext():
            warnings.showwarning = _once(set())
            return _function(command)([underscored(word) for word in arguments])

    with interruptible():
        return guarded(work, debug=debug)


def _function(command: str) -> Callable[[Sequence[str]], int]:
    """Return what does a command."""
    module = importlib.import_module(MODULES[command])
    run: Callable[[Sequence[str]], int] = getattr(module, command.replace("list", "list_"))
    return run


def _once(shown: set[str]) -> Callable[..., None]:
    """Return what shows a warning about data as one line, the same one once, and other warnings as Python does."""

    def show(message: Warning | str, category: type[Warning], *where: Any, **_: Any) -> None:
        if not issubclass(category, DataWarning):
            print(warnings.formatwarning(message, category, *where[:2]), file=sys.stderr, end="")
        elif (text := for_terminal(f"archwright: warning: {message}")) not in shown:
            shown.add(text)
            print(text, file=sys.stderr)

    return show


def underscored(word: str) -> str:
    """Return a flag as parsers know it: dashes and underscores both work, and values stay as they are."""
    if not word.startswith("--"):
        return word
    flag, equals, value = word.partition("=")
    return "--" + flag[2:].replace("-", "_") + equals + value


def dashed_help(text: str) -> str:
    """Return help in which flags are written with dashes."""
    return re.sub(r"--[a-z][a-z_.]*", lambda found: found.group().replace("_", "-"), text)


def data_options() -> dict[str, Mapping[str, Any]]:
    """Return the options of loading data with the keywords of their flags: those of each modality, and the shared."""
    found = dict(SHARED_DATA_OPTIONS)
    for kind in MODALITIES.values():
        found |= kind.options
    return found


def chosen(given: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Return those of the flags that the user gave."""
    return {name: given[name] for name in names if given.get(name) is not None}


_LOOKING: ContextVar[bool] = ContextVar("looking", default=False)


class Looked(BaseException):
    """The parser that `parser_of` wants."""

    def __init__(self, parser: Any) -> None:
        super().__init__()
        self.parser = parser


def look(parser: Any) -> None:
    """Stop the command here, where `parser_of` wants its parser."""
    if _LOOKING.get():
        raise Looked(parser)


def parser_of(command: str, words: Sequence[str] = ()) -> Any:
    """Return the parser that a command makes for these words (components have fields); nothing is parsed or done."""
    token = _LOOKING.set(True)
    try:
        _function(command)(list(words))
    except Looked as looked:
        return looked.parser
    finally:
        _LOOKING.reset(token)
    raise AssertionError(f"{command} has no parser")


class Parser(argparse.ArgumentParser):
    """A parser of flags that are defined with underscores and shown with dashes."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"allow_abbrev": False, **settings})

    def add(self, *names: str) -> None:
        """Add flags of `SHARED`, or options of loading data."""
        for name in names:
            self.add_argument(f"--{name}", **(SHARED.get(name) or data_options()[name]))

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        look(self)
        return super().parse_args(args, namespace)

    def format_help(self) -> str:
        return dashed_help(help_of(self))

    def _print_message(self, message: str, file: Any = None) -> None:
        if message:  # argparse's own says nothing of a disk that is full
            (file or sys.stderr).write(message)

    def error(self, message: str) -> NoReturn:
        raise ConfigError(dashed_help(explained(self, message)))


def print_line(text: str) -> None:
    """Print one line, whatever the names and paths in it hold."""
    print(for_terminal(text))


def print_json(value: Any) -> None:
    """Print one object on one line of standard output."""
    print(json.dumps(value), flush=True)
