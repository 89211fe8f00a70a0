"""`archwright report`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from archwright.cli.commands import Parser, print_json, print_line
from archwright.files import target

COMPARISON = Path("comparison.html")


def report(arguments: Sequence[str]) -> int:
    """Write the page of a run, or the page that compares several."""
    parser = Parser(
        prog="archwright report",
        description="Write what a run found, and how, as one HTML file that needs no network: RUN/report.html. A run "
        "that is under way or was stopped is shown as far as it is. Several runs are compared on one page.",
    )
    parser.add_argument("runs", type=Path, nargs="+", help="run folders; several are compared")
    parser.add_argument("--to", type=Path, help=f"the file; default: report.html in the run, or {COMPARISON} here")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    given = parser.parse_args(arguments)
    if given.to is not None:
        target(given.to.parent)

    from archwright.pages.report import write_comparison, write_report

    runs = list(dict.fromkeys(given.runs))
    path = write_report(runs[0], given.to) if len(runs) == 1 else write_comparison(runs, given.to or COMPARISON)
    if given.json:
        print_json({"report": str(path)})
    else:
        print_line(str(path))
    return 0
