"""The records of value.py, one JSON object a line, and the tables made from them."""

from __future__ import annotations

import itertools
import json
import math
import os
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from archwright.report.statistics import mean_interval

PRODUCT = "archwright"
QUIET = 0.25  # cores that others may use during a run before the table warns
Record = dict[str, Any]
Interval = tuple[float, float, float]  # mean, low, high


def key(record: Record) -> tuple[str, float, str, int]:
    """What was run: data, minutes, contestant, seed."""
    return record["data"], float(record["minutes"]), record["contestant"], record["seed"]


def read(path: Path) -> list[Record]:
    """The records of a file; a line that was being written when the process was killed does not count."""
    records = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            records.append(json.loads(line))
        except ValueError:
            continue
    return records


def append(path: Path, record: Record) -> None:
    """Add a record and wait until the disk has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    before = path.read_bytes() if path.exists() else b""
    with path.open("a", encoding="utf-8") as file:
        file.write("\n" if before and not before.endswith(b"\n") else "")  # the process was killed in a line
        file.write(json.dumps(record) + "\n")
        file.flush()
        os.fsync(file.fileno())


@dataclass(frozen=True)
class Row:
    """A contestant on one data set with so many minutes. `scores`: by seed; accuracies are in per cent.

    `late`: seconds after the deadline, of the latest run. `others`: the most cores that other processes used meanwhile.
    `difference`: the product minus the best reference over the seeds of both, in points of accuracy or in per cent of
    the reference's perplexity; None of the references.
    """

    contestant: str
    scores: dict[int, float]
    score: Interval
    deviation: float
    seconds: tuple[float, float]
    late: float
    others: float | None
    parameters: float
    epochs: float | None
    failed: int
    difference: Interval | None = None


def groups(records: Iterable[Record]) -> Iterator[tuple[tuple[str, float], str, list[Row]]]:
    """For each data set and time: both, the metric, and the rows, best first."""
    latest = {key(record): record for record in records}  # a failed run that was repeated counts once
    for data, minutes in dict.fromkeys(which[:2] for which in latest):
        own = [record for which, record in latest.items() if which[:2] == (data, minutes)]
        metric = next((record["metric"] for record in own if "metric" in record), "accuracy")
        yield (data, minutes), metric, rows(own, metric)


def rows(records: Sequence[Record], metric: str) -> list[Row]:
    """The rows of one data set and time."""
    by_name: dict[str, list[Record]] = {}
    for record in records:
        by_name.setdefault(record["contestant"], []).append(record)
    known = [_row(name, own, metric) for name, own in by_name.items() if any("score" in record for record in own)]
    known.sort(key=lambda row: row.score[0], reverse=metric == "accuracy")
    best = next((row.scores for row in known if not is_product(row.contestant)), {})
    return [
        replace(row, difference=difference(row.scores, best, metric)) if is_product(row.contestant) else row
        for row in known
    ]


def is_product(contestant: str) -> bool:
    """Whether a contestant is archwright, with whatever flags, and not a reference."""
    return contestant.split()[0] == PRODUCT


def difference(ours: dict[int, float], theirs: dict[int, float], metric: str) -> Interval | None:
    """The mean over the seeds of both with Student's 95 % interval: points, or per cent of their perplexity."""
    pairs = [(ours[seed], theirs[seed]) for seed in sorted(ours.keys() & theirs.keys())]
    if not pairs:
        return None
    return mean_interval([a - b if metric == "accuracy" else 100 * (a / b - 1) for a, b in pairs])


def _row(name: str, records: Sequence[Record], metric: str) -> Row:
    ended = [record for record in records if "score" in record]
    scores = {record["seed"]: record["score"] * (100 if metric == "accuracy" else 1) for record in ended}
    seconds = [record["seconds"] for record in ended]
    others = [record["others"] for record in ended if record.get("others") is not None]
    epochs = [record["epochs"] for record in ended if record.get("epochs") is not None]
    return Row(
        name,
        scores,
        mean_interval(list(scores.values())),
        float(np.std(list(scores.values()), ddof=1)) if len(scores) > 1 else math.nan,
        (statistics.median(seconds), max(seconds)),
        max(record["seconds"] - 60 * record["minutes"] for record in ended),
        max(others, default=None),
        statistics.median(record["parameters"] for record in ended),
        statistics.median(epochs) if epochs else None,
        len(records) - len(ended),
    )


COLUMNS = (
    *("contestant", "seeds", "mean", "std", "95 % interval", "seconds", "longest", "late by"),
    *("others' cores", "parameters", "epochs", "minus the best reference"),
)


def cells(row: Row, metric: str) -> list[str]:
    """A row as people read it."""
    mean, low, high = row.score
    several = math.isfinite(high)
    return [
        row.contestant,
        f"{len(row.scores)}" + (f" ({row.failed} failed)" if row.failed else ""),
        f"{mean:.2f}",
        f"{row.deviation:.2f}" if several else "",
        f"{low:.2f} to {high:.2f}" if several else "",
        f"{row.seconds[0]:.0f}",
        f"{row.seconds[1]:.0f}",
        f"{row.late:+.0f}",
        "" if row.others is None else f"{row.others:.1f}",
        f"{row.parameters:,.0f}",
        "" if row.epochs is None else f"{row.epochs:.1f}",
        words(row.difference, metric),
    ]


def growth(records: Iterable[Record]) -> list[str]:
    """What more minutes bring archwright, over the seeds of both times, in words."""
    found: dict[tuple[str, str], list[tuple[float, str, Row]]] = {}
    for (data, minutes), metric, own in groups(records):
        for row in own:
            if is_product(row.contestant):
                found.setdefault((data, row.contestant), []).append((minutes, metric, row))
    lines = []
    for (data, contestant), times in found.items():
        times.sort(key=lambda time: time[0])
        for (before, _, less), (minutes, metric, more) in itertools.pairwise(times):
            gap = words(difference(more.scores, less.scores, metric), metric)
            lines.append(f"{data}, {contestant}: {minutes:g} minutes less {before:g} minutes {gap or 'of other seeds'}")
    return lines


def words(gap: Interval | None, metric: str) -> str:
    """A difference in words."""
    if gap is None:
        return ""
    middle, least, most = gap
    interval = f" ({least:+.2f} to {most:+.2f})" if math.isfinite(most) else ""
    return f"{middle:+.2f} {'points' if metric == 'accuracy' else '%'}{interval}"


def warnings(records: Sequence[Record]) -> list[str]:
    """What a reader of the tables must know."""
    ended = [record for record in records if "score" in record]
    found = []
    if seeds := max((len(row.scores) for _, _, own in groups(records) for row in own), default=0):
        words = "one run says nothing of how runs differ" if seeds == 1 else "few seeds give wide intervals"
        found.append(f"{seeds} seeds at most, intervals are Student's over seeds: {words}")
    busy = sum((record.get("others") or 0) > QUIET + bool(record.get("busy")) for record in ended)
    if busy:
        found.append(f"{busy} of {len(ended)} runs were beside other work; repeat them on a quiet machine")
    commits = sorted({str(record["commit"]) for record in ended if record.get("commit")})
    if len(commits) > 1:
        found.append(f"runs of different versions are together: {', '.join(commits)}")
    failed = [record for record in {key(record): record for record in records}.values() if "score" not in record]
    found += [f"{r['contestant']} on {r['data']}, {r['minutes']:g} min, seed {r['seed']}: {r['error']}" for r in failed]
    return found
