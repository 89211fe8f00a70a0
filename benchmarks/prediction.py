"""How well latencies that were never measured are predicted: the aims are 0.95 in rank and 10 % in the median.

    python benchmarks/prediction.py [--runtime eager] [--known 64] [--held 32] [--spaces stages,enas-micro]

Random architectures of `stages` (up to four stages of up to 64 channels) and of `enas-micro` (3 nodes, 16 filters), for
3 x 32 x 32, are measured one by one on one thread, batch 1. The predictor of a search learns `--known` of them,
as many as a search measures, and predicts the `--held` others.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, get_args

import numpy as np
import torch
from scipy.stats import spearmanr

from archwright.costs.network_costs import Costs
from archwright.costs.predictor import Predictor
from archwright.costs.target import Runtime, Target
from archwright.export.program import Program
from archwright.nets.network import without_auxiliary
from archwright.report.table import show_table
from archwright.space import Architecture, Space, Task, sample
from archwright.spaces import EnasMicro
from archwright.spaces.stages import Stages
from archwright.training.child import child_network

TASK = Task(3, 32, 32, 10)
SPACES: dict[str, Space] = {
    "stages": Stages(widths=(8, 12, 16, 24, 32, 48, 64), blocks=(1, 2, 3), most_stages=4, training=False),
    "enas-micro": EnasMicro(nodes=3, repeats=1, filters=16),
}
COLUMNS = ("space", "measured", "rank correlation", "median error", "90 %", "a prediction, ms", "seconds")


def measured(space: Space, target: Target, seed: int) -> Iterator[tuple[Architecture, dict[str, float]]]:
    """Yield architectures with their latencies."""

    def build(architecture: Architecture) -> Any:
        return without_auxiliary(child_network(space.final(**_sizes(space)), architecture, TASK, seed))

    def program(network: Any, batch: int) -> Program:
        return Program(network, {"images": torch.rand(batch, 3, 32, 32)}, ("logits",), {})

    costs = Costs(build, program, lambda network: 0.0, target)
    number = 0
    while True:
        architecture, number = sample(space, (seed, number)), number + 1
        yield architecture, {"latency_ms": costs.of(architecture, ["latency_ms"])["latency_ms"]}


def _sizes(space: Space) -> dict[str, Any]:
    return {name: getattr(space, name) for name in ("filters", "repeats") if hasattr(space, name)}


def row(name: str, known: int, held: int, target: Target, seed: int) -> list[str]:
    """Measure, predict and compare; a row of the table."""
    begun, space = time.process_time(), SPACES[name]
    source = measured(space, target, seed)
    first, rest = ([next(source) for _ in range(count)] for count in (known, held))
    predictor = Predictor(space, first)
    predicting = time.process_time()
    predicted = np.array([predictor.of([one])[0]["latency_ms"] for one, _ in rest])
    each = 1000 * (time.process_time() - predicting) / held
    true = np.array([costs["latency_ms"] for _, costs in rest])
    errors = np.abs(predicted - true) / true
    span = f"{true.min():.2f} to {true.max():.2f} ms"
    return [
        *(f"{name}, {span}", f"{known} + {held}", f"{spearmanr(true, predicted).statistic:.3f}"),
        *(f"{np.median(errors):.1%}", f"{np.quantile(errors, 0.9):.1%}", f"{each:.2f}"),
        f"{time.process_time() - begun:.0f}",
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runtime", choices=get_args(Runtime), default="eager")
    parser.add_argument("--known", type=int, default=64, help="architectures that the predictor learns")
    parser.add_argument("--held", type=int, default=32, help="architectures that it predicts")
    parser.add_argument("--spaces", default=",".join(SPACES))
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    made = partial(row, known=given.known, held=given.held, target=Target(given.runtime), seed=given.seed)
    rows = [made(name) for name in given.spaces.split(",")]
    show_table(COLUMNS, rows, title=Target(given.runtime).words())


if __name__ == "__main__":
    main()
