"""Compares finished runs: accuracy and size of their networks, beside the results of papers on the same data."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archwright.errors import RunError
from archwright.report.published import reported
from archwright.report.tradeoff import Point
from archwright.stored import load, reading


@dataclass(frozen=True)
class Compared:
    """The networks trained on one data set, whose name is `data`."""

    data: str
    points: tuple[Point, ...]


def compared(folders: Sequence[Path]) -> list[Compared]:
    """Return the networks of these runs (or of folders that `archwright train` wrote), by data set.

    Data sets are the same if name, classes and number of test images are. Raises RunError if a folder has no result of
    images.
    """
    groups: dict[tuple[str, frozenset[str], int], list[Point]] = {}
    folders = list(dict.fromkeys(folders))
    names = Counter(folder.resolve().name for folder in folders)
    for folder in folders:
        result, name = _result(folder), folder.resolve().name
        name = name if names[name] == 1 else str(folder)
        with reading(folder / "result.json"):
            key = (
                Path(str(result.get("data", ""))).name,
                frozenset(result["per_class"].keys()),
                int(result["test_images"]),
            )
            groups.setdefault(key, []).extend(_points(name, result))
    return [Compared(data, (*points, *reported(classes, images))) for (data, classes, images), points in groups.items()]


def _result(folder: Path) -> dict[str, Any]:
    if not (folder / "result.json").is_file():
        raise RunError(f"{folder} has no result.json: it is no finished run")
    result = load(folder / "result.json")
    if not isinstance(result, dict) or "test_accuracy" not in result:
        raise RunError(f"{folder}: only runs on images have an accuracy to compare")
    return dict(result)


def _points(name: str, result: dict[str, Any]) -> list[Point]:
    points = [_point(f"{name}: found", "found", result)]
    for words, group in result.get("random_search", {}).items():
        if isinstance(group, dict):
            fair = "" if result.get("transferred") else f", {words.replace('_', ' ')}"
            points.append(_point(f"{name}: random{fair}", "random", group))
    if "reference" in result:
        points.append(_point(f"{name}: {result['reference']['network']}", "reference", result["reference"]))
    if "known" in result and not result["known"]["delivered"]:
        points.append(_point(f"{name}: {result['known']['network']}", "reference", result["known"]))
    return points


def _point(label: str, kind: str, figures: dict[str, Any]) -> Point:
    low, high = figures["test_interval"]
    size = figures.get("multiply_adds")  # older runs lack it for random networks
    accuracy, parameters = float(figures["test_accuracy"]), float(figures["parameters"])
    if not all(0 <= float(value) < math.inf for value in (accuracy, low, high, parameters, size or 0)):
        raise ValueError(f"figures of {label} that are not finite or below zero")
    return Point(label, kind, accuracy, (float(low), float(high)), parameters, None if size is None else float(size))
