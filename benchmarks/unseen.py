"""Strategies on tables made from an .npz of NAS-Bench-201 that no setting was chosen on: regret after some trials.

python benchmarks/unseen.py FILE --trials 50 --runs 10

The tables: validation accuracy after 200 epochs; accuracy after 12 epochs against latency on each device, as MnasNet
has it (accuracy x (latency / median latency)^-0.07), judged by the same with the test accuracy; minus the latency of a
device, whose rewards are all negative; `shuffled`, where figures are those of another cell, so that nothing can be
learned; and `noisy`, normal scores of the accuracy with noise of three times their deviation, judged by the test
accuracy.
"""

from __future__ import annotations

import argparse
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from archwright.controllers.surrogate import normal_scores
from archwright.evaluators.table import Table
from archwright.lab.contest import Allowance, search
from archwright.lab.nas_bench_201 import FromArrays
from archwright.lab.strategies import strategies
from archwright.space import Architecture
from archwright.spaces import NasBench201

SEEN = (0, 1, 2, 3, 4, 9, 13, 17, 20, 23)  # devices that docs/lab.md reports `reinforce` on
NOISE = 3.0


def tables(path: Path) -> Iterator[Table]:
    """Yield the tables, each with the best score there is."""
    rows = FromArrays(path, latencies=True).rows
    keys, rng = list(rows), np.random.default_rng(7)
    column = {name: np.array([row[name] for row in rows.values()]) for name in next(iter(rows.values()))}
    reward, score = column["validation_accuracy"], column["test_accuracy"]

    def made(name: str, reward: np.ndarray, score: np.ndarray) -> Table:
        found = dict(zip(keys, zip(reward.tolist(), score.tolist(), strict=True), strict=True))

        def look(architecture: Architecture) -> dict[str, float]:
            seen, kept = found[tuple([str(answer) for _, answer in architecture.answers])]
            return {"validation_accuracy": seen, "test_accuracy": kept}

        return Table(NasBench201(), look, best=float(score.max()), name=name)

    yield made("200 epochs", column["validation_accuracy_200"], score)
    order = rng.permutation(len(keys))
    yield made("shuffled", reward[order], score[order])
    yield made("noisy", normal_scores(reward) + NOISE * rng.standard_normal(len(keys)), score)
    devices = [name for name in column if name.startswith("latency_ms_")]
    for number, name in enumerate(devices):
        weight = (column[name] / np.median(column[name])) ** -0.07
        if number not in SEEN:
            yield made(name.removeprefix("latency_ms_"), reward * weight, score * weight)
    yield made(f"minus {devices[-1]}", -column[devices[-1]], -column[devices[-1]])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--strategies", default="guided,local,evolution,random", help="as in archwright bench")
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--only", default="", help="tables whose name holds this")
    given = parser.parse_args()
    compared = strategies(given.strategies)
    print(f"regret after {given.trials} trials, mean of {given.runs} searches +- its standard error")
    for table in tables(given.file):
        if given.only not in table.name:
            continue
        words = []
        for strategy in compared:
            courses = [search(table, strategy, run, Allowance(trials=given.trials)) for run in range(given.runs)]
            regret = np.array([(table.best or 0.0) - course.score for course in courses])
            words.append(f"{strategy.label} {regret.mean():.3f} +- {regret.std() / len(regret) ** 0.5:.3f}")
        print(f"{table.name:28} {', '.join(words)}", flush=True)


if __name__ == "__main__":
    main()
