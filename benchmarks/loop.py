"""Trials per second of the loop itself: a function that returns a number, 20 choices, random proposals.

    python benchmarks/loop.py [--trials 1000] [--repeats 5] [--folder DIR] [--json]

Four loops take turns in the same process, so that their ratios hold on a busy machine too: `run` with every trial
recorded in the run's store, `run` without a store, and as a reference a loop that only inserts one row per transaction
into SQLite, leaving the fsync to the system (`synchronous=NORMAL`) and with one per transaction (`FULL`). The store
does the first for trials, with an fsync once a second. Each figure is the median over the repeats. The folder decides
what an fsync costs: name one on the disk that runs will be on.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from archwright.controllers.random import Random
from archwright.evaluators.function import Function
from archwright.loop import Trials, run
from archwright.space import Choice, Option, Program, Space
from archwright.store import RunStore

OPTIONS = tuple(f"option {number}" for number in range(8))


@dataclass(frozen=True)
class Choices(Space):
    """Twenty choices of eight options."""

    name: ClassVar[str] = "choices"

    @property
    def vocabularies(self) -> Mapping[str, tuple[Option, ...]]:
        """One, of eight options."""
        return {"option": OPTIONS}

    def decide(self) -> Program:
        """Always the same questions."""
        for number in range(20):
            yield Choice(f"choice {number}", OPTIONS, "option")


def search(trials: int, store: RunStore | None) -> None:
    for _ in run(Random(Choices()), Function(lambda architecture: 1.0), budget=Trials(trials), store=store):
        pass


def with_store(trials: int, folder: Path) -> float:
    with RunStore(folder, create=True) as store:
        began = time.perf_counter()
        search(trials, store)
        return time.perf_counter() - began


def in_memory(trials: int, folder: Path) -> float:
    began = time.perf_counter()
    search(trials, None)
    return time.perf_counter() - began


def bare(synchronous: str) -> Callable[[int, Path], float]:
    def insert(trials: int, folder: Path) -> float:
        folder.mkdir()
        connection = sqlite3.connect(folder / "bare.sqlite", isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        connection.execute("CREATE TABLE trials (number INTEGER PRIMARY KEY, architecture TEXT, reward REAL)")
        architecture = json.dumps([[f"choice {number}", OPTIONS[0]] for number in range(20)])
        began = time.perf_counter()
        for number in range(trials):
            connection.execute("INSERT INTO trials VALUES (?, ?, ?)", (number, architecture, 1.0))
        seconds = time.perf_counter() - began
        connection.close()
        return seconds

    return insert


LOOPS: dict[str, Callable[[int, Path], float]] = {
    "run, every trial recorded": with_store,
    "run, in memory": in_memory,
    "bare SQLite, NORMAL": bare("NORMAL"),
    "bare SQLite, FULL": bare("FULL"),
}


def measure(trials: int, repeats: int, folder: Path | None) -> dict[str, float]:
    """Trials per second of each loop: the median over the repeats, after one turn that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in LOOPS}
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        for repeat in range(repeats + 1):
            for number, (name, loop) in enumerate(LOOPS.items()):
                seconds[name].append(loop(trials, Path(scratch, f"{repeat}-{number}")))
    return {name: trials / statistics.median(times[1:]) for name, times in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1000, help="trials per repeat")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where the stores are written, for the time of it")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    rates = measure(arguments.trials, arguments.repeats, arguments.folder)
    if arguments.json:
        print(json.dumps({"trials": arguments.trials, "repeats": arguments.repeats, "trials_per_second": rates}))
        return
    ours = next(iter(rates.values()))
    print(f"{'loop':<28}{'trials/s':>10}{'x the first':>14}")
    for name, rate in rates.items():
        print(f"{name:<28}{rate:>10.0f}{rate / ours:>14.2f}")


if __name__ == "__main__":
    main()
