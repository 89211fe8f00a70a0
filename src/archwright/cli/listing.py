"""`archwright list`, `spaces` and `check`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from archwright.cli.commands import Parser, chosen, dashed_help, data_options, print_json, print_line

COUNTED = 300  # runs of a space's program: the others need a few dozen


def list_(arguments: Sequence[str]) -> int:
    """List the runs in a folder."""
    parser = Parser(prog="archwright list", description="List the runs in a folder.")
    parser.add_argument("folder", type=Path, nargs="?", default=Path("runs"), help="default: runs")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    given = parser.parse_args(arguments)

    from archwright.pages.record import row
    from archwright.report.table import show_table
    from archwright.runs.folder import runs_below

    rows = [row(folder) for folder in runs_below(given.folder)]
    if given.json:
        for each in rows:
            print_json(each)
    elif not rows:
        print_line(f"no runs in {given.folder}; archwright search makes one")
    else:
        columns = ("run", "begun", "data", "state", "trials", "test")
        show_table(columns, [[each[name] for name in columns] for each in rows])
    return 0


def spaces(arguments: Sequence[str]) -> int:
    """Show what there is to search, or the fields of one space."""
    parser = Parser(
        prog="archwright spaces",
        description="List the spaces, controllers, objectives and operations that come with archwright, or the fields "
        "of one space.",
    )
    parser.add_argument("name", nargs="?", help="a space: show its fields, which are flags as --space.FIELD")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    given = parser.parse_args(arguments)

    from archwright.components import space_class
    from archwright.controllers import CONTROLLERS
    from archwright.evaluators.objective import OBJECTIVES
    from archwright.nets.ops import OPERATIONS
    from archwright.spaces import SPACES

    if given.name is not None:
        return _fields(space_class(given.name), "space", given.json)
    found = {}
    for name, cls in SPACES.items():
        space = cls()
        about = (cls.__doc__ or "").strip().splitlines()[0]
        found[name] = {"about": about, "architectures": _counted(space), "shares_weights": space.shares_weights}
    names: dict[str, Any] = {"controllers": CONTROLLERS, "objectives": OBJECTIVES, "operations": OPERATIONS}
    if given.json:
        print_json({"spaces": found, **{kind: sorted(registry) for kind, registry in names.items()}})
        return 0
    for name, facts in found.items():
        print(f"{name}: {facts['about']}")
        shares = "shares weights" if facts["shares_weights"] else "each child is trained from scratch"
        number = facts["architectures"]
        print(f"  {'more than can be counted' if number is None else format(number, '.3g')} answer lists; {shares}")
    for kind, registry in names.items():
        print(f"{kind}: {', '.join(sorted(registry))}")
    print("your own: path/to/file.py:Name wherever the name of a space or controller is taken")
    return 0


def _counted(space: Any) -> int | None:
    from archwright.errors import TooMany
    from archwright.space import count

    try:
        return count(space, COUNTED)
    except TooMany:
        return None


def controllers(arguments: Sequence[str]) -> int:
    """Show what proposes architectures, or the arguments of one controller."""
    parser = Parser(prog="archwright controllers", description="List the controllers, or the arguments of one of them.")
    parser.add_argument("name", nargs="?", help="a controller: show its arguments, flags as --controller.FIELD")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    given = parser.parse_args(arguments)

    from archwright.components import controller_class
    from archwright.controllers import CONTROLLERS

    if given.name is not None:
        return _fields(controller_class(given.name), "controller", given.json)
    about = {name: (controller_class(name).__doc__ or "").strip().splitlines()[0] for name in sorted(CONTROLLERS)}
    if given.json:
        print_json({"controllers": about})
        return 0
    for name, line in about.items():
        print(f"{name}: {line}")
    return 0


def _fields(component: Any, kind: str, as_json: bool) -> int:
    """Show the arguments of a component with their defaults, as the flags that set them."""
    from jsonargparse import ArgumentParser

    parser = ArgumentParser(prog=f"archwright search --{kind} NAME", add_help=False)
    parser.add_class_arguments(component, kind, skip={"space", "seed"} if kind == "controller" else set())
    if as_json:
        print_json({"kind": kind, "fields": parser.get_defaults().as_dict().get(kind, {})})
        return 0
    text = dashed_help(parser.format_help())
    print(text[text.index("\n\n") + 2 :], end="")
    return 0


def check(arguments: Sequence[str]) -> int:
    """Show what is understood of a data set."""
    parser = Parser(prog="archwright check", description="Say what is understood of a data set.")
    parser.add_argument("data", help="digits, .npz, image folder, or parquet; topics, a .txt file, or a folder of them")
    parser.add("seed", "json", *data_options())
    given = parser.parse_args(arguments)

    from archwright.modalities import modality, read

    data = read(given.data, seed=given.seed, **chosen(vars(given), data_options()))
    description, lines = modality(data).describe()
    if given.json:
        print_json(description)
    else:
        for line in lines:
            print_line(line)
    return 0
