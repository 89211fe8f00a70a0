"""The charts of a run: rewards and figures over trials, learning curves, sizes, and gains with their intervals."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from archwright.pages.record import RunRecord, Trials
from archwright.report.charts import Chart, Series, chart, intervals
from archwright.report.plots import Estimate, moving_mean
from archwright.space import Architecture

CURVES = 7  # trainings in a chart
SMALL = {"width": 490, "height": 230}  # of charts that stand side by side
UNSAID = {"baseline", "reward", "epoch", "update"}  # figures over trials that other charts have, or that only count
KINDS = {"found": "found", "known": "known network", "reference": "reference", "random": "random search"}

Titled = tuple[str, Chart | None]


def best_so_far(trials: Trials, label: str = "best so far") -> Series:
    """Return the best reward after each trial."""
    best, points = -math.inf, []
    for number, reward in enumerate(trials.rewards, start=1):
        best = reward if reward > best else best  # false for NaN
        points.append((number, best))
    return Series(label, points, "steps")


def search_charts(record: RunRecord) -> Iterator[Titled]:
    """Yield the charts over trials, each with its title."""
    import numpy as np

    trials = record.trials
    if not len(trials):
        return
    window = max(5, len(trials) // 20)
    line = Series(
        f"mean of the last {window}", list(enumerate(moving_mean(np.asarray(trials.rewards), window), start=1))
    )
    if (baseline := trials.figures.get("baseline")) is not None:
        line = Series("baseline", list(zip(*baseline, strict=True)))
    dots = Series("trial", list(enumerate(trials.rewards, start=1)), "dots", "trial")
    yield "Rewards over trials", chart([dots, line, best_so_far(trials)], x="trial")
    for name in sorted(trials.figures.keys() - UNSAID, key=lambda name: (name != "entropy", name)):
        words, columns = name.replace("_", " "), trials.figures[name]
        if min(columns[1]) != max(columns[1]):
            one = Series(words, list(zip(*columns, strict=True)))
            yield f"{words.capitalize()} over trials", chart([one], x="trial", **SMALL)


def training_charts(record: RunRecord) -> Iterator[Titled]:
    """Yield the learning curves, what was delivered first, and the scores of networks against their sizes."""
    names = _names(record)
    order = {name: place for place, name in enumerate(names)}
    chosen = sorted(record.curves.items(), key=lambda item: (order.get(item[0], len(order)), -len(item[1]["points"])))
    more = f" ({CURVES} of {len(chosen)} trainings)" if len(chosen) > CURVES else ""
    by_metric: dict[str, list[Series]] = {}
    for key, curve in chosen[:CURVES]:
        for metric in dict.fromkeys(name for _, figures in curve["points"] for name in figures):
            each = [
                (step / curve["per_epoch"], figures[metric]) for step, figures in curve["points"] if metric in figures
            ]
            one = Series(names.get(key, key[:8]), each, "line" if len(each) > 1 else "dots", "epoch")
            by_metric.setdefault(metric, []).append(one)
    for metric in sorted(by_metric, key=lambda name: (not name.startswith("validation_"), name)):
        words = metric.replace("_", " ")
        yield f"Learning curves: {words}{more}", chart(by_metric[metric], x="epoch", **SMALL)
    yield from _sizes(record)
    yield from _fronts(record)


def _names(record: RunRecord) -> dict[str, str]:
    """Return what the trainings are called that curves belong to, by the names of the curves."""
    names: dict[str, str] = {}
    for kind, words in KINDS.items():
        for key in sorted(
            key for key, one in record.candidates.items() if key.startswith(f"{kind}-") and "of" not in one
        ):
            architecture, number = record.candidates[key]["architecture"], key.partition("-")[2]
            name = "reference" if architecture is None else Architecture.from_json(architecture).id
            # A known network has no number but its share of the time, such as 0.1.
            one = kind == "known" or (number == "0" and kind != "random")
            names.setdefault(name, words if one else f"{words} {int(number) + 1}")
    return names


def _sizes(record: RunRecord) -> Iterator[Titled]:
    points: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for key, trained in record.candidates.items():
        kind = KINDS.get(key.partition("-")[0])
        for name, value in trained.items():
            if kind and trained.get("multiply_adds") and name.startswith("validation_") and name != "validation_loss":
                points.setdefault(name, {}).setdefault(kind, []).append((trained["multiply_adds"], value))
    for name, kinds in points.items():
        series = [Series(kind, sorted(each), "dots", kind) for kind, each in kinds.items()]
        drawn = chart(series, x="multiply-adds", **SMALL)
        if sum(map(len, kinds.values())) > 1:
            yield f"Networks trained: {name.replace('_', ' ')} against multiply-adds", drawn


def _fronts(record: RunRecord) -> Iterator[Titled]:
    """Yield a chart for each cost that the run weighed: what nothing beats in score and costs, and the others."""
    shown = record.facts.get("shown") or {}
    measured = record.facts.get("front") or shown.get("front") or {"costs": {}}
    for cost, words in measured["costs"].items():
        kinds: dict[str, list[tuple[float, float]]] = {"on the front": [], "behind it": []}
        for point in measured["points"]:
            kinds["on the front" if point["front"] else "behind it"].append((point["costs"][cost], point["score"]))
        series = [Series(kind, sorted(points), "dots", kind) for kind, points in kinds.items()]
        yield f"Front: {measured['metric']} against {words}", chart(series, x=str(words), **SMALL)


def gains(shown: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the estimates of each measure, placed."""
    measures: dict[str, list[Estimate]] = {}
    for one in shown:
        for estimate in one.get("estimates", ()):
            measures.setdefault(one["measure"], []).append(Estimate(**estimate))
    return [{"measure": measure, **intervals(estimates)} for measure, estimates in measures.items()]


def comparison_of(records: Sequence[RunRecord]) -> Iterator[Mapping[str, Any]]:
    """Yield what was delivered by each run, under the run's name."""
    for record in records:
        shown = record.facts.get("shown") or {}
        found = [{**each, "label": record.name} for each in shown.get("estimates", ()) if each["found"]]
        yield {"estimates": found, "measure": shown.get("measure")}
