"""Loads tables by name: a file of a known format, one of archwright's own, or `file.py:NAME`."""

from __future__ import annotations

from pathlib import Path

from archwright.components import from_file, typed
from archwright.errors import ConfigError
from archwright.evaluators.table import Table
from archwright.lab.landscape import LANDSCAPES
from archwright.lab.nas_bench_201 import from_npz, from_official

OFFICIAL = "NATS-tss-*, NAS-Bench-201-*.pth"
TRUSTED = "trusted:"


def load_table(name: str) -> Table:
    """Return the table of that name.

    In `file.py:NAME`, NAME is a `Table`, or a function without arguments that returns one. Official files are pickles,
    which run code when they are read, so they are read as `trusted:PATH` only.
    """
    if ".py:" in name:
        typed(name)
        found = from_file(name, "table")
        found = found() if callable(found) and not isinstance(found, Table) else found
        if not isinstance(found, Table):
            raise ConfigError(f"{name} is {type(found).__name__}; it must be an archwright.evaluators.table.Table")
        return found
    if name in LANDSCAPES:
        return LANDSCAPES[name]()
    path = Path(name.removeprefix(TRUSTED)).expanduser()
    if not path.exists():
        raise ConfigError(f"{name}: there is no such file, and no landscape of that name ({', '.join(LANDSCAPES)})")
    if path.suffix == ".npz":
        return from_npz(path)
    if path.suffix == ".pth" or path.name.startswith("NATS-tss"):
        if not name.startswith(TRUSTED):
            advice = f"if it comes from the official place, write {TRUSTED}{name}"
            raise ConfigError(f"{name} is a pickle, which may run code when it is read; {advice}")
        return from_official(path)
    raise ConfigError(f"{name} is not a known kind of table: .npz, {OFFICIAL}, or file.py:NAME")
