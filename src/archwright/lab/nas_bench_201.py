"""Tables of NAS-Bench-201: from a plain .npz, and from the official files by the official packages.

A search sees the validation accuracy after 12 epochs and pays for 12 epochs of training and one look at the validation
part; what it found is judged by the test accuracy after 200 epochs. That is the protocol of Dong & Yang 2020.
"""

from __future__ import annotations

import importlib
import os
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch
from zipfile import BadZipFile

import numpy as np

from archwright.errors import ConfigError, MissingExtra
from archwright.evaluators.table import Table
from archwright.lab.volumes import bounded
from archwright.space import Architecture
from archwright.spaces.nas_bench_201 import EDGES, OPERATIONS, NasBench201

EPOCHS = 12.35  # 12 of training, and validation at about a third of the cost of one

FIGURES = ("val_acc_12", "val_acc_200", "test_acc_200", "train_seconds_200")
LATENCIES = ("hw_names", "hw_latency_ms")
NEEDED = ("ops", "op_names", "edges", *FIGURES)
CELLS = len(OPERATIONS) ** len(EDGES)
DATASETS = ("cifar10", "cifar100", "ImageNet16-120")  # of the official files, by their names there


class FromArrays:
    """A look-up in an .npz with a row for each architecture.

    `ops` [rows, 6] indexes `op_names` on the edges `edges`; `val_acc_12`, `val_acc_200`, `test_acc_200` are in per
    cent, `train_seconds_200` are of 200 epochs. With `latencies`, `hw_latency_ms` [rows, devices] are the figures
    `latency_ms_DEVICE`, of the devices in `hw_names`.
    """

    def __init__(self, path: Path, *, latencies: bool = False) -> None:
        arrays = _arrays(path, latencies=latencies)
        names = [str(name) for name in arrays["op_names"].flat]
        order = [tuple(edge) for edge in np.atleast_2d(arrays["edges"]).tolist()]
        if sorted(names) != sorted(OPERATIONS) or sorted(order) != sorted(EDGES):
            raise ConfigError(f"{path}: its operations are {names} and its edges {order}, not those of NAS-Bench-201")
        ops = arrays["ops"][:, [order.index(edge) for edge in EDGES]].astype(int)
        if not 0 <= ops.min() <= ops.max() < len(names):
            raise ConfigError(f"{path}: ops has numbers from {ops.min()} to {ops.max()} for {len(names)} op_names")
        figures = {
            "validation_accuracy": arrays["val_acc_12"],
            "seconds": arrays["train_seconds_200"].astype(float) / 200 * EPOCHS,
            "validation_accuracy_200": arrays["val_acc_200"],
            "test_accuracy": arrays["test_acc_200"],
        }
        if latencies:
            columns = zip(arrays["hw_names"].tolist(), arrays["hw_latency_ms"].T, strict=True)
            figures |= {f"latency_ms_{device}": column for device, column in columns}
        found = (dict(zip(figures, row, strict=True)) for row in np.stack(list(figures.values()), axis=1).tolist())
        self.rows = dict(zip((tuple(names[op] for op in row) for row in ops.tolist()), found, strict=True))
        if len(self.rows) < CELLS:
            raise ConfigError(f"{path}: ops has {len(self.rows):,} different cells, not the {CELLS:,} of NAS-Bench-201")

    def __call__(self, architecture: Architecture) -> Mapping[str, float]:
        """Return the figures of an architecture."""
        return self.rows[tuple([answer for _, answer in architecture.answers])]


def _arrays(path: Path, *, latencies: bool) -> dict[str, np.ndarray]:
    """Read the arrays, and check their shapes."""
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {name: file[name] for name in (*NEEDED, *(LATENCIES if latencies else ()))}
    except KeyError as error:
        raise ConfigError(f"{path}: a table of NAS-Bench-201 needs the array {error}") from None
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise ConfigError(f"{path} is not an .npz that can be read ({error})") from None
    shapes = {"ops": (CELLS, len(EDGES)), **dict.fromkeys(FIGURES, (CELLS,))}
    if latencies:
        shapes["hw_latency_ms"] = (CELLS, arrays["hw_names"].size)
    for name, wanted in shapes.items():
        array = arrays[name]
        if array.shape != wanted or array.dtype.kind not in "iuf":
            raise ConfigError(f"{path}: {name} must be numbers of shape {wanted}, it is {array.dtype} of {array.shape}")
    return arrays


class FromApi:
    """A look-up in the API of `nats_bench` or `nas_201_api`, once for each cell: nats_bench reads a file for it."""

    def __init__(self, api: Any, dataset: str = "cifar10") -> None:
        self.api, self.dataset, self.space = api, dataset, NasBench201()
        self._known: dict[Architecture, Mapping[str, float]] = {}

    def __call__(self, architecture: Architecture) -> Mapping[str, float]:
        """Return the figures of an architecture; the API averages several seeds."""
        if architecture in self._known:
            return self._known[architecture]
        index = self.api.query_index_by_arch(self.space.to_arch(architecture))
        if index < 0:  # for a cell that the packages do not know
            raise ConfigError(f"{self.space.to_arch(architecture)} is not in the official file")
        searched = f"{self.dataset}-valid" if self.dataset == "cifar10" else self.dataset
        seen = self.api.get_more_info(index, searched, hp="12", is_random=False)
        kept = self.api.get_more_info(index, self.dataset, hp="200", is_random=False)
        self._known[architecture] = {
            "validation_accuracy": seen["valid-accuracy"],
            "seconds": seen["train-all-time"] + seen["valid-per-time"],
            "test_accuracy": kept["test-accuracy"],
        }
        return self._known[architecture]


def from_npz(path: Path, pareto: tuple[str, ...] = ()) -> Table:
    """Return the table in an .npz (see `FromArrays`); of several objectives, such as accuracy and latency_ms_pixel3."""
    look = FromArrays(path, latencies=bool(pareto))
    rows = look.rows.values()
    best = max(row["test_accuracy"] for row in rows)
    table = Table(NasBench201(), look, best=best, name=f"NAS-Bench-201, {path.name}", pareto=pareto)
    if not pareto:
        return table
    if missing := [name for name in table.aims.needs if name not in next(iter(rows))]:
        known = ", ".join(name for name in next(iter(rows)) if name != "seconds")
        raise ConfigError(f"--pareto: {path} has no {missing[0]!r}; pick from {known}")
    return bounded(table, rows)


def from_official(path: Path, dataset: str = "cifar10") -> Table:
    """Return the table in an official file: a `NATS-tss-...` folder or `.pickle.pbz2`, or a `NAS-Bench-201-...pth`.

    The official files are pickles, which run code when they are read: take them from the official place only.
    """
    if path.suffix != ".pth":
        settings = {"fast_mode": path.is_dir(), "verbose": False}
        api = _opened(path, "nats_bench", "nats_bench", lambda package: package.create(str(path), "tss", **settings))
        return Table(NasBench201(), FromApi(api, dataset), name=f"NATS-Bench, {dataset}")
    # nas_201_api calls torch.load as before torch 2.6, which took any pickle; torch has this switch for such packages,
    # and warns about it.
    with patch.dict(os.environ, {"TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1"}), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        api = _opened(path, "nas_201_api", "nas-bench-201", lambda p: p.NASBench201API(str(path), verbose=False))
    return Table(NasBench201(), FromApi(api, dataset), name=f"NAS-Bench-201, {dataset}")


def _opened(path: Path, module: str, distribution: str, open_it: Callable[[Any], Any]) -> Any:
    try:
        package = importlib.import_module(module)
    except ImportError:
        raise MissingExtra(f"{path} is read by its own package: pip install {distribution}") from None
    try:
        return open_it(package)
    except Exception as error:  # whatever a pickle of another kind causes
        raise ConfigError(f"{path} cannot be read by {distribution}: {type(error).__name__}: {error}") from error
