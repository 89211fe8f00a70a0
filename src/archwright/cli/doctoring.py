"""`archwright doctor`: what this machine has, what is slow on it, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from archwright.cli.commands import Parser, print_json, print_line
from archwright.runs.folder import RUNS


def doctor(arguments: Sequence[str]) -> int:
    """Look at the machine, and time its disk and its convolutions for some seconds."""
    parser = Parser(
        prog="archwright doctor",
        description="Say what this machine has, what is slow on it, and why: what a report of an error needs.",
    )
    parser.add_argument("folder", type=Path, nargs="?", default=RUNS, help="where runs are written (default: runs)")
    parser.add("json")
    given = parser.parse_args(arguments)

    from archwright.cli.machine import checks, convolutions, judged, versions

    about = versions()
    if not given.json:
        print_line(", ".join(f"{name} {version}" for name, version in about.items()))
    found = []
    for check in checks(given.folder):
        found.append(check)
        if not given.json:
            print_line(f"{'!' if check.advice else ' '} {check.name:<13} {check.found}")
    speeds = convolutions()
    found.append(judged(speeds))
    slow = [check for check in found if check.advice]
    if given.json:
        facts = {"versions": about, "checks": [asdict(check) for check in found], "convolutions": speeds}
        print_json({**facts, "slow": [check.name for check in slow]})
        return 0
    print_line(f"{'!' if found[-1].advice else ' '} {found[-1].name:<13} {found[-1].found}")
    print()
    for check in slow:
        print_line(f"{check.name}: {check.advice}")
    if not slow:
        print_line("nothing here is slow")
    return 0
