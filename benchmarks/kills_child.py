"""`archwright` as kills.py starts it: with frequent checkpoints, and an end at the n-th write if one is asked for.

    KILLS_SECONDS=0.5 KILLS_WRITE=17 KILLS_COUNT=FILE python benchmarks/kills_child.py search ...

A write is the creation, renaming or removal of a file below the current folder, or the begin or commit of a
transaction; the process group ends by SIGKILL before it. At its own end the process writes to FILE how many there were.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHANGES = ("open", "os.rename", "os.remove", "os.mkdir")  # events of `sys.addaudithook`, raised before they happen


class Writes:
    """Counts what changes files below `folder`, and ends the process group before the one of number `last`."""

    def __init__(self, folder: Path, last: int | None) -> None:
        self.folder, self.last, self.count = folder, last, 0

    def next(self) -> None:
        self.count += 1
        if self.count == self.last:
            os.killpg(0, signal.SIGKILL)

    def hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Count what Python itself writes."""
        if event not in CHANGES or (event == "open" and not (arguments[2] or 0) & os.O_CREAT):
            return
        path = arguments[0]
        if isinstance(path, (str, bytes, os.PathLike)) and Path(os.fsdecode(path)).absolute().is_relative_to(
            self.folder
        ):
            self.next()

    def counting(self, transaction: Callable[..., Any]) -> Callable[..., Any]:
        """Return a method like `Database.transaction` whose begin and commit count: SQLite's writes have no events."""

        @contextmanager
        def counted(*arguments: Any, **named: Any) -> Iterator[Any]:
            self.next()
            with transaction(*arguments, **named) as connection:
                yield connection
                self.next()

        return counted


def main() -> int:
    from archwright import database, loop

    if seconds := os.environ.get("KILLS_SECONDS"):
        loop.CHECKPOINT_SECONDS = float(seconds)  # before the modules are loaded that take it from there
    last = os.environ.get("KILLS_WRITE")
    writes = Writes(Path.cwd(), int(last) if last else None)
    database.Database.transaction = writes.counting(database.Database.transaction)  # type: ignore[method-assign]
    sys.addaudithook(writes.hook)
    if place := os.environ.get("KILLS_COUNT"):
        atexit.register(lambda: Path(place).write_text(str(writes.count)))
    from archwright.__main__ import main as archwright

    return archwright()


if __name__ == "__main__":
    sys.exit(main())
