"""`archwright watch`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from archwright.cli.commands import Parser
from archwright.cli.display import Display
from archwright.errors import ConfigError


def watch(arguments: Sequence[str]) -> int:
    """Show a run of another process until it ends."""
    parser = Parser(
        prog="archwright watch",
        description="Show how far a run of another process is, as that process does, until it ends. Nothing is "
        "written; Ctrl-C ends the view and not the run.",
    )
    parser.add_argument("run", type=Path, help="the run folder")
    parser.add_argument("--every", type=float, default=1.0, help="seconds between two looks (default 1)")
    given = parser.parse_args(arguments)
    if not given.every > 0:
        raise ConfigError(f"--every is {given.every:g}; it must be greater than zero")

    from archwright.pages.follow import follow
    from archwright.pages.record import Status
    from archwright.store import RunStore

    with Display(json_output=False) as display:
        for event in follow(given.run, every=given.every):
            if isinstance(event, Status):
                status = event
            else:
                display(event)
    if status.kind == "finished":
        with RunStore.reading(given.run) as store:
            for line in store.get("result")["summary"]:
                display.say(line)
        return 0
    display.say(f"nobody is at this run: {status.kind}, {status.words}")
    display.say(f"  archwright resume {given.run}    goes on")
    return 0
