"""How long the workers of a search wait: children of unequal length, trained by local processes, with PPO.

    python benchmarks/workers.py [--workers 2] [--children 60] [--seconds 1.0] [--train] [--json]

A child's length is drawn from its architecture: log-normal, the longest some ten times the shortest. Children sleep for
that long, which measures the queue and not the machine; with `--train` they compute for that long instead. Every child
notes when it began and ended, by the clock of the system. Idle is the time between a worker's first child and the
moment when the last child begins, in which it has no child; before that workers start, after that there is nothing left
to do. Beside it is what waiting for the slowest of each round of `workers` children would have cost.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time

import numpy as np

from archwright.controllers.ppo import Ppo
from archwright.engines.processes import LocalProcesses
from archwright.evaluators.function import Function
from archwright.loop import Result, Trial, Trials, run
from archwright.space import Architecture
from archwright.spaces.nasnet import NasNet


def length(architecture: Architecture, seconds: float) -> float:
    """The seconds of a child: log-normal, with this median."""
    return float(seconds * np.exp(0.6 * np.random.default_rng(int(architecture.id, 16)).normal()))


class Child:
    """Lasts as long as `length` says; its reward is how fast it is."""

    def __init__(self, seconds: float, train: bool) -> None:
        self.seconds, self.train = seconds, train

    def __call__(self, architecture: Architecture) -> Result:
        import os

        began, lasts = time.time(), length(architecture, self.seconds)
        if self.train:
            matrix = np.ones((300, 300))
            while time.time() < began + lasts:
                matrix = matrix @ matrix / 300
        else:
            time.sleep(lasts)
        return Result(1 / lasts, {"began": began, "ended": time.time(), "worker": float(os.getpid())})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--children", type=int, default=60)
    parser.add_argument("--seconds", type=float, default=1.0, help="the median length of a child")
    parser.add_argument("--train", action="store_true", help="compute instead of sleeping")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    controller = Ppo(NasNet(), seed=0)
    with LocalProcesses(given.workers) as engine:
        evaluator = Function(Child(given.seconds, given.train))
        events = run(controller, evaluator, budget=Trials(given.children), engine=engine)
        trials = [event for event in events if isinstance(event, Trial)]
    metrics = [trial.result.metrics for trial in trials]
    last = max(m["began"] for m in metrics)
    idle = busy = 0.0
    for worker in {m["worker"] for m in metrics}:
        own = sorted((m["began"], m["ended"]) for m in metrics if m["worker"] == worker)
        worked = sum(min(ended, last) - began for began, ended in own)
        busy += worked
        idle += last - own[0][0] - worked
    lengths = [m["ended"] - m["began"] for m in sorted(metrics, key=lambda m: m["began"])]
    rounds = [lengths[i : i + given.workers] for i in range(0, len(lengths), given.workers)]
    waiting = 1 - sum(lengths) / (given.workers * sum(max(r) for r in rounds))
    result = {
        "workers": len({m["worker"] for m in metrics}),
        "children": len(trials),
        "shortest": min(lengths),
        "longest": max(lengths),
        "updates": controller.metrics()["updates"],
        "out_of_order": sum(b.number < a.number for a, b in itertools.pairwise(trials)),
        "idle_share": idle / (idle + busy),
        "idle_share_in_rounds": waiting,
    }
    if given.json:
        print(json.dumps(result))
        return
    print(
        f"{result['children']} children of {result['shortest']:.2f} to {result['longest']:.2f} s, "
        f"{result['workers']} workers"
    )
    print(f"{result['updates']:.0f} updates of the controller; {result['out_of_order']} results before an older one")
    print(f"idle: {result['idle_share']:.2%} of the workers' time; in rounds it would be {waiting:.1%}")


if __name__ == "__main__":
    main()
