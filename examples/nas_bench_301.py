"""NAS-Bench-301 (Zela et al. 2022) as a table: the space of DARTS, scored by surrogates that the authors have trained.

Their package `nasbench301` loads two folders, one for accuracies and one for seconds:

    NAS_BENCH_301=xgb_v1.0:lgb_runtime_v1.0 archwright bench --table examples/nas_bench_301.py:table --budget 100t

A search sees the surrogate's score with the noise of a training, and is judged by the score without it.
"""

from __future__ import annotations

import os
from collections import namedtuple
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from archwright.errors import ConfigError
from archwright.evaluators.table import Table
from archwright.space import Architecture
from archwright.spaces import Darts

Genotype = namedtuple("Genotype", "normal normal_concat reduce reduce_concat")  # what the package reads
SPACE = Darts()


@dataclass(frozen=True)
class Look:
    """Asks the surrogates of `nasbench301`, or anything with their `predict`."""

    accuracy: Any
    seconds: Any

    def __call__(self, architecture: Architecture) -> Mapping[str, float]:
        """Return accuracies in per cent, and the seconds of a training of 100 epochs."""
        normal, reduction = SPACE.to_genotype(architecture)
        nodes = list(range(2, SPACE.nodes + 2))
        asked = {"config": Genotype(normal, nodes, reduction, nodes), "representation": "genotype"}
        return {
            "noisy": float(self.accuracy.predict(**asked, with_noise=True)),
            "accuracy": float(self.accuracy.predict(**asked, with_noise=False)),
            "seconds": float(self.seconds.predict(**asked)),
        }


def table() -> Table:
    """Load the two surrogates that the environment variable NAS_BENCH_301 names."""
    accuracy, _, seconds = os.environ.get("NAS_BENCH_301", "").partition(":")
    if not seconds:
        raise ConfigError("NAS_BENCH_301=FOLDER:FOLDER must name the surrogates of accuracy and of seconds")
    import nasbench301

    look = Look(nasbench301.load_ensemble(accuracy), nasbench301.load_ensemble(seconds))
    return Table(SPACE, look, reward="noisy", score="accuracy", name="NAS-Bench-301")
