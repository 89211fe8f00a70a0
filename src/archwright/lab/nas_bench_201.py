"""Tables of NAS-Bench-201: from a plain .npz, and from the official files by the official packages.

A search sees the validation accuracy after 12 epochs and pays for 12 epochs of training and one look at the validation
part; what it found is judged by the test accuracy after 200 epochs. That is the protocol of Dong & Yang 2020.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from archwright.errors import ConfigError, MissingExtra
from archwright.evaluators.table import Table
from archwright.space import Architecture
from archwright.spaces.nas_bench_201 import EDGES, OPERATIONS, NasBench201

EPOCHS = 12.35  # 12 of training, and validation at about a third of the cost of one


class FromArrays:
    """Looks up an .npz with a row for each architecture.

    `ops` [rows, 6] indexes `op_names` on the edges `edges`; `val_acc_12`, `val_acc_200`, `test_acc_200` are in per
    cent, `train_seconds_200` are of 200 epochs.
    """

    def __init__(self, path: Path) -> None:
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in NEEDED}
        except KeyError as error:
            raise ConfigError(f"{path}: a table of NAS-Bench-201 needs the array {error}") from None
        except (OSError, ValueError) as error:
            raise ConfigError(f"{path} is not an .npz that can be read ({error})") from None
        names = [str(name) for name in arrays["op_names"]]
        order = [tuple(edge) for edge in arrays["edges"].tolist()]
        if sorted(names) != sorted(OPERATIONS) or sorted(order) != sorted(EDGES):
            raise ConfigError(f"{path}: its operations are {names} and its edges {order}, not those of NAS-Bench-201")
        columns = [order.index(edge) for edge in EDGES]
        seconds = arrays["train_seconds_200"].astype(float) / 200 * EPOCHS
        figures = {
            "validation_accuracy": arrays["val_acc_12"].tolist(),
            "seconds": seconds.tolist(),
            "validation_accuracy_200": arrays["val_acc_200"].tolist(),
            "test_accuracy": arrays["test_acc_200"].tolist(),
        }
        self.rows: dict[tuple[Any, ...], dict[str, float]] = {}
        for number, row in enumerate(arrays["ops"][:, columns].tolist()):
            self.rows[tuple([names[op] for op in row])] = {name: values[number] for name, values in figures.items()}

    def __call__(self, architecture: Architecture) -> Mapping[str, float]:
        """The figures of an architecture."""
        return self.rows[tuple([answer for _, answer in architecture.answers])]


NEEDED = ("ops", "op_names", "edges", "val_acc_12", "val_acc_200", "test_acc_200", "train_seconds_200")


class FromApi:
    """Asks an official API object: `nats_bench`'s, or `nas_201_api`'s, which have the same methods."""

    def __init__(self, api: Any, dataset: str = "cifar10") -> None:
        self.api, self.dataset, self.space = api, dataset, NasBench201()

    def __call__(self, architecture: Architecture) -> Mapping[str, float]:
        """The figures of an architecture; several seeds are averaged by the API."""
        index = self.api.query_index_by_arch(self.space.to_arch(architecture))
        searched = f"{self.dataset}-valid" if self.dataset == "cifar10" else self.dataset
        seen = self.api.get_more_info(index, searched, hp="12", is_random=False)
        kept = self.api.get_more_info(index, self.dataset, hp="200", is_random=False)
        return {
            "validation_accuracy": seen["valid-accuracy"],
            "seconds": seen["train-all-time"] + seen["valid-per-time"],
            "test_accuracy": kept["test-accuracy"],
        }


def from_npz(path: Path) -> Table:
    """The table in an .npz (see `FromArrays`)."""
    look = FromArrays(path)
    best = max(row["test_accuracy"] for row in look.rows.values())
    return Table(NasBench201(), look, best=best, name="NAS-Bench-201, CIFAR-10")


def from_official(path: Path, dataset: str = "cifar10") -> Table:
    """The table in an official file: a `NATS-tss-...` folder or `.pickle.pbz2`, or a `NAS-Bench-201-...pth`.

    The official files are pickles, which run code when they are read: have them from the official place only.
    """
    if path.suffix == ".pth":
        return Table(NasBench201(), FromApi(_old_api(path), dataset), name=f"NAS-Bench-201, {dataset}")
    return Table(NasBench201(), FromApi(_nats(path), dataset), name=f"NATS-Bench, {dataset}")


def _old_api(path: Path) -> Any:
    try:
        from nas_201_api import NASBench201API
    except ImportError:
        raise MissingExtra(f"{path} is read by its own package: pip install nas-bench-201") from None
    return NASBench201API(str(path), verbose=False)


def _nats(path: Path) -> Any:
    try:
        from nats_bench import create
    except ImportError:
        raise MissingExtra(f"{path} is read by its own package: pip install nats_bench") from None
    return create(str(path), "tss", fast_mode=path.is_dir(), verbose=False)
