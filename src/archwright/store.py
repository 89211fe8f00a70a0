"""A run on disk: `run.sqlite` with every proposal and result, and the big states as files beside it.

One process writes (an exclusive lock, which the system releases when the process ends, however it ends); any number
read. Nothing stored is a pickle and nothing that is read can run code, so a folder from a stranger is safe to open.

What a call recorded survives kill -9 from the moment it returns, and every transaction is whole or absent. Against a
crash of the system or a loss of power SQLite's write-ahead log must be synced, which takes a disk 0.1 to 10 ms.
`synchronous=FULL` does so in every transaction, `NORMAL` leaves it to the system. Here facts and big states are always
synced, trials if nothing has been synced for a second: so no trial that took longer than that is lost with the power,
and a fast function is not slowed by the disk (`benchmarks/loop.py`). What is lost is the end, never the middle.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from archwright.errors import ArchwrightError, RunError
from archwright.files import lock, unlock, write
from archwright.loop import Proposal, Result, Saved, State, Trial
from archwright.space import Architecture
from archwright.states import pack, unpack

VERSION = 1  # of SCHEMA; raise it when that changes
SCHEMA = (
    "CREATE TABLE facts (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE position (id INTEGER PRIMARY KEY CHECK (id = 0), streams INTEGER NOT NULL)",
    "CREATE TABLE controller (id INTEGER PRIMARY KEY CHECK (id = 0), trials INTEGER NOT NULL,"
    " sha256 TEXT NOT NULL, state BLOB NOT NULL)",
    "CREATE TABLE architectures (id TEXT PRIMARY KEY, json TEXT NOT NULL) WITHOUT ROWID",
    # place: 0, 1, ... in the order told; it and what follows are NULL while a proposal is pending. proposed, told:
    # seconds since 1970. log_prob and reward: numbers, or the text 'nan', because SQLite has no NaN.
    "CREATE TABLE trials (number INTEGER PRIMARY KEY, stream INTEGER NOT NULL,"
    " architecture TEXT NOT NULL REFERENCES architectures (id), log_prob, proposed REAL NOT NULL,"
    " place INTEGER, reward, metrics TEXT, error TEXT, seconds REAL, told REAL)",
    "CREATE TABLE states (name TEXT PRIMARY KEY, sha256 TEXT NOT NULL, size INTEGER NOT NULL) WITHOUT ROWID",
)
SYNC_SECONDS = 1.0
_EVALUATOR = "evaluator"  # the name of the state that `checkpoint` saves
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}")
_STATE_FILE = re.compile(r"[A-Za-z0-9_.-]+-[0-9a-f]{16}\.safetensors(\.tmp)?")


_TRIALS = "SELECT number, stream, architecture, log_prob, reward, metrics, error, seconds FROM trials"
_TELL = (
    "UPDATE trials SET place = ?, reward = ?, metrics = ?, error = ?, seconds = ?, told = ?"
    " WHERE number = ? AND place IS NULL"
)


class RunStore:
    """The record of the run in `folder`: `archwright.loop.Store`, and the orchestrator's facts and states besides.

    `create` begins a new run (RunError if the folder has one); without it the run must exist. While a store is open no
    other process can open the run for writing. Not shared between threads. A context manager; `close` releases the run.
    """

    def __init__(self, folder: str | Path, *, create: bool = False, writing: bool = True) -> None:
        self.folder, self._path = Path(folder), Path(folder, "run.sqlite")
        if not create and not self._path.is_file():
            raise RunError(f"{self.folder} is not a run folder: there is no run.sqlite in it")
        self._writing, self._open, self._synced = writing, ExitStack(), 0.0
        try:
            with self._explained():
                if create:
                    self.folder.mkdir(parents=True, exist_ok=True)
                if writing:
                    self._open.callback(unlock, lock(self.folder))
                self._connection = _connect(self._path, "rwc" if create else "rw" if writing else "ro")
                self._open.callback(_disconnect, self._connection, writing)
                self._check_file(create)
                if writing:
                    self._sweep()
            self._told: int = self._rows("SELECT COUNT(place) FROM trials")[0][0]
        except BaseException:
            self.close()
            raise

    @classmethod
    def reading(cls, folder: str | Path) -> RunStore:
        """The run in `folder` to look at, also while another process writes it. Calls that write are RunErrors."""
        return cls(folder, writing=False)

    def close(self) -> None:
        """Release the run. Twice does no harm."""
        self._open.close()

    def __enter__(self) -> RunStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # The record of the loop.

    def load(self) -> Saved:
        """Everything the loop recorded. Damage is a RunError."""
        cache: dict[str, Architecture] = {}
        rows = self._rows(f"{_TRIALS} WHERE place IS NULL ORDER BY number")
        pending = [(row[0], self._proposal(row, cache)) for row in rows]
        streams, controller, controller_trials = 0, None, 0
        with self._reading("the stream position"):
            for (position,) in self._rows("SELECT streams FROM position"):
                streams = int(position)
        with self._reading("the controller's state"):
            for trials, digest, data in self._rows("SELECT trials, sha256, state FROM controller"):
                if hashlib.sha256(data).hexdigest() != digest:
                    raise ValueError("it is not what was recorded")
                controller, controller_trials = unpack(data), int(trials)
        return Saved(
            trials=list(self.trials()),
            pending=pending,
            streams=streams,
            controller=controller,
            controller_trials=controller_trials,
            evaluator=self.restore(_EVALUATOR),
        )

    def trials(self) -> Iterator[Trial]:
        """The finished trials, in the order told."""
        cache: dict[str, Architecture] = {}
        for row in self._rows(f"{_TRIALS} WHERE place IS NOT NULL ORDER BY place"):
            proposal = self._proposal(row, cache)
            number, _, _, _, reward, metrics, error, seconds = row
            with self._reading(f"trial {number}"):
                figures = {str(name): float(value) for name, value in json.loads(metrics).items()}
                result = Result(float(reward), figures, None if error is None else str(error))
                trial = Trial(number, proposal, result, float(seconds))
            yield trial

    def _proposal(self, row: tuple[Any, ...], cache: dict[str, Architecture]) -> Proposal:
        number, stream, name, log_prob = row[:4]
        with self._reading(f"trial {number}"):
            if name not in cache:
                text = self._rows("SELECT json FROM architectures WHERE id = ?", name)[0][0]
                cache[name] = Architecture.from_json(json.loads(text))
            return Proposal(int(stream), cache[name], None if log_prob is None else float(log_prob))

    def proposed(self, proposals: Sequence[tuple[int, Proposal]], streams: int) -> None:
        """Record numbered proposals and the next unused stream number."""
        now = time.time()
        architectures, trials = [], []
        for number, proposal in proposals:
            architecture = proposal.architecture
            architectures.append((architecture.id, json.dumps(architecture.to_json(), separators=(",", ":"))))
            trials.append((number, proposal.stream, architecture.id, _real(proposal.log_prob), now))
        with self._transaction(synced=False) as connection:
            connection.executemany("INSERT OR IGNORE INTO architectures VALUES (?, ?)", architectures)
            connection.executemany(
                "INSERT INTO trials (number, stream, architecture, log_prob, proposed) VALUES (?, ?, ?, ?, ?)", trials
            )
            connection.execute("INSERT OR REPLACE INTO position VALUES (0, ?)", (streams,))

    def told(self, trials: Sequence[Trial], controller: State | None) -> None:
        """Record results of proposals, and the controller's state if they changed it, in one transaction."""
        now = time.time()
        data = None if controller is None else pack(controller)
        place = self._told
        with self._transaction(synced=False) as connection:
            for trial in trials:
                result = trial.result
                metrics = json.dumps({name: float(value) for name, value in result.metrics.items()})
                row = (place, _real(result.reward), metrics, _text(result.error), trial.seconds, now, trial.number)
                updated = connection.execute(_TELL, row).rowcount
                if updated != 1:
                    raise RunError(f"{self._path}: trial {trial.number} was told, but is not among the pending ones")
                place += 1
            if data is not None:
                digest = hashlib.sha256(data).hexdigest()
                connection.execute("INSERT OR REPLACE INTO controller VALUES (0, ?, ?, ?)", (place, digest, data))
        self._told = place

    def checkpoint(self, evaluator: State, streams: int) -> None:
        """Record the evaluator's state and, in the same transaction, the stream position that goes with it."""
        self._save(_EVALUATOR, evaluator, streams)

    # The orchestrator's facts and states.

    def put(self, key: str, value: Any) -> None:
        """Record a small fact: JSON data (NaN and infinity allowed). Replaces what `key` had."""
        text = json.dumps(value)
        with self._transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (key, text))

    def get(self, key: str, default: Any = None) -> Any:
        """The fact recorded as `key`."""
        rows = self._rows("SELECT value FROM facts WHERE key = ?", key)
        if not rows:
            return default
        with self._reading(f"the entry {key!r}"):
            return json.loads(rows[0][0])

    def save(self, name: str, state: State) -> None:
        """Record a big state (see `archwright.states.pack` for what it may hold). Replaces what `name` had.

        `name`: letters, digits, `_`, `.`, `-`; "evaluator" is the loop's own.
        """
        self._save(name, state, None)

    def restore(self, name: str) -> State | None:
        """The state recorded as `name`, or None if there is none. A file that is damaged or missing is a RunError."""
        while (entry := self._state(name)) is not None:
            path, digest = entry
            with self._explained():
                try:
                    data = path.read_bytes()
                except FileNotFoundError:
                    if self._state(name) != entry:  # the writer has replaced it meanwhile
                        continue
                    raise RunError(f"{path} is missing; the run cannot go on without it") from None
            if hashlib.sha256(data).hexdigest() != digest:
                raise RunError(f"{path} is damaged: its contents are not what the run recorded")
            with self._reading(f"the state {name!r}"):
                return unpack(data)
        return None

    def forget(self, name: str) -> None:
        """Remove the state recorded as `name`, if there is one."""
        before = self._state(name)
        with self._transaction() as connection:
            connection.execute("DELETE FROM states WHERE name = ?", (name,))
        self._remove(before)

    def _save(self, name: str, state: State, streams: int | None) -> None:
        data = pack(state)
        digest = hashlib.sha256(data).hexdigest()
        before, path = self._state(name), self._state_path(name, digest)
        with self._explained():
            if not self._writing:
                raise RunError(f"{self.folder} was opened for reading only")
            write(path, data)
        with self._transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO states VALUES (?, ?, ?)", (name, digest, len(data)))
            if streams is not None:
                connection.execute("INSERT OR REPLACE INTO position VALUES (0, ?)", (streams,))
        if before != (path, digest):
            self._remove(before)

    def _remove(self, entry: tuple[Path, str] | None) -> None:
        if entry is not None:
            with self._explained():
                entry[0].unlink(missing_ok=True)

    def _state(self, name: str) -> tuple[Path, str] | None:
        """Where the state called `name` is, and its hash."""
        rows = self._rows("SELECT sha256 FROM states WHERE name = ?", name)
        return (self._state_path(name, rows[0][0]), rows[0][0]) if rows else None

    def _state_path(self, name: str, digest: Any) -> Path:
        # Both may come from a stranger's file, and the path is one that is written and removed.
        if not _NAME.fullmatch(str(name)) or not re.fullmatch("[0-9a-f]{64}", str(digest)):
            raise RunError(f"{name!r} with hash {digest!r} is not a name and hash of a stored state")
        return self.folder / "checkpoints" / f"{name}-{digest[:16]}.safetensors"

    def _sweep(self) -> None:
        """Remove the files that a kill left between their writing and their record, or between record and removal."""
        kept = {self._state_path(*row) for row in self._rows("SELECT name, sha256 FROM states")}
        for path in (self.folder / "checkpoints").glob("*"):
            if path not in kept and _STATE_FILE.fullmatch(path.name):
                path.unlink(missing_ok=True)

    def _check_file(self, create: bool) -> None:
        """Check that the file is a run of this version, undamaged, or make it one."""
        (version,) = self._rows("PRAGMA user_version")[0]
        found = {sql for (sql,) in self._rows("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")}
        if create and found:
            raise RunError(f"{self.folder} already holds a run; resume it, or name another folder")
        if create:
            with self._transaction() as connection:
                for statement in (*SCHEMA, f"PRAGMA user_version = {VERSION}"):
                    connection.execute(statement)
            version, found = VERSION, set(SCHEMA)
        if not found:
            raise RunError(f"{self.folder} holds no run yet: its run.sqlite is empty")
        if version != VERSION:
            raise RunError(f"{self._path} has format {version}; this version of archwright reads format {VERSION}")
        if found != set(SCHEMA):  # also keeps out a stranger's triggers and views
            raise RunError(f"{self._path} was not written by archwright, or is damaged")
        if self._writing:
            if (report := self._rows("PRAGMA quick_check")) != [("ok",)]:
                raise RunError(f"{self._path} is damaged: {str(report[0][0]).splitlines()[-1]}")
            self._connection.execute("PRAGMA journal_mode = WAL")

    def _rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        with self._explained():
            return self._connection.execute(sql, values).fetchall()

    @contextmanager
    def _transaction(self, *, synced: bool = True) -> Iterator[sqlite3.Connection]:
        now = time.monotonic()
        synced = synced or now - self._synced >= SYNC_SECONDS
        with self._explained():
            self._connection.execute(f"PRAGMA synchronous = {'FULL' if synced else 'NORMAL'}")
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
            if synced:
                self._synced = now

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Errors of the file or the disk as RunErrors; mistakes in using SQLite stay what they are."""
        try:
            yield
        except sqlite3.ProgrammingError:
            raise
        except (sqlite3.Error, UnicodeDecodeError) as error:  # the latter where SQLite's message quotes a damaged file
            raise RunError(f"{self._path}: {error}") from error
        except OSError as error:
            raise RunError(f"{error.filename or self.folder}: {error.strerror or error}") from error

    @contextmanager
    def _reading(self, what: str) -> Iterator[None]:
        """What can go wrong in making sense of a stored value, as a RunError."""
        try:
            yield
        except (
            TypeError,
            ValueError,
            LookupError,
            AttributeError,
            OverflowError,
            RecursionError,
            ArchwrightError,
        ) as error:
            raise RunError(f"{self._path}: {what} is damaged ({error})") from error


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    # isolation_level=None: transactions are ours.
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode={mode}", uri=True, isolation_level=None)
    connection.execute("PRAGMA trusted_schema = OFF")
    return connection


def _disconnect(connection: sqlite3.Connection, writing: bool) -> None:
    """Close, and leave a run at rest as one file, which can be read from a medium that cannot be written."""
    if writing:
        # It cannot be done while somebody reads; then the log stays, and the next writer takes it in.
        with suppress(sqlite3.Error, UnicodeDecodeError):
            connection.execute("PRAGMA busy_timeout = 0")
            connection.execute("PRAGMA journal_mode = DELETE")
    connection.close()


def _real(value: float | None) -> float | str | None:
    return None if value is None else "nan" if math.isnan(value) else float(value)


def _text(value: str | None) -> str | None:
    """Text that SQLite takes: an error may quote a file name that is not UTF-8."""
    return None if value is None else value.encode("utf-8", "backslashreplace").decode()
