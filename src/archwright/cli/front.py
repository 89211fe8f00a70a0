"""`archwright front`: the networks to choose from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from archwright.cli.commands import Parser, print_json, print_line
from archwright.errors import RunError
from archwright.space import Architecture
from archwright.stored import reading

KNEE = "knee"


def front(arguments: Sequence[str]) -> int:
    """List the front of a run."""
    parser = Parser(
        prog="archwright front",
        description="List the networks of a run that none is better than in everything, the cheapest first. "
        "archwright train RUN --pick ID trains one of them, --pick knee the one that gains most in all.",
    )
    parser.add_argument("run", type=Path, help="a finished run whose search read costs: --pareto accuracy,latency_ms")
    parser.add_argument("--all", action="store_true", help="list what is not on the front, too")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    given = parser.parse_args(arguments)
    measured = front_of(given.run)

    from archwright.report.front import columns, row
    from archwright.report.table import show_table

    with reading(f"{given.run}: the front"):
        points = [point for point in measured["points"] if given.all or point["front"]]
        rows = [row(point, measured) for point in points]
    if given.json:
        print_json({**measured, "points": points})
        return 0
    show_table(columns(measured), rows, title=f"Front of {given.run}")
    for point in points:
        if (folder := given.run / f"front-{point['id']}").is_dir():
            print_line(f"{point['id']} is trained: archwright export {folder}")
    print_line(
        f"drawn in {given.run / 'front.png'}; archwright train {given.run} --pick ID or --pick {KNEE} trains one"
    )
    return 0


def front_of(run: Path) -> Mapping[str, Any]:
    """Return what a run has measured for its front; RunError if it has none."""
    from archwright.store import RunStore

    with RunStore.reading(run) as store:
        measured: Mapping[str, Any] | None = store.get("front")
        ended = store.get("result") is not None
    if measured is None:
        way = "its search read no cost; use archwright search --pareto accuracy,latency_ms"
        raise RunError(f"{run} has no front: {way if ended else f'it has not ended; archwright resume {run} goes on'}")
    return measured


def picked(run: Path, pick: str) -> tuple[Architecture, str | None]:
    """Return the architecture of a front's point, by the first letters of its id, or its name, or "knee".

    The other is the way to run it, where that is not the usual one of the run.
    """
    measured = front_of(run)
    wanted = str(measured["knee"]) if pick == KNEE else pick
    with reading(f"{run}: the front"):
        points = [one for one in measured["points"] if one["id"].startswith(wanted) or one["name"] == wanted]
        usual = [one for one in points if one.get("way") is None]  # the first letters are of the others, too
        exact = [one for one in points if wanted in (one["id"], one["name"])] or usual
        if len(exact) != 1:
            known = ", ".join(one["id"] for one in measured["points"] if one["front"])
            which = "several networks are" if exact else "no network is"
            raise RunError(f"--pick {pick}: {which} called so in {run}; pick from {known}, or {KNEE}")
        if exact[0]["architecture"] is None:
            raise RunError(f"--pick {pick} is a network written by hand, which has no architecture to train")
        return Architecture.from_json(exact[0]["architecture"]), exact[0].get("way")
