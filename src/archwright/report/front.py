"""Shows the front of a run: a picture, and rows of a table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from archwright.report.tradeoff import Point, tradeoff

UNITS = {"latency_ms": "{:.3g} ms", "latency": "{:.3g} s"}
MOST_PANELS = 3
NOTES = "bars: 95 % intervals in validation; small dots: networks of the search, not trained to their end"


def cost_words(name: str, value: float, words: str) -> str:
    """Return a cost as a person reads it; `words` say what it is."""
    return UNITS[name].format(value) if name in UNITS else f"{value:,.0f} {words}"


def front_picture(measured: Mapping[str, Any], path: Path) -> Path:
    """Plot the metric against each cost: the front and what was trained are numbered and named."""
    points = [(point, _point(point)) for point in measured["points"]]
    named = [one for point, one in points if point["front"] or point["key"] or point["kind"] == "reference"]
    behind = [one for _, one in points if one not in named]
    panels = [*measured["costs"].items()][:MOST_PANELS]
    share = measured["metric"] == "accuracy"
    measure = "validation accuracy, %" if share else f"validation {measured['metric']}"
    title, times = f"{measured['metric'].capitalize()} and costs", 100.0 if share else 1.0
    settings = {"measure": measure, "times": times, "behind": behind, "front": share, "notes": NOTES}
    return tradeoff(named, path, title=title, panels=panels, **settings)


def _point(point: Mapping[str, Any]) -> Point:
    interval = point["interval"]
    whole = point["trained"] == 1.0
    kind = point["kind"] if whole or point["kind"] == "reference" else "searched"
    label = str(point["name"]) + ("" if whole or point["trained"] is None else f", {point['trained']:.0%} trained")
    return Point(label, kind, point["score"], interval and tuple(interval), costs=point["costs"])


def columns(measured: Mapping[str, Any]) -> list[str]:
    """Return the titles of a table's columns."""
    return ["network", f"validation {measured['metric']}", "95 % interval", *measured["costs"], "trained", ""]


def row(point: Mapping[str, Any], measured: Mapping[str, Any]) -> list[str]:
    """Return a network as a row of a table."""
    form = "{:.2%}" if measured["metric"] == "accuracy" else "{:.2f}"
    interval = "" if point["interval"] is None else " to ".join(map(form.format, point["interval"]))
    name = point["id"] if point["name"] == point["id"] else f"{point['id']} {point['name']}"
    trained = "in the search" if point["trained"] is None else f"{point['trained']:.0%}"
    costs = [("{:,.4g}" if cost in UNITS else "{:,.0f}").format(point["costs"][cost]) for cost in measured["costs"]]
    knee = "knee" if point["id"] == measured["knee"] else ""
    return [name, form.format(point["score"]), interval, *costs, trained, knee]
