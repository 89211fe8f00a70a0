"""The end of `archwright bench`: table, results and plot."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from archwright.cli.commands import print_json
from archwright.files import write
from archwright.lab.contest import Allowance, Course
from archwright.lab.summary import curves, standings, table, to_json
from archwright.report.anytime import anytime
from archwright.report.escape import for_terminal
from archwright.report.table import show_table
from archwright.report.words import counted


def conclude(
    courses: Sequence[Course], allowed: Allowance, about: dict[str, Any], *, out: Path, score: str, json_output: bool
) -> None:
    """Print the table; write bench.json and bench.png."""
    from rich.console import Console
    from rich.text import Text

    out.mkdir(parents=True, exist_ok=True)
    runs = counted(about["runs"], "run")
    results = to_json(courses, allowed, about)
    write(out / "bench.json", json.dumps(results, indent=1).encode())
    title, notes = f"{about['table']}: the best found so far", f"mean of {runs} with its 95 % interval"
    plotted, used, limit = curves(courses, allowed), allowed.unit, about.get("best")
    picture = anytime(plotted, out / "bench.png", title=title, used=used, score=score, limit=limit, notes=notes)
    console = Console(stderr=json_output, highlight=False)
    title = f"{about['table']}, {allowed.words}, {runs}: {score}"
    show_table(*table(standings(courses)), title=title, console=console)
    console.print(Text(for_terminal(f"{out / 'bench.json'}, {picture}")), soft_wrap=True)
    if json_output:
        print_json(results)
