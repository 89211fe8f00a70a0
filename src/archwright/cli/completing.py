"""`archwright completion`: a script that completes commands, flags and choices without starting Python."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from archwright.cli.commands import Parser, parser_of
from archwright.cli.mistakes import flag_of, options_of

SHELLS = ("bash", "zsh", "tcsh")
FOLDERS = ("run", "runs", "to", "folder", "out")  # flags and arguments that are folders
FILES = ("data", "config", "images", "table", "architecture")  # files, or folders


def completion(arguments: Sequence[str]) -> int:
    """Print the script for a shell."""
    parser = Parser(
        prog="archwright completion",
        description="Print a script that completes commands, flags and choices. It is made once for this version; "
        "fields are those of the components that a search has by default.",
    )
    parser.add_argument("shell", choices=SHELLS, help="bash, zsh or tcsh")
    given = parser.parse_args(arguments)

    from archwright.errors import MissingExtra

    try:
        import shtab
    except ImportError:
        raise MissingExtra("archwright completion needs shtab: pip install 'archwright[completion]'") from None
    print(shtab.complete(_everything(shtab.FILE, shtab.DIRECTORY), shell=given.shell))
    return 0


def _everything(file: Any, folder: Any) -> argparse.ArgumentParser:
    """Return one parser with all commands and the flags that people see."""
    from archwright.__main__ import COMMANDS  # run as a program, that module should not be imported by this one

    whole = argparse.ArgumentParser(prog="archwright", description="Finds neural network architectures.")
    whole.add_argument("--version", action="store_true", help="print the version")
    whole.add_argument("--debug", action="store_true", help="show where an error comes from")
    commands = whole.add_subparsers(dest="command")
    for name, about in COMMANDS.items():
        below = commands.add_parser(name, help=about.replace("%", "%%"))
        for action in parser_of(name)._actions:
            if action.dest == "help" or action.help == argparse.SUPPRESS:
                continue
            below._add_action(_copied(action, file, folder))
    return whole


def _copied(action: Any, file: Any, folder: Any) -> Any:
    """Return a plain action of the same flag, with its choices, or the kind of its files."""
    choices = list(action.choices or options_of(getattr(action, "_typehint", None)) or _registered(action.dest))
    about = str(action.help or "").partition(" (type:")[0].replace("%", "%%")
    kind: Any = argparse._StoreTrueAction if action.nargs == 0 else argparse._StoreAction
    settings: dict[str, Any] = {} if action.nargs == 0 else {"nargs": action.nargs, "choices": choices or None}
    made: Any = kind(option_strings=[flag_of(name) for name in action.option_strings], dest=action.dest, **settings)
    made.help = about
    if not choices and action.nargs != 0:
        if action.dest in FOLDERS or (not action.option_strings and action.type is Path):
            made.complete = folder if action.dest in FOLDERS else file
        elif action.dest in FILES:
            made.complete = file
    return made


def _registered(dest: str) -> list[str]:
    """Return the names of components that a flag takes."""
    from archwright.controllers import CONTROLLERS
    from archwright.evaluators.objective import OBJECTIVES
    from archwright.spaces import SPACES

    return sorted({"space": [*SPACES], "controller": [*CONTROLLERS], "objective": [*OBJECTIVES]}.get(dest, []))
