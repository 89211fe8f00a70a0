"""The end of `archwright bench`: table, results and plot."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archwright.cli.commands import print_json
from archwright.files import write

if TYPE_CHECKING:
    from archwright.lab.contest import Allowance, Course


def conclude(
    courses: Sequence[Course], allowed: Allowance, about: dict[str, Any], *, out: Path, score: str, json_output: bool
) -> None:
    """Print the table; write bench.json and bench.png."""
    from rich.console import Console

    from archwright.lab.summary import curves, standings, table, to_json
    from archwright.report.anytime import anytime
    from archwright.report.table import show_table
    from archwright.report.words import counted

    out.mkdir(parents=True, exist_ok=True)
    runs = counted(about["runs"], "run")
    results = to_json(courses, allowed, about)
    write(out / "bench.json", json.dumps(results, indent=1).encode())
    picture = anytime(
        curves(courses, allowed),
        out / "bench.png",
        title=f"{about['table']}: the best found so far",
        used=allowed.unit,
        score=score,
        limit=about.get("best"),
        notes=f"mean of {runs} with its 95 % interval",
    )
    console = Console(stderr=json_output, highlight=False)
    title = f"{about['table']}, {allowed.words}, {runs}: {score}"
    show_table(*table(standings(courses)), title=title, console=console)
    console.print(f"{out / 'bench.json'}, {picture}", soft_wrap=True, highlight=False)
    if json_output:
        print_json(results)
