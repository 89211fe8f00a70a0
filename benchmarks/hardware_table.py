"""What hardware.py measured: files of all contestants, and who is faster or more accurate than a network by hand."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from archwright.report.statistics import mean_interval, paired_difference, wilson
from archwright.report.table import show_table
from hardware_files import correct
from value_table import Record, key

LATENCIES = "latencies"  # the record of all latencies of a seed
OURS = ("front", "within")
COLUMNS = ("contestant", "network", "test accuracy, %", "95 %", "ms", "95 %", "file, kB")


def files_of(records: Iterable[Record], facts: Record) -> list[Record]:
    """The files of a contestant in its latest record."""
    found: list[Record] = []
    for record in records:
        if key(record) == key(facts):
            found = record.get("files", [])
    return found


def show(records: Sequence[Record]) -> None:
    """Print a table for each data set, time and seed, and the comparisons."""
    latest = {key(record): record for record in records}
    groups = dict.fromkeys((data, minutes) for data, minutes, _, _ in latest)
    for data, minutes in groups:
        own = [record for which, record in latest.items() if which[:2] == (data, minutes)]
        faster: dict[str, list[float]] = {}
        better: dict[str, list[float]] = {}
        for seed in sorted({record["seed"] for record in own}):
            here = [record for record in own if record["seed"] == seed]
            times = next((record for record in here if record["contestant"] == LATENCIES), None)
            named = [(record, one) for record in here for one in record.get("files", ())]
            if times is None or any(one["file"] not in times["milliseconds"] for _, one in named):
                print(f"{data}, {minutes:g} minutes, seed {seed}: latencies are not measured yet")
                continue
            rows = sorted((_row(record, one, times) for record, one in named), key=lambda row: float(row[4]))
            show_table(
                COLUMNS, rows, title=f"{data}, {minutes:g} minutes, seed {seed}, ONNX Runtime, one thread, batch 1"
            )
            for record in here:
                print(_conditions(record))
            for line in _comparisons(named, times, faster, better):
                print(line)
            print()
        for name in faster if max(map(len, faster.values()), default=0) > 1 else ():
            times_, low, high = map(math.exp, mean_interval(faster[name]))
            points, *ends = mean_interval(better[name])
            print(
                f"{data}, {minutes:g} minutes, {len(faster[name])} seeds, beside {name}: {times_:.2f} times faster "
                f"({low:.2f} to {high:.2f}), {points:+.2f} points ({ends[0]:+.2f} to {ends[1]:+.2f})"
            )


def _row(record: Record, one: Record, times: Record) -> list[str]:
    count = len(correct(one))
    low, high = wilson(round(one["accuracy"] * count), count)
    middle, *ends = times["milliseconds"][one["file"]]
    return [
        *(record["contestant"], one["name"], f"{one['accuracy']:.2%}"[:-1], f"{100 * low:.2f} to {100 * high:.2f}"),
        *(f"{middle:.4f}", f"{ends[0]:.4f} to {ends[1]:.4f}", f"{one['bytes'] / 1000:,.0f}"),
    ]


def _conditions(record: Record) -> str:
    if "error" in record:
        return f"{record['contestant']}: {record['error']}"
    if record["contestant"] == LATENCIES:
        return f"latencies: medians of {record['rounds']} turns"
    others = "" if record.get("others") is None else f", other processes used {record['others']:.1f} cores"
    return f"{record['contestant']}: {record['seconds']:.0f} s{others}, version {record['commit']}"


def _comparisons(
    named: Sequence[tuple[Record, Record]],
    times: Record,
    faster: dict[str, list[float]],
    better: dict[str, list[float]],
) -> Iterable[str]:
    """Yield the words for each network by hand and each kind of ours, and collect what several seeds average."""
    kinds = dict.fromkeys(record["contestant"] for record, _ in named if record["contestant"].split()[0] in OURS)
    for record, hand in named:
        if record["contestant"] in kinds:
            continue
        for kind in kinds:
            ours = [one for other, one in named if other["contestant"] == kind]
            name = f"{hand['name']} ({kind})"
            how = {one["file"]: times["ratios"][hand["file"]][one["file"]] for one in ours}  # above one: ours is faster
            equal = [one for one in ours if one["accuracy"] >= hand["accuracy"]]
            if equal:
                best = max(equal, key=lambda one: how[one["file"]][0])
                ratio, low, high = how[best["file"]]
                yield (
                    f"beside {name}, at equal accuracy {ratio:.2f} times faster ({low:.2f} to {high:.2f}): "
                    f"{best['name']}, {_difference(best, hand)[0]}"
                )
                faster.setdefault(name, []).append(math.log(ratio))
            else:
                best = max(ours, key=lambda one: one["accuracy"])
                yield f"beside {name}: none is as accurate; the best, {best['name']}, {_difference(best, hand)[0]}"
            if quick := [one for one in ours if how[one["file"]][0] >= 1]:
                best = max(quick, key=lambda one: one["accuracy"])
                words, points = _difference(best, hand)
                ratio, low, high = how[best["file"]]
                yield (
                    f"beside {name}, at equal latency {words}: {best['name']}, "
                    f"{ratio:.2f} times faster ({low:.2f} to {high:.2f})"
                )
                better.setdefault(name, []).append(points)
            else:
                yield f"beside {name}: none is as fast"


def _difference(ours: Record, theirs: Record) -> tuple[str, float]:
    """The difference in words and in points, paired by test image."""
    found: Any = paired_difference(correct(ours), correct(theirs))
    points, low, high = (100 * value for value in found)
    return f"{points:+.2f} points ({low:+.2f} to {high:+.2f})", points
