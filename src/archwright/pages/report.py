"""The page of a run, and the page that compares several: files that need no network, which a printer prints too."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from archwright.files import write
from archwright.pages.charts import best_so_far, comparison_of, gains, search_charts, training_charts
from archwright.pages.record import RunRecord, read
from archwright.pages.shown import confusion, drawing, graphs_of, nodes_table
from archwright.report.charts import chart
from archwright.report.escape import for_terminal
from archwright.runs.plan import PHASES

REPORT = "report.html"


def write_report(folder: Path, to: Path | None = None) -> Path:
    """Write the page of a run, finished or not, and return its path: `report.html` in the folder, or `to`."""
    return _write(to or folder / REPORT, "run.html", view(read(folder)))


def write_comparison(folders: Sequence[Path], to: Path) -> Path:
    """Write the page that compares runs, and return its path."""
    return _write(to, "compare.html", comparison([read(folder) for folder in folders]))


def _write(path: Path, template: str, values: Mapping[str, Any]) -> Path:
    write(path, page(template, **values).encode("utf-8", "backslashreplace"))
    return path


def page(template: str, **values: Any) -> str:
    """Return a page: everything in it is text, whatever it holds, but for what our own code drew."""
    text: str = _environment().get_template(template).render(**{"live": None, **values})
    return text


@lru_cache(maxsize=1)
def _environment() -> Any:
    from jinja2 import Environment, PackageLoader
    from markupsafe import Markup

    def shown(value: Any) -> Any:
        return for_terminal(value) if isinstance(value, str) and not isinstance(value, Markup) else value

    loader = PackageLoader("archwright.pages")
    made = Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True, finalize=shown)
    made.filters |= {"number": _number, "seconds": _seconds}
    return made


def view(record: RunRecord) -> dict[str, Any]:
    """Return what the page of a run shows, by the names of the template."""
    shown = record.facts.get("shown") or {}
    graphs, parts = graphs_of(record, shown), shown.get("parts", [])
    return {
        "title": f"{record.name}: {record.status.words}",
        "record": record,
        "drawing": drawing(graphs, parts),
        "nodes": nodes_table(graphs, parts),
        "gains": gains([shown])[:1],
        "charts": [one for one in (*search_charts(record), *training_charts(record)) if one[1] is not None],
        "phases": _phases(record),
        "matrix": confusion(shown.get("mistakes", {})),
        "mistakes": shown.get("mistakes", {}),
        "plan": list(_flat(record.plan)),
        "commands": _commands(record),
    }


def comparison(records: Sequence[RunRecord]) -> dict[str, Any]:
    """Return what the page that compares runs shows: results, best rewards over trials, and settings that differ."""
    plans = [dict(_flat({**record.plan, "budget": {}})) for record in records]
    rows = [(name, [plan.get(name, "") for plan in plans]) for name in dict.fromkeys(n for plan in plans for n in plan)]
    return {
        "title": f"{len(records)} runs compared",
        "records": records,
        "gains": gains(comparison_of(records)),
        "curves": chart([best_so_far(r.trials, r.name) for r in records], x="trial"),
        "differing": [(name, values) for name, values in rows if len(set(values)) > 1],
    }


def _phases(record: RunRecord) -> list[tuple[str, float, float, float]]:
    """Return each phase with its seconds, those that were expected, and its share of the longest."""
    spent = record.result.get("seconds") or record.facts.get("seconds") or {}
    expected = record.facts.get("estimate") or record.plan.get("budget", {}).get("estimate", {})
    rows = [(name, spent.get(name, 0.0), expected.get(name, 0.0)) for name in ("preparation", *PHASES, "report")]
    longest = max(max(row[1:]) for row in rows) or 1.0
    return [(*row, row[1] / longest) for row in rows if any(row[1:])]


def _flat(plan: Any, within: str = "") -> Iterator[tuple[str, str]]:
    """Yield the settings of a plan, each with the names that lead to it."""
    if isinstance(plan, Mapping):
        for name, value in plan.items():
            yield from _flat(value, f"{within}.{name}" if within else str(name))
    elif plan is not None and plan != []:
        yield within, ", ".join(map(str, plan)) if isinstance(plan, list) else _number(plan)


def _commands(record: RunRecord) -> list[tuple[str, str]]:
    """Return what repeats the run, each with a word on it."""
    if not record.plan:
        return []
    folder, typed, source = shlex.quote(str(record.folder)), record.facts.get("typed"), record.plan.get("transferred")
    command = "search" if source is None else f"transfer {shlex.quote(str(source))}"
    lines = [("as it was typed", str(typed))] if typed else []
    lines.append(("the same plan", f"archwright {command} --config {folder}/config.yaml"))
    if record.status.kind in ("stopped", "failed"):
        lines.append(("goes on with it", f"archwright resume {folder}"))
    return lines


def _number(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return "" if value is None else str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def _seconds(value: float) -> str:
    return f"{value:.1f} s" if value < 120 else f"{value / 60:.1f} min" if value < 7200 else f"{value / 3600:.1f} h"
