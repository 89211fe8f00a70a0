"""Scoring functions for spaces too large for a table, so that strategies can be compared on them in seconds.

They do not imitate training. They have what makes such spaces hard (the worth of an operation depends on those before
and after it, different answers can mean one network, evaluations are noisy), and are not tuned to a strategy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

import numpy as np

from archwright.evaluators.table import Table
from archwright.space import Architecture
from archwright.spaces.cells import wiring
from archwright.spaces.enas_micro import OPERATIONS, EnasMicro

WIDTH, TARGETS = 12, 6  # numbers in a signal, and signals whose images are compared with the wanted ones
NOISE = 0.3  # points, as between two trainings of one network
COST = 120.0  # seconds: the budget of NAS-Bench-201, 12,000 s, is a hundred trials here
STACK = ("normal", "reduction", "normal", "reduction", "normal")
_SEED = 20_180_203


@lru_cache(maxsize=1)
def _constants() -> tuple[dict[tuple[str, str], np.ndarray], np.ndarray, np.ndarray]:
    """Return a map for each operation of each cell, the input signals, and the wanted outputs."""
    rng = np.random.default_rng(_SEED)
    maps: dict[tuple[str, str], np.ndarray] = {}
    for cell in ("normal", "reduction"):
        for name in OPERATIONS:
            turn, _ = np.linalg.qr(rng.standard_normal((WIDTH, WIDTH)))
            share = 0.0 if name == "identity" else 0.5 if "3x3" in name else 0.8
            maps[cell, name] = (1 - share) * np.eye(WIDTH) + share * turn
    signals = rng.standard_normal((WIDTH, TARGETS))
    wanted = rng.standard_normal((WIDTH, TARGETS))
    return maps, signals, wanted / np.linalg.norm(wanted, axis=0)


def signal_score(architecture: Architecture, nodes: int = 5) -> float:
    """Return 0 to 100: how well a stack of the two cells turns fixed random signals into others, without the noise.

    A node is tanh of the sum of its operands, each the linear map of its operation; a cell's output is the mean of its
    loose ends, and its inputs are the outputs of the two cells before it. The score is the mean cosine between outputs
    and wanted outputs, from -1 to 1, as a share of 100.
    """
    maps, signals, wanted = _constants()
    cells = wiring(architecture, nodes)
    before = last = signals
    for cell in STACK:
        states = [before, last]
        used: set[int] = set()
        for node in cells[cell]:
            states.append(np.tanh(sum(maps[cell, op] @ states[source] for source, op in node)))
            used.update(source for source, _ in node)
        loose = [state for index, state in enumerate(states) if index not in used]
        before, last = last, np.mean(loose, axis=0)
    cosine = (last * wanted).sum(0) / (np.linalg.norm(last, axis=0) + 1e-9)
    return float(50 + 50 * cosine.mean())


def _look(architecture: Architecture) -> Mapping[str, float]:
    clean = signal_score(architecture)
    noise = float(np.random.default_rng(int(architecture.id, 16)).standard_normal())
    return {"validation_accuracy": clean + NOISE * noise, "test_accuracy": clean, "seconds": COST}


def signals() -> Table:
    """Return ENAS micro, 2.56e25 architectures, scored by `signal_score`; a search sees noise, and pays `COST`."""
    return Table(EnasMicro(), _look, name="ENAS micro, signals")


LANDSCAPES: dict[str, Callable[[], Table]] = {"signals": signals}
