"""JAHS-Bench-201 (Bansal et al. 2022) as a table: a cell together with the settings that it is trained with.

The authors' package `jahs_bench` has surrogates for cifar10, fashion_mnist and colorectal_histology; it takes them from
the folder, or downloads them there:

    JAHS_BENCH=FOLDER archwright bench --table examples/jahs_bench_201.py:table --budget 100t
    JAHS_BENCH=FOLDER archwright bench --table examples/jahs_bench_201.py:latency --budget 100t

The second table is of the network's latency, of which less is better; what would have failed counts as 10 s.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from archwright.errors import ConfigError
from archwright.evaluators.table import Table
from archwright.space import Architecture, Choice, Program, Space

EPOCHS = 200
EDGES = tuple(f"Op{number}" for number in range(1, 7))
# What is a number in the benchmark is asked on a scale: a mutation goes one step up or down.
SCALES: Mapping[str, tuple[float, ...]] = {
    "LearningRate": (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0),
    "WeightDecay": (1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2),
    "N": (1, 3, 5),
    "W": (4, 8, 16),
    "Resolution": (0.25, 0.5, 1.0),
}
CHOICES: Mapping[str, tuple[Any, ...]] = {"Activation": ("ReLU", "Hardswish", "Mish"), "TrivialAugment": (False, True)}


@dataclass(frozen=True)
class Joint(Space):
    """The cell of NAS-Bench-201, the sizes of the network, and how it is trained."""

    name: ClassVar[str] = "jahs-bench-201"
    vocabularies: ClassVar = {"op": (0, 1, 2, 3, 4), **SCALES, **CHOICES}

    def decide(self) -> Program:
        for edge in EDGES:
            yield Choice(edge, self.vocabularies["op"], vocabulary="op")
        for name, options in SCALES.items():
            yield Choice(name, options, vocabulary=name, ordered=True)
        for name, options in CHOICES.items():
            yield Choice(name, options, vocabulary=name)


@dataclass(frozen=True)
class Look:
    """Asks a `jahs_bench.Benchmark`, or anything that is called as it is."""

    benchmark: Any

    def __call__(self, architecture: Architecture) -> Mapping[str, float]:
        """Return accuracies in per cent, the seconds of training and the seconds of a pass."""
        config = {**dict(architecture.answers), "Optimizer": "SGD"}
        found = self.benchmark(config, nepochs=EPOCHS)[EPOCHS]
        return {
            "validation_accuracy": float(found["valid-acc"]),
            "test_accuracy": float(found["test-acc"]),
            "seconds": float(found["runtime"]),
            "latency": float(found["latency"]),
        }


def table() -> Table:
    """Return the table of accuracies on CIFAR-10."""
    return Table(Joint(), Look(_benchmark()), name="JAHS-Bench-201, CIFAR-10")


def latency() -> Table:
    """Return the table of latencies."""
    settings = {"reward": "latency", "score": "latency", "less_is_better": ("latency",), "failure": 10.0}
    return Table(Joint(), Look(_benchmark()), name="JAHS-Bench-201, latency", **settings)


def _benchmark() -> Any:
    folder = os.environ.get("JAHS_BENCH")
    if folder is None:
        raise ConfigError("JAHS_BENCH=FOLDER must name the folder of the authors' surrogates")
    import jahs_bench

    return jahs_bench.Benchmark(task="cifar10", save_dir=folder, download=True)
