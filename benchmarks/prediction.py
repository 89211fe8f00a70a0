"""How well latencies that were never measured are predicted: the aims are 0.95 in rank and 10 % in the median.

    python benchmarks/prediction.py [--runtime eager] [--known 64] [--held 32] [--spaces stages,enas-micro]
    python benchmarks/prediction.py --kept FILE

Random architectures of small spaces, for 3 x 32 x 32, are measured one by one on one thread, batch 1. The predictor of
a search learns `--known` of them, as many as a search measures, and predicts the `--held` others. Those are measured
again after all the others, each network built anew: no prediction agrees better with a measurement than a second
measurement does. A prediction is compared with the mean of both. `--keep FILE` writes what was measured, and `--kept
FILE` predicts from it again.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from scipy.stats import spearmanr

from archwright.costs.network_costs import Costs
from archwright.costs.operations import Operation, Operations
from archwright.costs.predictor import Predictor
from archwright.costs.target import Runtime, Target
from archwright.errors import ChildFailure
from archwright.export.program import Program
from archwright.nets.network import without_auxiliary
from archwright.report.table import show_table
from archwright.space import Architecture, Space, Task, sample
from archwright.spaces import Darts, EnasMacro, EnasMicro, Grammar, NasNet
from archwright.spaces.stages import Stages
from archwright.training.child import child_network

TASK = Task(3, 32, 32, 10)
SPACES: dict[str, Space] = {
    "stages": Stages(widths=(8, 12, 16, 24, 32, 48, 64), blocks=(1, 2, 3), most_stages=4, training=False),
    "enas-micro": EnasMicro(nodes=3, repeats=1, filters=16),
    "enas-macro": EnasMacro(layers=6, filters=16),
    "nasnet": NasNet(blocks=3, repeats=1, filters=16),
    "darts": Darts(nodes=3, repeats=1, filters=16),
    "grammar": Grammar(operations=60, multiply_adds=30_000_000, parameters=1_000_000),
}
COLUMNS = ("space", "latencies, ms", "rank correlation", "median error", "90 %", "measured twice: rank", "difference")
LEAST = 0.05  # milliseconds: a grammar's smallest sentences compute nothing


@dataclass(frozen=True)
class Measured:
    """A network: its operations, and its latency each time that it was measured, in milliseconds."""

    operations: Operations
    latencies: list[float]

    def to_json(self) -> Any:
        return [[*astuple(one), times] for one, times in self.operations.items()], self.latencies

    @staticmethod
    def from_json(data: Any) -> Measured:
        return Measured(Counter({Operation(*one): times for *one, times in data[0]}), data[1])


def measured(space: Space, known: int, held: int, target: Target, seed: int) -> list[Measured]:
    """Measure so many architectures, and the `held` last ones again."""
    final = space.final(**{name: getattr(space, name) for name in ("filters", "repeats") if hasattr(space, name)})

    def build(architecture: Architecture) -> Any:
        return without_auxiliary(child_network(final, architecture, TASK, seed))

    def program(network: Any, batch: int) -> Program:
        return Program(network, {"images": torch.rand(batch, 3, 32, 32)}, ("logits",), {})

    def latency(costs: Costs, architecture: Architecture) -> float:
        return costs.of(architecture, ["latency_ms"])["latency_ms"]

    def found() -> Iterator[tuple[Architecture, Measured]]:
        costs, number = Costs(build, program, lambda network: 0.0, target), 0
        while True:
            architecture, number = sample(space, (seed, number)), number + 1
            try:
                once = latency(costs, architecture)
            except ChildFailure:
                continue
            if once > LEAST:
                yield architecture, Measured(costs.sketched(architecture, ())[1], [once])

    each = found()
    rows = [next(each) for _ in range(known + held)]
    again = Costs(build, program, lambda network: 0.0, target)
    for architecture, one in rows[known:]:
        one.latencies.append(latency(again, architecture))
    return [one for _, one in rows]


def row(name: str, rows: Sequence[Measured]) -> list[str]:
    """Predict those measured twice from the others, and compare; a row of the table."""
    known, held = ([one for one in rows if len(one.latencies) == times] for times in (1, 2))
    predictor = Predictor([(one.operations, {"latency_ms": one.latencies[0]}) for one in known])
    made = np.array([predictor.of(one.operations)["latency_ms"] for one in held])
    once, twice = np.array([one.latencies for one in held]).T
    true = (once + twice) / 2
    errors = np.abs(made - true) / true
    return [
        *(name, f"{true.min():.2f} to {true.max():.2f}"),
        *(f"{spearmanr(true, made).statistic:.3f}", f"{np.median(errors):.1%}", f"{np.quantile(errors, 0.9):.1%}"),
        *(f"{spearmanr(once, twice).statistic:.3f}", f"{np.median(np.abs(once - twice) / true):.1%}"),
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runtime", choices=get_args(Runtime), default="eager")
    parser.add_argument("--known", type=int, default=64, help="architectures that the predictor learns")
    parser.add_argument("--held", type=int, default=32, help="architectures that it predicts")
    parser.add_argument("--spaces", default=",".join(SPACES))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="write what was measured")
    parser.add_argument("--kept", type=Path, help="read what was measured")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    kept: dict[str, Any] = json.loads(given.kept.read_text()) if given.kept else {"runtime": given.runtime}
    target, begun = Target(kept["runtime"]), time.process_time()
    rows = []
    for name in kept if given.kept else given.spaces.split(","):
        if name in SPACES:
            if not given.kept:
                found = measured(SPACES[name], given.known, given.held, target, given.seed)
                kept[name] = [one.to_json() for one in found]
                if given.keep:
                    given.keep.write_text(json.dumps(kept))
            rows.append(row(name, [*map(Measured.from_json, kept[name])]))
    show_table(COLUMNS, rows, title=f"{target.words()}; {time.process_time() - begun:.0f} s")


if __name__ == "__main__":
    main()
