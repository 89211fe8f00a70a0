"""`archwright compare`: accuracy against size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from archwright import api
from archwright.cli.commands import Parser, print_json, print_line
from archwright.cli.display import Display
from archwright.files import target


def compare(arguments: Sequence[str]) -> int:
    """Plot the networks of finished runs, with what papers report on the same data, and print the table."""
    parser = Parser(
        prog="archwright compare",
        description="Plot accuracy against parameters and against multiply-adds (PNG and SVG), and print the table. "
        "Where the data set is one that papers report on, their networks are there too.",
    )
    parser.add_argument("runs", type=Path, nargs="+", help="finished runs, or folders that `archwright train` wrote")
    parser.add_argument("--to", type=Path, default=Path(), help="folder for the pictures")
    parser.add_argument("--no_pictures", action="store_true", help="print only")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument(
        "--baseline",
        action="store_true",
        help="train what each run is compared with first, for as much time: random architectures and a known network",
    )
    parser.add_argument("--data", help="with --baseline, where the data is now, if it has moved")
    parser.add("space")
    given = parser.parse_args(arguments)
    if not given.no_pictures:
        target(given.to)
    for run in given.runs if given.baseline else ():
        with Display(json_output=given.json) as display:
            summary = api.compare(run, data=given.data, space=given.space, watch=display).result["summary"]
            for line in ["", *summary]:
                display.say(line)

    from archwright.analysis.comparing import compared
    from archwright.report.table import show_table
    from archwright.report.tradeoff import tradeoff

    groups = compared(given.runs)
    data_sets: list[dict[str, Any]] = []
    stems: Counter[str] = Counter()  # data sets may have the same name
    for group in groups:
        title = f"Accuracy and size on {group.data}" if group.data else "Accuracy and size"
        stem = "".join(c if c.isalnum() or c in "-_" else "-" for c in group.data)[:40]
        stems[stem] += 1
        name = "-".join(filter(None, ["compare", stem, str(stems[stem]) if stems[stem] > 1 else ""]))
        paths = [] if given.no_pictures else [given.to / f"{name}.{kind}" for kind in ("png", "svg")]
        pictures = [str(tradeoff(group.points, path, title=title)) for path in paths]
        networks = [_plain(point) for point in group.points]
        data_sets.append({"data": group.data, "networks": networks, "pictures": pictures})
        if given.json:
            continue
        columns = ("", "network", "test accuracy", "95 % interval", "parameters", "multiply-adds")
        show_table(columns, [_row(*numbered) for numbered in enumerate(group.points, start=1)], title=title)
        for path in pictures:
            print_line(f"drawn to {path}")
    if given.json:
        print_json({"data_sets": data_sets})
    return 0


def _plain(point: Any) -> dict[str, Any]:
    names = {"label": "network", "accuracy": "test_accuracy", "interval": "test_interval"}
    return {names.get(name, name): value for name, value in vars(point).items()}


def _row(number: int, point: Any) -> list[str]:
    interval = "" if point.interval is None else f"{point.interval[0]:.2%} to {point.interval[1]:.2%}"
    size = "" if point.multiply_adds is None else f"{point.multiply_adds:,.0f}"
    return [str(number), point.label, f"{point.accuracy:.2%}", interval, f"{point.parameters:,.0f}", size]
