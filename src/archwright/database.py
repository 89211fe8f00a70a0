"""The SQLite file of a run: its schema, the check of a file that may be a stranger's, and its transactions.

Every transaction is complete or absent after a kill -9. Against a crash of the system or a loss of power SQLite's
write-ahead log must be synced, which takes a disk 0.1 to 10 ms: `synchronous=FULL` does so in every transaction,
`NORMAL` leaves it to the system.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from os import SEEK_END
from pathlib import Path
from typing import Any

from archwright.errors import RunError
from archwright.files import inside
from archwright.stored import SENSELESS

SCHEMAS = (
    (  # version 1
        "CREATE TABLE facts (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
        "CREATE TABLE position (id INTEGER PRIMARY KEY CHECK (id = 0), streams INTEGER NOT NULL)",
        "CREATE TABLE controller (id INTEGER PRIMARY KEY CHECK (id = 0), trials INTEGER NOT NULL,"
        " sha256 TEXT NOT NULL, state BLOB NOT NULL)",
        "CREATE TABLE architectures (id TEXT PRIMARY KEY, json TEXT NOT NULL) WITHOUT ROWID",
        # place: 0, 1, ... in the order reported; it and the rest are NULL while a proposal is pending. proposed, told:
        # seconds since 1970. log_prob and reward: numbers, or the text 'nan', because SQLite has no NaN.
        "CREATE TABLE trials (number INTEGER PRIMARY KEY, stream INTEGER NOT NULL,"
        " architecture TEXT NOT NULL REFERENCES architectures (id), log_prob, proposed REAL NOT NULL,"
        " place INTEGER, reward, metrics TEXT, error TEXT, seconds REAL, told REAL)",
        "CREATE TABLE states (name TEXT PRIMARY KEY, sha256 TEXT NOT NULL, size INTEGER NOT NULL) WITHOUT ROWID",
    ),
    (  # version 2 adds these
        "CREATE TABLE figures (number INTEGER PRIMARY KEY REFERENCES trials (number), json TEXT NOT NULL)",
        # With the evaluator's state: how many trials had been reported and proposed, the next unused stream, and
        # the row of `controller`, which is NULL where there was none.
        "CREATE TABLE checkpoint (id INTEGER PRIMARY KEY CHECK (id = 0), told INTEGER NOT NULL,"
        " proposed INTEGER NOT NULL, streams INTEGER NOT NULL, trials INTEGER, sha256 TEXT, state BLOB)",
    ),
    (  # version 3 adds this, for facts and trials: a bit that the disk flips is noticed
        "CREATE TABLE digests (name TEXT PRIMARY KEY, digest TEXT NOT NULL) WITHOUT ROWID",
    ),
)
# SQL of facts and trials: what they are read from, their names in `digests`, and their digests.
FACT, FACT_DIGEST = "'fact/' || key", "digest(key, value)"
TRIALS = (
    "trials LEFT JOIN architectures ON architectures.id = architecture"
    " LEFT JOIN figures ON figures.number = trials.number"
)
TRIAL = "'trial/' || trials.number"
TRIAL_DIGEST = (
    "digest(trials.number, stream, log_prob, architectures.json, place, reward, metrics, error, seconds, figures.json)"
)
KEEP_FACT = f"INSERT OR REPLACE INTO digests SELECT {FACT}, {FACT_DIGEST} FROM facts"
KEEP_TRIAL = f"INSERT OR REPLACE INTO digests SELECT {TRIAL}, {TRIAL_DIGEST} FROM {TRIALS}"
VERSION = len(SCHEMAS)
SYNC_SECONDS = 1.0
_SUPER_JOURNAL = bytes.fromhex("d9d505f920a163d7")  # ends a journal that names another one


class Database:
    """An open run file. A file of an older version is read as it is, and brought to this one by the first writer.

    `create`: the file has no run yet in which anything is recorded; None: it may have none.
    """

    def __init__(self, path: Path, *, create: bool | None, writing: bool) -> None:
        self.path, self._writing, self._synced = path, writing, 0.0
        mode = "rwc" if create is not False else "rw" if writing else "ro"
        with explained(self.path):
            _refuse_what_leads_outside(path)
            # isolation_level=None: transactions are ours.
            self._opened, place = ExitStack(), path.resolve()
            if not writing and path.with_name(f"{path.name}-wal").exists() and not os.access(path.parent, os.W_OK):
                place, mode = self._opened.enter_context(_copied(path)), "rw"
            self.connection = sqlite3.connect(f"{place.as_uri()}?mode={mode}", uri=True, isolation_level=None)
            self._opened.callback(self.connection.close)
            self.connection.create_function("digest", -1, digest, deterministic=True)
        try:
            self.version = self._checked(create)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close, and leave a run at rest as one file, which can be read from a medium that cannot be written."""
        if self._writing:
            # It cannot be done while somebody reads; then the log stays, and the next writer takes it in.
            with suppress(sqlite3.Error, UnicodeDecodeError):
                self.connection.execute("PRAGMA busy_timeout = 0")
                self.connection.execute("PRAGMA journal_mode = DELETE")
        self._opened.close()

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        with explained(self.path):
            return self.connection.execute(sql, values).fetchall()

    def each(self, sql: str, *values: Any) -> Iterator[tuple[Any, ...]]:
        """Yield rows as they are read, where all of them would take much memory."""
        with explained(self.path):
            yield from self.connection.execute(sql, values)

    @contextmanager
    def transaction(self, *, synced: bool = True) -> Iterator[sqlite3.Connection]:
        """Commit what happens inside, or nothing; sync it if `synced`, or if nothing was for `SYNC_SECONDS`."""
        if not self._writing:
            raise RunError(f"{self.path.parent} was opened for reading only")
        now = time.monotonic()
        synced = synced or now - self._synced >= SYNC_SECONDS
        with explained(self.path):
            self.connection.execute(f"PRAGMA synchronous = {'FULL' if synced else 'NORMAL'}")
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield self.connection
                self.connection.execute("COMMIT")
            except BaseException:
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
                raise
            if synced:
                self._synced = now

    @contextmanager
    def reading(self, what: str) -> Iterator[None]:
        """Turn an error in making sense of the stored value `what` into a RunError."""
        try:
            yield
        except SENSELESS as error:
            raise RunError(f"{self.path}: {what} is damaged ({error})") from error

    def _checked(self, create: bool | None) -> int:
        """Check that the file is an undamaged run, or make it one; return its version."""
        with explained(self.path):
            self.connection.execute("PRAGMA trusted_schema = OFF")
        version = int(self.rows("PRAGMA user_version")[0][0])
        found = {sql for (sql,) in self.rows("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")}
        if not found and create is False:
            raise RunError(
                f"{self.path.parent} holds no run yet: it was stopped before it began; give the command again"
            )
        if version > VERSION or (version < 1 and create is False):
            raise RunError(f"{self.path} has format {version}; this version of archwright reads up to {VERSION}")
        if found != {sql for schema in SCHEMAS[:version] for sql in schema}:  # also a stranger's triggers and views
            raise RunError(f"{self.path} was not written by archwright, or is damaged")
        if create and found and self.rows("SELECT 1 FROM facts UNION ALL SELECT 1 FROM trials LIMIT 1"):
            raise RunError(f"{self.path.parent} already holds a run; resume it, or name another folder")
        missing = [sql for schema in SCHEMAS[version:] for sql in schema]
        if not self._writing:
            for sql in missing:  # empty tables, as a file that was just brought up to date has
                self.connection.execute(sql.replace("CREATE TABLE", "CREATE TEMP TABLE"))
            return version
        if (report := self.rows("PRAGMA quick_check")) != [("ok",)]:
            raise RunError(f"{self.path} is damaged: {str(report[0][0]).splitlines()[-1]}")
        with explained(self.path):
            self.connection.execute("PRAGMA journal_mode = WAL")
        if version < VERSION:
            with self.transaction() as connection:
                for sql in missing:
                    connection.execute(sql)
                connection.execute(KEEP_FACT)
                connection.execute(KEEP_TRIAL)
                connection.execute(f"PRAGMA user_version = {VERSION}")
        return VERSION


def digest(*values: Any) -> str:
    """Return what tells values of SQLite from damaged ones."""
    return hashlib.sha256(repr(values).encode("utf-8", "backslashreplace")).hexdigest()[:16]


@contextmanager
def _copied(path: Path) -> Iterator[Path]:
    """Copy a run that was killed from a medium that cannot be written: what its log holds has to be taken in."""
    with tempfile.TemporaryDirectory(prefix="archwright-") as folder:
        for suffix in ("", "-wal"):
            shutil.copyfile(f"{path}{suffix}", f"{folder}/{path.name}{suffix}")
        yield Path(folder) / path.name


def _refuse_what_leads_outside(path: Path) -> None:
    """Raise RunError if a file of SQLite is a link, or its journal names a file, which SQLite would delete."""
    *_, journal = (inside(path.parent, path.name + suffix) for suffix in ("", "-wal", "-shm", "-journal"))
    with suppress(FileNotFoundError), journal.open("rb") as file:
        file.seek(max(0, file.seek(0, SEEK_END) - len(_SUPER_JOURNAL)))
        if file.read() == _SUPER_JOURNAL:
            raise RunError(f"{journal} was not written by archwright: it names another file")


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn errors of the file or the disk into RunErrors; mistakes in using SQLite stay what they are."""
    try:
        yield
    except sqlite3.ProgrammingError:
        raise
    except (sqlite3.Error, UnicodeDecodeError) as error:  # the latter where SQLite's message quotes a damaged file
        raise RunError(f"{path}: {error}") from error
    except OSError as error:
        raise RunError(f"{error.filename or path.parent}: {error.strerror or error}") from error
