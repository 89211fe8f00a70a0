"""Big states of a run: one safetensors file each in `checkpoints/`, whose hash is recorded in the run's database.

The file is written, then its hash recorded, then the file that it replaces removed: the recorded file is always there.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path
from sqlite3 import Connection
from typing import Any

from archwright.database import Database, explained
from archwright.errors import RunError
from archwright.files import inside, write
from archwright.protocols import State
from archwright.states import pack, unpack

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}")
_FILE = re.compile(r"[A-Za-z0-9_.-]+-[0-9a-f]{16}\.safetensors(\.([0-9a-f]{16}\.)?tmp)?")


class StateFiles:
    """The states of one run, by name. A damaged or missing file is a RunError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @property
    def _folder(self) -> Path:
        return inside(self._database.path.parent, "checkpoints")

    def save(self, name: str, state: State, *also: tuple[str, tuple[Any, ...]]) -> None:
        """Record a state in place of what `name` had; the statements `also` go into the same transaction."""
        data = pack(state)
        digest = hashlib.sha256(data).hexdigest()
        with self._database.transaction() as connection:
            write(self._path(name, digest), data)
            connection.execute("INSERT OR REPLACE INTO states VALUES (?, ?, ?)", (name, digest, len(data)))
            for sql, values in also:
                connection.execute(sql, values)
        self.sweep()

    def restore(self, name: str) -> State | None:
        while (entry := self._find(name)) is not None:
            path, digest = entry
            with explained(self._database.path):
                try:
                    data = path.read_bytes()
                except FileNotFoundError:
                    if self._find(name) != entry:  # the writer has replaced it meanwhile
                        continue
                    raise RunError(f"{path} is missing; the run cannot go on without it") from None
            if hashlib.sha256(data).hexdigest() != digest:
                raise RunError(f"{path} is damaged: its contents are not what the run recorded")
            with self._database.reading(f"the state {name!r}"):
                return unpack(data)
        return None

    def forget(self, name: str) -> None:
        """Remove the state recorded as `name`, if there is one."""
        with self._database.transaction() as connection:
            self.drop(connection, [name])
        self.sweep()

    def drop(self, connection: Connection, names: Iterable[str]) -> None:
        """Remove the records of states, within a transaction; the next sweep removes the files."""
        connection.executemany("DELETE FROM states WHERE name = ?", ((name,) for name in names))

    def sweep(self) -> None:
        """Remove the files that are not recorded: replaced ones, and those that a kill left before their record."""
        kept = {self._path(*row) for row in self._database.rows("SELECT name, sha256 FROM states")}
        with explained(self._database.path):
            for path in self._folder.glob("*"):
                if path not in kept and _FILE.fullmatch(path.name):
                    path.unlink(missing_ok=True)

    def _find(self, name: str) -> tuple[Path, str] | None:
        rows = self._database.rows("SELECT sha256 FROM states WHERE name = ?", name)
        return (self._path(name, rows[0][0]), rows[0][0]) if rows else None

    def _path(self, name: str, digest: Any) -> Path:
        # Both may come from a stranger's file, and the path is one that is written and removed.
        if not _NAME.fullmatch(str(name)) or not re.fullmatch("[0-9a-f]{64}", str(digest)):
            raise RunError(f"{name!r} with hash {digest!r} is not a name and hash of a stored state")
        return self._folder / f"{name}-{digest[:16]}.safetensors"
