"""Loads tables by name: a file of a known format, one of archwright's own, or `file.py:NAME`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from archwright.components import from_file, typed
from archwright.errors import ConfigError
from archwright.evaluators.aims import objective_texts
from archwright.evaluators.table import Table
from archwright.lab.landscape import LANDSCAPES
from archwright.lab.nas_bench_201 import DATASETS, from_npz, from_official

OFFICIAL = "NATS-tss-*, NAS-Bench-201-*.pth"
TRUSTED = "trusted:"
SEVERAL = "#"  # before several objectives


def load_table(name: str) -> Table:
    """Return the table of that name.

    In `file.py:NAME`, NAME is a `Table`, or a function without arguments that returns one. Official files are pickles,
    which run code when they are read, so they are read as `trusted:PATH` only; `trusted:PATH@cifar100` is the table of
    another data set than CIFAR-10. `PATH.npz#accuracy,latency_ms_pixel3` has several objectives.
    """
    name, _, several = name.partition(SEVERAL)
    if several and not name.endswith(".npz"):
        raise ConfigError(f"--pareto is for an .npz, not for {name}; a table of one's own says Table(pareto=...)")
    if ".py:" in name:
        return _own(name)
    if name in LANDSCAPES:
        return LANDSCAPES[name]()
    place, _, dataset = name.removeprefix(TRUSTED).partition("@")
    if not dataset or Path(name.removeprefix(TRUSTED)).expanduser().exists():  # an @ of the path's own
        place, dataset = name.removeprefix(TRUSTED), ""
    path = Path(place).expanduser()
    if not path.exists():
        raise ConfigError(f"{name}: there is no such file, and no landscape of that name ({', '.join(LANDSCAPES)})")
    if path.suffix == ".pth" or path.name.startswith("NATS-tss"):
        if not name.startswith(TRUSTED):
            advice = f"if it comes from the official place, write {TRUSTED}{name}"
            raise ConfigError(f"{name} is a pickle, which may run code when it is read; {advice}")
        if dataset and dataset not in DATASETS:
            raise ConfigError(f"{name}: the official files have no {dataset!r}; pick @{', @'.join(DATASETS)}")
        return from_official(path, dataset or DATASETS[0])
    if dataset:
        raise ConfigError(f"{name}: only the official files have tables of several data sets; leave out @{dataset}")
    if path.suffix == ".npz":
        return from_npz(path, objective_texts(several) if several else ())
    raise ConfigError(f"{name} is not a known kind of table: .npz, {OFFICIAL}, or file.py:NAME")


def _own(name: str) -> Table:
    """Return the table in the user's file, called as the user calls it if it has no name."""
    typed(name)
    found = from_file(name, "table")
    found = found() if callable(found) and not isinstance(found, Table) else found
    if not isinstance(found, Table):
        raise ConfigError(f"{name} is {type(found).__name__}; it must be an archwright.evaluators.table.Table")
    file, _, attribute = name.rpartition(":")
    return found if found.name != Table.name else replace(found, name=f"{Path(file).name}:{attribute}")
