"""A run on disk: `run.sqlite` with every proposal and result, and the big states as files beside it.

One process writes (an exclusive lock, which the system releases when the process ends, however it ends); any number
read. Nothing stored is a pickle and nothing that is read can run code, so a folder from a stranger is safe to open.

What a call recorded survives kill -9 from the moment it returns. Facts and big states are always synced to the disk,
trials if nothing has been synced for a second: so no trial that took longer than that is lost with the power, and a
fast function is not slowed by the disk (`benchmarks/loop.py`). What is lost is the end, never the middle.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import lru_cache
from pathlib import Path
from sqlite3 import Connection
from typing import Any, NamedTuple

from archwright.database import (
    FACT,
    FACT_DIGEST,
    KEEP_FACT,
    KEEP_TRIAL,
    TRIAL,
    TRIAL_DIGEST,
    TRIALS,
    Database,
    explained,
)
from archwright.errors import RunError
from archwright.files import lock, sweep, unlock
from archwright.protocols import Proposal, Result, Saved, State, Trial
from archwright.space import Architecture
from archwright.statefiles import StateFiles
from archwright.states import pack, unpack


class Outcome(NamedTuple):
    """A finished trial without its metrics and its architecture, which has the id `architecture`."""

    number: int
    architecture: str
    reward: float
    error: str | None
    seconds: float
    figures: Mapping[str, float]


MANY = 2**62  # more than there are trials
_EVALUATOR = "evaluator"  # the name of the state that `checkpoint` saves
_FIGURES = "checkpoint figures"  # the fact that goes with it
_MODELS = ("model", "found", "known")  # the subfolders with trained models
_PROPOSED = "trials.number, stream, log_prob, architectures.json"
_RESULT = "reward, metrics, error, seconds, figures.json"
_FACT = f"SELECT value, digest, {FACT_DIGEST} FROM facts LEFT JOIN digests ON name = {FACT} WHERE key = ?"
_TELL = (
    "UPDATE trials SET place = ?, reward = ?, metrics = ?, error = ?, seconds = ?, told = ?"
    " WHERE number = ? AND place IS NULL"
)
_PUT, _KEEP = "INSERT OR REPLACE INTO facts VALUES (?, ?)", f"{KEEP_FACT} WHERE key = ?"
_POSITION = "INSERT OR REPLACE INTO position VALUES (0, ?)"
_CHECKPOINT = (
    "INSERT OR REPLACE INTO checkpoint SELECT 0, ?, (SELECT COALESCE(MAX(number) + 1, 0) FROM trials), ?,"
    " trials, sha256, state FROM (SELECT 0) LEFT JOIN controller"
)


class RunStore(AbstractContextManager["RunStore"]):
    """The record of the run in `folder`: `archwright.loop.Store`, and the orchestrator's facts and states besides.

    `create` begins a new run (RunError if the folder has one in which anything is recorded); without it the run must
    exist; with None it is begun where it is not there yet. While a store is open no other process can open the run for
    writing, and what a killed one left unfinished is removed. Not shared between threads. A context manager; `close`
    releases the run.
    """

    def __init__(self, folder: str | Path, *, create: bool | None = False, writing: bool = True) -> None:
        self.folder = Path(folder)
        path = self.folder / "run.sqlite"
        if create is False and not path.is_file():
            raise RunError(f"{self.folder} is not a run folder: there is no run.sqlite in it")
        with ExitStack() as opened:
            with explained(path):
                if create is not False:
                    self.folder.mkdir(parents=True, exist_ok=True)
                if writing:
                    opened.callback(unlock, lock(self.folder))
            self._database = Database(path, create=create, writing=writing)
            opened.callback(self._database.close)
            self._states = StateFiles(self._database)
            if writing:
                self._states.sweep()
                with explained(path):
                    sweep(self.folder, *_MODELS)
            self._told: int = self._database.rows("SELECT COUNT(place) FROM trials")[0][0]
            self._open = opened.pop_all()

    @classmethod
    def reading(cls, folder: str | Path) -> RunStore:
        """Open the run in `folder` to look at, also while another process writes it. Calls that write are RunErrors."""
        return cls(folder, writing=False)

    def close(self) -> None:
        """Release the run. Twice does no harm."""
        self._open.close()

    def __exit__(self, *_: object) -> None:
        self.close()

    # The record of the loop.

    def load(self) -> Saved:
        rows, reading = self._database.rows, self._database.reading
        pending, trials, evaluator = self._proposals("place IS NULL"), list(self.trials()), self.restore(_EVALUATOR)
        streams, state, checkpoint = 0, _controller(None, None, None), None
        with reading("the stream position"):
            for (position,) in rows("SELECT streams FROM position"):
                streams = int(position)
        with reading("the controller's state"):
            for row in rows("SELECT trials, sha256, state FROM controller"):
                state = _controller(*row)
        figures = self.get(_FIGURES, {})
        with reading("the checkpoint"):
            figures = {str(name): float(value) for name, value in figures.items()}
            for _, told, proposed, position, *kept in rows("SELECT * FROM checkpoint"):
                open_then = self._proposals("trials.number < ? AND (place IS NULL OR place >= ?)", proposed, told)
                then = trials[:told], open_then, int(position), *_controller(*kept), evaluator
                checkpoint = Saved(*then, figures=figures)
        return Saved(trials, pending, streams, *state, evaluator, checkpoint)

    def trials(self, begin: int = 0, end: int = MANY) -> Iterator[Trial]:
        """Yield the finished trials in the order reported, from the place `begin` to before `end`."""
        for number, proposal, row in self._rows("place >= ? AND place < ?", "place", begin, end):
            with self._database.reading(f"trial {number}"):
                reward, metrics, error, seconds, figures = row
                result = Result(float(reward), _numbers(metrics), None if error is None else str(error))
                trial = Trial(number, proposal, result, float(seconds), _numbers(figures or "{}"))
            yield trial

    def outcomes(self, *, figures_of: int = MANY) -> Iterator[Outcome]:
        """Yield the finished trials in the order reported, without what is large: there may be many thousands.

        About `figures_of` of them have their figures.
        """
        every = max(1, -(-self._told // figures_of))
        sql = (
            f"SELECT trials.number, architecture, reward, error, seconds, figures.json, digests.digest, {TRIAL_DIGEST}"
            f" FROM {TRIALS}"
            f" LEFT JOIN digests ON digests.name = {TRIAL} WHERE place IS NOT NULL ORDER BY place"
        )
        with self._database.reading("a trial"):
            for place, row in enumerate(self._database.each(sql)):
                number, name, reward, error, seconds, figures, kept, now = row
                self._require_same(kept, now)
                numbers = json.loads(figures) if figures and place % every == 0 else {}
                yield Outcome(number, name, float(reward), error, float(seconds), numbers)

    @property
    def told_count(self) -> int:
        """How many trials are finished."""
        return self._told

    def architecture(self, trial: int) -> Architecture:
        """Return what a trial proposed."""
        return next(self._rows("trials.number = ?", "trials.number", trial))[1].architecture

    def pending(self) -> list[tuple[int, str, float]]:
        """Return proposals without an answer: number, id of the architecture, and when, in seconds since 1970."""
        sql = "SELECT number, architecture, proposed FROM trials WHERE place IS NULL ORDER BY number"
        return [(int(number), str(name), float(when)) for number, name, when in self._database.rows(sql)]

    def _proposals(self, where: str, *values: Any) -> list[tuple[int, Proposal]]:
        return [(number, proposal) for number, proposal, _ in self._rows(where, "trials.number", *values)]

    def _rows(self, where: str, order: str, *values: Any) -> Iterator[tuple[int, Proposal, list[Any]]]:
        """Yield trials: number, proposal, and what is recorded of the result."""
        sql = (
            f"SELECT {_PROPOSED}, {_RESULT}, digests.digest, {TRIAL_DIGEST} FROM {TRIALS}"
            f" LEFT JOIN digests ON digests.name = {TRIAL} WHERE {where} ORDER BY {order}"
        )
        for number, *proposed, reward, metrics, error, seconds, figures, kept, now in self._database.rows(sql, *values):
            with self._database.reading(f"trial {number}"):
                self._require_same(kept, now)
                proposal = _proposal(*proposed)
            yield number, proposal, [reward, metrics, error, seconds, figures]

    def _require_same(self, kept: str | None, now: str) -> None:
        """Raise ValueError if what is read has another digest than what was written; old files have none."""
        if kept != now and self._database.version >= 3:
            raise ValueError("it is not what was recorded")

    def proposed(self, proposals: Sequence[tuple[int, Proposal]], streams: int) -> None:
        now = time.time()
        architectures, trials = [], []
        for number, proposal in proposals:
            architecture = proposal.architecture
            architectures.append((architecture.id, json.dumps(architecture.to_json(), separators=(",", ":"))))
            trials.append((number, proposal.stream, architecture.id, _real(proposal.log_prob), now))
        with self._database.transaction(synced=False) as connection:
            connection.executemany("INSERT OR IGNORE INTO architectures VALUES (?, ?)", architectures)
            connection.executemany(
                "INSERT INTO trials (number, stream, architecture, log_prob, proposed) VALUES (?, ?, ?, ?, ?)", trials
            )
            self._digest(connection, [number for number, _ in proposals])
            connection.execute(_POSITION, (streams,))

    def _digest(self, connection: Connection, trials: Iterable[int]) -> None:
        connection.executemany(f"{KEEP_TRIAL} WHERE trials.number = ?", ((number,) for number in trials))

    def told(self, trials: Sequence[Trial], controller: State | None) -> None:
        now = time.time()
        data = None if controller is None else pack(controller)
        with self._database.transaction(synced=False) as connection:
            for place, trial in enumerate(trials, start=self._told):
                result = trial.result
                row = (place, _real(result.reward), _json(result.metrics), _text(result.error), trial.seconds, now)
                if connection.execute(_TELL, (*row, trial.number)).rowcount != 1:
                    raise RunError(f"{self._database.path}: trial {trial.number} was reported, but is not pending")
                if trial.figures:
                    connection.execute("INSERT INTO figures VALUES (?, ?)", (trial.number, _json(trial.figures)))
            self._digest(connection, [trial.number for trial in trials])
            told = self._told + len(trials)
            if data is not None:
                digest = hashlib.sha256(data).hexdigest()
                connection.execute("INSERT OR REPLACE INTO controller VALUES (0, ?, ?, ?)", (told, digest, data))
        self._told = told

    def checkpoint(self, evaluator: State, streams: int, figures: Mapping[str, float]) -> None:
        fact = (_PUT, (_FIGURES, _json(figures))), (_KEEP, (_FIGURES,))
        self._states.save(_EVALUATOR, evaluator, (_POSITION, (streams,)), (_CHECKPOINT, (self._told, streams)), *fact)

    # The orchestrator's facts and states.

    def put(self, key: str, value: Any) -> None:
        """Record a small fact: JSON data (NaN and infinity allowed). Replaces what `key` had."""
        self.put_all({key: value})

    def put_all(self, facts: Mapping[str, Any], *, forget: Collection[str] = ()) -> None:
        """Record several small facts and forget states by name: after a kill, all of it is done or nothing."""
        rows = [(key, json.dumps(value)) for key, value in facts.items()]
        with self._database.transaction() as connection:
            connection.executemany(_PUT, rows)
            connection.executemany(_KEEP, ((key,) for key in facts))
            self._states.drop(connection, forget)
        if forget:
            self._states.sweep()

    def get(self, key: str, default: Any = None) -> Any:
        rows = self._database.rows(_FACT, key)
        if not rows:
            return default
        with self._database.reading(f"the entry {key!r}"):
            self._require_same(*rows[0][1:])
            return json.loads(rows[0][0])

    def facts(self, prefix: str) -> dict[str, Any]:
        """Return the facts whose keys begin with `prefix`, by the rest of the key."""
        keys = self._database.rows(
            "SELECT key FROM facts WHERE key >= ? AND key < ? ORDER BY key", prefix, f"{prefix}\uffff"
        )
        return {key[len(prefix) :]: self.get(key) for (key,) in keys}

    def save(self, name: str, state: State) -> None:
        """Record a big state (see `archwright.states.pack` for what it may hold). Replaces what `name` had.

        `name`: letters, digits, `_`, `.`, `-`; "evaluator" is the loop's own.
        """
        self._states.save(name, state)

    def restore(self, name: str) -> State | None:
        """Return the state recorded as `name`, or None. A damaged or missing file is a RunError."""
        return self._states.restore(name)

    def forget(self, name: str) -> None:
        self._states.forget(name)


def _proposal(stream: Any, log_prob: Any, architecture: str) -> Proposal:
    return Proposal(int(stream), _architecture(architecture), None if log_prob is None else float(log_prob))


@lru_cache(maxsize=10_000)  # a controller may propose an architecture again
def _architecture(text: str) -> Architecture:
    return Architecture.from_json(json.loads(text))


def _controller(trials: int | None, digest: str | None, data: bytes | None) -> tuple[State | None, int]:
    """Return a stored controller's state and how many trials had been reported by then."""
    if trials is None or data is None:
        return None, 0
    if hashlib.sha256(data).hexdigest() != digest:
        raise ValueError("it is not what was recorded")
    return unpack(data), int(trials)


def _json(numbers: Mapping[str, float]) -> str:
    return json.dumps({name: float(value) for name, value in numbers.items()})


def _numbers(text: str) -> dict[str, float]:
    return {str(name): float(value) for name, value in json.loads(text).items()}


def _real(value: float | None) -> float | str | None:
    return None if value is None else "nan" if math.isnan(value) else float(value)


def _text(value: str | None) -> str | None:
    """Return text that SQLite takes: an error may quote a file name that is not UTF-8."""
    return None if value is None else value.encode("utf-8", "backslashreplace").decode()
