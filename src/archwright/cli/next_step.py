"""What `archwright` says where no command is given: what to do next, in four lines, from the runs that are here."""

from __future__ import annotations

from pathlib import Path

RUNS = Path("runs")
FIRST = [
    "archwright finds a neural network for your data. There are no runs here yet.",
    "  archwright search                                on images of digits: a minute",
    "  archwright search --data photos/ --minutes 20    for your images; book.txt: for text",
    "  archwright --help                                the other commands, with examples",
]


def next_step(runs: Path = RUNS) -> list[str]:
    """Return four lines for a terminal: the newest run below `runs`, and what can be done with it."""
    from archwright.errors import ArchwrightError
    from archwright.report.escape import for_terminal
    from archwright.stored import SENSELESS

    found = sorted(runs.glob("*/run.sqlite"), key=lambda path: path.stat().st_mtime)
    if not found:
        return FIRST
    folder = found[-1].parent
    try:
        lines = _of(folder)
    except (ArchwrightError, OSError, *SENSELESS) as error:
        lines = [f"{folder} cannot be read: {error}", "  archwright list     the runs that are here"]
        lines += ["  archwright search   another one"]
    return [for_terminal(line) for line in [*lines, "  archwright --help   the other commands, with examples"]]


def _of(folder: Path) -> list[str]:
    from archwright.store import RunStore

    with RunStore.reading(folder) as store:
        result, searched = store.get("result"), store.get("done/search")
    if result is None:
        end = "train what it found" if searched else "end the search now, and train the best so far"
        return [
            f"{folder} has not ended.",
            f"  archwright resume {folder}   go on with it, if no process does",
            f"  archwright finish {folder}   {end}",
        ]
    return [
        f"{folder} has ended: {' '.join(str(result['summary'][0]).split())}.",
        f"  archwright predict {folder} FILE   use its model; archwright export writes it as files",
        f"  archwright compare --baseline {folder}   what random and known networks get in as much time",
    ]
