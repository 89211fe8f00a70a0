"""What a search for dishes delivers: a few that differ, the front of plausible and novel, and the files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeAlias

from archwright.cli.cooking.order import Order
from archwright.files import write
from archwright.fronts import front
from archwright.loop import Trial
from archwright.modalities.recipes.explain import explained, lines_of
from archwright.modalities.recipes.plausibility import Dish
from archwright.modalities.recipes.scoring import Scoring
from archwright.pages.report import write_report
from archwright.report.escape import for_markdown, for_terminal
from archwright.report.labels import label
from archwright.report.picture import FAINT, plot
from archwright.runs.front import spread
from archwright.store import RunStore

ALIKE = (0.5, 0.75, 1.01)  # two dishes shown have less of their ingredients in common; or, if too few do, the next
MOST_POINTS, ON_A_PAGE, DRAWN = 4000, 500, 3
FOUND = "#0f5f96"
LABELS = {"novel": "novel: distance from the nearest known dish"}
SPREAD = 5  # places of a front for each dish shown, the most apart first
Values: TypeAlias = "tuple[float, ...]"


def conclude(store: RunStore, scoring: Scoring, order: Order) -> None:
    """Choose the dishes, explain them, and write everything into the run folder. Can be done again."""
    trials, best = list(store.trials()), dict[Dish, Trial]()
    for trial in trials:
        if trial.result.error is None:
            best.setdefault(scoring.dish(trial.architecture), trial)
    ranked = sorted(best, key=lambda dish: (-best[dish].reward, dish))
    values = {dish: tuple(one(best[dish].result.metrics) for one in order.front.values()) for dish in ranked}

    def described(dish: Dish) -> dict[str, Any]:
        trial = best[dish]
        about = {"architecture": trial.architecture.id, "reward": trial.reward}
        read = dict.fromkeys(("plausible", "novel", *order.reward.needs))
        about["figures"] = {name: trial.result.metrics[name] for name in read}
        about |= explained(scoring.tasting, dish, trial.result.metrics)
        return about | {"ingredients": list(scoring.space.dish(trial.architecture)[0])}  # those given come first

    given, data, ratings = len(scoring.space.given), scoring.tasting.data, scoring.tasting.ratings
    on_front = sorted((ranked[place] for place in front([values[dish] for dish in ranked])), key=values.__getitem__)
    if order.pareto:
        apart = [on_front[place] for place in spread([values[dish] for dish in on_front], SPREAD * order.count)]
        picked = sorted(different(apart, order.count, given), key=values.__getitem__, reverse=True)
    else:
        picked = different(ranked, order.count, given)
    result: dict[str, Any] = {
        "dishes": [described(dish) for dish in picked],
        "front": [described(dish) for dish in reversed(on_front)],
        "order": asdict(order),
        "objective": getattr(scoring.objective, "text", ""),
        "data": data.name,
        "split": data.split,
        "data_notes": [*data.notes, *([] if ratings is None else [ratings.words])],
        "trials": len(trials),
        "distinct": len(best),
        "failed_trials": sum(trial.result.error is not None for trial in trials),
        "run": str(store.folder),
    }
    result["summary"] = [summary(result), "", *lines_of(result["dishes"])]
    if best:
        graphs = [graph for dish in picked[:DRAWN] for graph in scoring.space.graphs(best[dish].architecture)]
        store.put("shown", {"graphs": [asdict(graph) for graph in graphs], "front": _points(order, values, on_front)})
        _draw(order, values, on_front, picked, store.folder)
    write(store.folder / "result.json", json.dumps(result, indent=1, ensure_ascii=False).encode())
    lines = [f"# Dishes from {for_markdown(data.name)}", "", "```", *map(for_terminal, result["summary"]), "```", ""]
    write(store.folder / "report.md", "\n".join([*lines, "![the front](front.png)", ""]).encode())
    store.put("result", result)  # last: a run that has one is finished
    write_report(store.folder)


def different(ranked: Sequence[Dish], count: int, given: int) -> list[Dish]:
    """Return the first dishes that have few ingredients in common (`ALIKE`), but for the `given` that all have."""
    picked: list[Dish] = []
    for bound in ALIKE:
        for dish in ranked:
            if len(picked) == count:
                return picked
            if dish not in picked and all(alike(dish, other, given) < bound for other in picked):
                picked.append(dish)
    return picked


def alike(a: Dish, b: Dish, given: int = 0) -> float:
    """Return the Jaccard similarity of the ingredients, but for those given."""
    common = len(set(a[0]) & set(b[0])) - given
    return common / max(1, len(a[0]) + len(b[0]) - 2 * given - common)


def summary(result: Mapping[str, Any]) -> str:
    """Return the search in one line."""
    failed = f", {result['failed_trials']:,} beyond a limit" if result["failed_trials"] else ""
    return (
        f"{len(result['dishes'])} of {result['distinct']:,} different dishes in {result['trials']:,} trials{failed}; "
        f"reward {result['objective']}; {result['split']}"
    )


def _points(order: Order, values: Mapping[Dish, Values], front: Sequence[Dish]) -> dict[str, Any]:
    """Return the front as plain data for the page of the run: the first objective against each of the others."""
    first, *others = order.front
    behind = [dish for dish in values if dish not in front]
    points = [(dish, False) for dish in behind[:: max(1, -(-len(behind) // ON_A_PAGE))]] + [
        (dish, True) for dish in front
    ]
    return {
        "metric": first,
        "costs": {name: LABELS.get(name, name) for name in others},
        "points": [
            {"front": on, "score": values[dish][0], "costs": dict(zip(others, values[dish][1:], strict=True))}
            for dish, on in points
        ],
    }


def _draw(
    order: Order, values: Mapping[Dish, Values], front: Sequence[Dish], picked: Sequence[Dish], folder: Path
) -> None:
    """Draw dishes as points, the second objective to the right and the first one up, and number those shown."""
    up, right, *_ = order.front
    at = {dish: (value[1], value[0]) for dish, value in values.items()}
    scored = list(at.values())[:: -(-len(at) // MOST_POINTS)]
    for kind in ("png", "svg"):
        with plot(folder / f"front.{kind}", "Dishes that the search scored", 4.4) as figure:
            axes = figure.subplots()
            axes.plot(*zip(*scored, strict=True), ls="", marker="o", ms=2, mew=0, color="#b9b9b9", label="scored")
            line = [at[dish] for dish in front]
            joined = {"lw": 1.2} if len(order.front) == 2 else {"ls": ""}  # of more than two it is no line
            axes.plot(*zip(*line, strict=True), color=FAINT, marker="o", ms=3.5, label="front", **joined)
            shown = [at[dish] for dish in picked]
            axes.plot(*zip(*shown, strict=True), ls="", marker="o", ms=6, color=FOUND, label="shown, by number")
            axes.set_xlabel(LABELS.get(right, right))
            axes.set_ylabel(LABELS.get(up, up))
            axes.grid()
            axes.legend(loc="lower left", fontsize=8.5)
            figure.draw_without_rendering()
            label(axes, [(str(number), *place) for number, place in enumerate(shown, start=1)], colour=FOUND)
