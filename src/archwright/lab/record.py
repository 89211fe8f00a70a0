"""Files that a long comparison writes line by line, so that it can be stopped and resumed."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from archwright.architecture import frozen
from archwright.errors import ConfigError, RunError
from archwright.files import append, lock, sweep, unlock, write
from archwright.lab.contest import Course
from archwright.stored import made, parsed, reading

# What a comparison leaves in its folder: one of a table, one of real training, and the results of either.
NAME, SETUP, RESULTS = "searches.jsonl", "setup.json", "bench.json"
FORMAT = 2  # of the searches; in 1 `reinforce` and `ppo` had the settings of the papers


class JsonLines:
    """A file with one JSON object a line, each with the `keys`."""

    def __init__(self, path: Path, keys: Collection[str] = ()) -> None:
        self.path, self._keys = path, set(keys)

    def read(self) -> list[dict[str, Any]]:
        """Return the objects. A last line that a kill has cut short is removed from the file."""
        with reading(self.path):
            text = self.path.read_text(encoding="utf-8") if self.path.exists() else ""
        lines, found = text.splitlines(), []
        for number, line in enumerate(lines, start=1):
            try:
                entry = parsed(line, self.path)
                if not isinstance(entry, dict) or not entry.keys() >= self._keys:
                    raise RunError(line)
                found.append(entry)
            except RunError:
                if number < len(lines):
                    raise RunError(f"{self.path}: line {number} is damaged") from None
        if text and (len(found) < len(lines) or not text.endswith("\n")):
            self.write(found)
        return found

    def write(self, entries: Collection[Mapping[str, Any]]) -> None:
        write(self.path, "".join(f"{json.dumps(entry)}\n" for entry in entries).encode())

    def append(self, entry: Mapping[str, Any]) -> None:
        append(self.path, f"{json.dumps(entry)}\n".encode())


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Make the folder, and keep other processes out of it in this block; RunError says who is in it."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = lock(folder)
    try:
        yield
    finally:
        unlock(descriptor)


def refuse_others(folder: Path, own: str) -> None:
    """Raise ConfigError if a folder without the file `own` holds another comparison, which would be overwritten."""
    others = [name for name in (NAME, SETUP, RESULTS) if (folder / name).exists()]
    if others and own not in others:
        raise ConfigError(f"{folder} holds another comparison ({others[0]}); name another folder with --out")


class Record:
    """The file `searches.jsonl` of a folder: the settings of the contest, then a line for each search.

    `asked` must be the same for all searches (table, budget, seed). `resume` keeps the searches that are there;
    otherwise there may be none. Searches are appended; none is overwritten.
    """

    def __init__(self, folder: Path, asked: Mapping[str, Any], *, resume: bool) -> None:
        self._lines = JsonLines(folder / NAME)
        self.courses: list[Course] = []
        asked = {**asked, "format": FORMAT}
        folder.mkdir(parents=True, exist_ok=True)
        refuse_others(folder, NAME)
        sweep(folder)
        held = self._lines.read()
        if held[1:] and not resume:
            raise ConfigError(f"{folder} holds {len(held) - 1} searches; --resume keeps them, or name another --out")
        if not held[1:]:
            held = []
        if held and held[0] != asked:
            found = f"{self._lines.path} is of {held[0]}, here it is {asked}"
            raise ConfigError(f"{found}; name another folder with --out")
        for number, line in enumerate(held[1:], start=2):
            with reading(f"{self._lines.path}: line {number}"):
                self.courses.append(made(Course, {name: frozen(value) for name, value in line.items()}, "a search"))
        if not held:
            self._lines.write([asked])

    def add(self, course: Course) -> None:
        self._lines.append(asdict(course))
        self.courses.append(course)
