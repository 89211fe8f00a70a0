"""NAS-Bench-101 (Ying et al. 2019) as a table: cells of up to seven vertices and nine edges, 423,624 different ones.

The figures are read by the authors' package `nasbench` from their file nasbench_only108.tfrecord:

    NAS_BENCH_101=nasbench_only108.tfrecord archwright bench --table examples/nas_bench_101.py:table --budget 1000000s

A matrix with more than nine edges, or whose output is not connected, is in no table: it is a failed child, which costs
a second and one of the trials. Most matrices drawn at random are such; a space that asks for nine edges has fewer.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean
from typing import Any, ClassVar

from archwright.errors import ConfigError
from archwright.evaluators.table import Table
from archwright.space import Architecture, Choice, Program, Space

VERTICES, EPOCHS = 7, 108
OPERATIONS = ("conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3")
EDGES = tuple(combinations(range(VERTICES), 2))
FAILED = {"validation_accuracy": math.nan, "test_accuracy": math.nan, "seconds": 1.0}


@dataclass(frozen=True)
class NasBench101(Space):
    """Whether there is each edge of an upper triangular matrix, and the operation of each inner vertex."""

    name: ClassVar[str] = "nas-bench-101"
    vocabularies: ClassVar = {"edge": (False, True), "op": OPERATIONS}

    def decide(self) -> Program:
        for source, target in EDGES:
            yield Choice(f"{target}<-{source}", (False, True), vocabulary="edge")
        for vertex in range(1, VERTICES - 1):
            yield Choice(f"{vertex}", OPERATIONS, vocabulary="op")


@dataclass(frozen=True)
class Look:
    """Looks an architecture up with the functions of `nasbench.api`: `data` is a `NASBench`, `spec` is `ModelSpec`."""

    data: Any
    spec: Any

    def __call__(self, architecture: Architecture) -> Mapping[str, float]:
        """Return the mean accuracies in per cent, and the seconds of training, of three trainings."""
        matrix = [[0] * VERTICES for _ in range(VERTICES)]
        for source, target in EDGES:
            matrix[source][target] = int(bool(architecture[f"{target}<-{source}"]))
        inner = [str(architecture[f"{vertex}"]) for vertex in range(1, VERTICES - 1)]
        spec = self.spec(matrix=matrix, ops=["input", *inner, "output"])
        if not self.data.is_valid(spec):
            return FAILED
        _, computed = self.data.get_metrics_from_spec(spec)
        runs = computed[EPOCHS]
        return {
            "validation_accuracy": 100 * fmean(run["final_validation_accuracy"] for run in runs),
            "test_accuracy": 100 * fmean(run["final_test_accuracy"] for run in runs),
            "seconds": fmean(run["final_training_time"] for run in runs),
        }


def table() -> Table:
    """Read the file that the environment variable NAS_BENCH_101 names."""
    path = os.environ.get("NAS_BENCH_101")
    if path is None:
        raise ConfigError("NAS_BENCH_101=FILE must name the authors' nasbench_only108.tfrecord")
    from nasbench import api

    return Table(NasBench101(), Look(api.NASBench(path), api.ModelSpec), best=94.32, name="NAS-Bench-101")
