"""PPO against REINFORCE, per evaluation: how good the best architecture found so far is, and what the policy proposes.

    python benchmarks/ppo.py [--trials 400] [--seeds 20] [--rates 3.5e-3 3.5e-4] [--workers 1] [--json]

The space can be enumerated: a cell of three nodes, each a link to an earlier state and one of four operations, 1,536
architectures whose rewards were drawn once: a sum of terms for single decisions and for pairs of them, plus noise that
is an architecture's own. So the rank of every architecture is known, and an evaluation costs nothing. Both controllers
have the same policy, learning rate, minibatch and baseline (NASNet's, appendix A.2), no bound on the logits, and differ
in the loss: REINFORCE takes one step for a minibatch, PPO `epochs` clipped ones. Random search and REINFORCE with as
many steps are beside them. With `--workers` so many children of unequal length are under way at a time, by a clock of
their own, so that results come late and out of order. Reported are means over the seeds with Student's 95 % interval,
and paired differences.
"""

from __future__ import annotations

import argparse
import functools
import heapq
import itertools
import json
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from archwright.controllers.ppo import Ppo
from archwright.controllers.random import Random
from archwright.controllers.reinforce import Reinforce
from archwright.evaluators.function import Function
from archwright.loop import Evaluator, Proposal, Result, Trial, Trials, run
from archwright.report.statistics import mean_interval
from archwright.report.table import show_table
from archwright.space import Architecture, Choice, Option, Program, Space, enumerate_space

OPS = ("a", "b", "c", "d")
AT = (100, 200, 400)


@dataclass(frozen=True)
class SmallCell(Space):
    """Three nodes: a state and an operation each, as in a cell of NASNet."""

    name: ClassVar[str] = "small-cell"

    @property
    def vocabularies(self) -> Mapping[str, tuple[Option, ...]]:
        return {"op": OPS, **{f"state of {n}": tuple(range(n)) for n in (2, 3, 4)}}

    def decide(self) -> Program:
        for node in (2, 3, 4):
            yield Choice(f"{node}", tuple(range(node)), vocabulary=f"state of {node}")
            yield Choice(f"{node}/op", OPS, vocabulary="op")


@functools.lru_cache(maxsize=1)
def rewards() -> dict[Architecture, float]:
    """The reward of every architecture, from 0 to 1: single decisions are half of its variance, pairs a third."""
    source = np.random.default_rng(20)
    every = list(enumerate_space(SmallCell()))
    singles: dict[Any, float] = {}
    pairs: dict[Any, float] = {}
    parts = np.zeros((3, len(every)))
    for index, architecture in enumerate(every):
        answers = architecture.answers
        for i, answer in enumerate(answers):
            parts[0, index] += singles.setdefault(answer, source.normal())
            for other in answers[i + 1 :]:
                parts[1, index] += pairs.setdefault((answer, other), source.normal())
        parts[2, index] = source.normal()
    scaled = parts / parts.std(axis=1, keepdims=True) * np.sqrt([[1 / 2], [1 / 3], [1 / 6]])
    total = scaled.sum(axis=0)
    total = (total - total.min()) / (total.max() - total.min())
    return dict(zip(every, total.tolist(), strict=True))


class Simulated:
    """An engine whose children take log-normal times, the longest of them some ten times the shortest, by a clock of
    its own: the child that ends first ends when the last worker is given one."""

    def __init__(self, workers: int, seed: int) -> None:
        self.workers = workers
        self._now, self._source, self._order = 0.0, np.random.default_rng(seed), itertools.count()
        self._under_way: list[tuple[float, int, Future[Result], Result]] = []

    def submit(self, evaluator: Evaluator, proposal: Proposal) -> Future[Result]:
        future: Future[Result] = Future()
        ends = self._now + float(np.exp(0.6 * self._source.normal()))
        heapq.heappush(self._under_way, (ends, next(self._order), future, evaluator.evaluate(proposal)))
        if len(self._under_way) == self.workers:
            self._now, _, first, result = heapq.heappop(self._under_way)
            first.set_result(result)
        return future

    def close(self) -> None:
        pass


def searched(controller: Any, trials: int, workers: int, seed: int) -> list[float]:
    """The rewards of a search, in order."""
    table = rewards()
    engine = Simulated(workers, seed) if workers > 1 else None
    events = run(controller, Function(table.__getitem__), budget=Trials(trials + workers), engine=engine)
    told = (event.reward for event in events if isinstance(event, Trial))
    return list(itertools.islice(told, trials))


def controllers(rate: float, epochs: int) -> dict[str, Callable[[int], Any]]:
    """By name; each is made of a seed."""
    space = SmallCell()
    policy: dict[str, Any] = {"temperature": None, "tanh_constant": None, "learning_rate": rate}
    same = {**policy, "batch": 20, "baseline_decay": 0.95}
    return {
        "ppo": lambda seed: Ppo(space, **policy, epochs=epochs, seed=seed),
        "reinforce": lambda seed: Reinforce(space, **same, entropy_weight=1e-5, seed=seed),
        f"reinforce, rate x {epochs}": lambda seed: Reinforce(
            space, **{**same, "learning_rate": epochs * rate}, entropy_weight=1e-5, seed=seed
        ),
        "random": lambda seed: Random(space, seed=seed),
    }


def figures(values: list[float], trials: int) -> dict[str, float]:
    """Best reward after so many trials, and the mean reward of the last hundred."""
    at = sorted({n for n in AT if n < trials} | {trials})
    return {**{f"best of {n}": max(values[:n]) for n in at}, "mean of the last 100": float(np.mean(values[-100:]))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=400)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--rates", type=float, nargs="+", default=[3.5e-3, 3.5e-4])
    parser.add_argument("--workers", type=int, default=1, help="children under way at a time")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    best, mean = max(rewards().values()), float(np.mean(list(rewards().values())))
    found: dict[str, dict[str, list[dict[str, float]]]] = {}
    began, done = time.monotonic(), 0
    total = len(given.rates) * 4 * given.seeds
    for rate in given.rates:
        for name, make in controllers(rate, given.epochs).items():
            rows = []
            for seed in range(given.seeds):
                rows.append(figures(searched(make(seed), given.trials, given.workers, seed), given.trials))
                done += 1
                left = (time.monotonic() - began) / done * (total - done)
                if sys.stderr.isatty():
                    print(f"\r{done}/{total} searches, {left:.0f} s left   ", end="", file=sys.stderr, flush=True)
            found.setdefault(f"{rate:g}", {})[name] = rows
    if sys.stderr.isatty():
        print(file=sys.stderr)
    if given.json:
        print(json.dumps({"best": best, "mean": mean, "found": found}))
        return
    print(
        f"{len(rewards())} architectures, rewards 0 to {best:g}, mean {mean:.3f}; {given.seeds} seeds, 95 % intervals"
    )
    for rate, by_name in found.items():
        names = list(next(iter(by_name.values()))[0])
        rows = [[name, *[_interval([r[n] for r in by_name[name]]) for n in names]] for name in by_name]
        for other in list(by_name)[1:]:
            pairs = list(zip(by_name["ppo"], by_name[other], strict=True))
            rows.append([f"ppo less {other}", *[_interval([a[n] - b[n] for a, b in pairs], "+") for n in names]])
        print(f"\nlearning rate {rate}")
        show_table(("controller", *names), rows)


def _interval(values: list[float], sign: str = "") -> str:
    mean, low, high = mean_interval(values)
    return f"{mean:{sign}.3f} ({low:{sign}.3f} to {high:{sign}.3f})"


if __name__ == "__main__":
    main()
