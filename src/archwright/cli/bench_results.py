"""The end of `archwright bench`: table, results and plot."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from archwright.cli.commands import print_json
from archwright.files import write
from archwright.lab.contest import Allowance, Course
from archwright.lab.record import RESULTS
from archwright.lab.summary import curves, standings, table, to_json
from archwright.report.anytime import anytime
from archwright.report.escape import for_terminal
from archwright.report.table import show_table
from archwright.report.words import counted


def conclude(
    courses: Sequence[Course],
    allowed: Allowance,
    about: dict[str, Any],
    *,
    out: Path,
    score: str,
    json_output: bool,
    less: bool = False,
) -> None:
    """Print the table; write bench.json and bench.png. `less`: of the score, less is better."""
    from rich.console import Console
    from rich.text import Text

    runs, limit = counted(about["runs"], "run"), about.get("best")
    lines = standings(courses, less=less, best=limit)
    results = to_json(courses, allowed, about, lines)
    write(out / RESULTS, json.dumps(results, indent=1).encode())
    title, notes = f"{about['table']}: the best found so far", f"mean of {runs} with its 95 % interval"
    words = {"title": title, "used": allowed.unit, "score": score, "notes": notes}
    picture = anytime(curves(courses, allowed), out / "bench.png", limit=limit, less=less, **words)
    console = Console(stderr=json_output, highlight=False)
    title = f"{about['table']}, {allowed.words}, {runs}: {score}"
    show_table(*table(lines), title=title, console=console)
    console.print(Text(for_terminal(f"{out / RESULTS}, {picture}")), soft_wrap=True)
    if json_output:
        print_json(results)
