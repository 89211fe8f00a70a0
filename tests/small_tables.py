"""A table of NAS-Bench-201 with made-up figures: of the cell that `enumerate_space` gives as number i."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from archwright.space import enumerate_space
from archwright.spaces.nas_bench_201 import EDGES, OPERATIONS, NasBench201


def write_npz(path: Path, *, shuffled: bool = False, devices: tuple[str, ...] = ()) -> Path:
    """Validation accuracy i / 1000, test accuracy i / 500, training of 1 to 7 s an epoch; on device d i + d ms."""
    names, edges = list(OPERATIONS), list(EDGES)
    if shuffled:
        names, edges = names[::-1], edges[::-1]
    everything = list(enumerate_space(NasBench201()))
    rows = np.arange(len(everything))
    if shuffled:
        rows = np.random.default_rng(0).permutation(rows)
    ops = [[names.index(str(everything[row][f"{t}<-{s}"])) for s, t in edges] for row in rows]
    np.savez(
        path,
        op_names=np.array(names),
        edges=np.array(edges, dtype=np.int8),
        ops=np.array(ops, dtype=np.int8),
        val_acc_12=rows / 1000,
        val_acc_200=rows / 800,
        test_acc_200=rows / 500,
        train_seconds_200=200.0 * (1 + rows % 7),
        hw_names=np.array(devices),
        hw_latency_ms=1.0 + rows[:, None] + np.arange(len(devices)),
    )
    return path
