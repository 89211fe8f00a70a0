"""Files that a long comparison writes line by line, so that it can be stopped and resumed."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from archwright.errors import ConfigError, RunError
from archwright.files import append, write
from archwright.lab.contest import Course

NAME = "searches.jsonl"


class JsonLines:
    """A file with one JSON object a line, each with the `keys`."""

    def __init__(self, path: Path, keys: Collection[str] = ()) -> None:
        self.path, self._keys = path, set(keys)

    def read(self) -> list[dict[str, Any]]:
        """Return the objects. A last line that a kill has cut short is removed from the file."""
        text = self.path.read_text(encoding="utf-8") if self.path.exists() else ""
        lines, found = text.splitlines(), []
        for number, line in enumerate(lines, start=1):
            try:
                entry = json.loads(line)
                if not entry.keys() >= self._keys:
                    raise ValueError(line)
                found.append(entry)
            except (ValueError, AttributeError):
                if number < len(lines):
                    raise RunError(f"{self.path}: line {number} is damaged") from None
        if text and (len(found) < len(lines) or not text.endswith("\n")):
            self.write(found)
        return found

    def write(self, entries: Collection[Mapping[str, Any]]) -> None:
        write(self.path, "".join(f"{json.dumps(entry)}\n" for entry in entries).encode())

    def append(self, entry: Mapping[str, Any]) -> None:
        append(self.path, f"{json.dumps(entry)}\n".encode())


class Record:
    """The file `searches.jsonl` of a folder: the settings of the contest, then a line for each search.

    `asked` must be the same for all searches (table, budget, seed). `resume` keeps the searches that are there;
    otherwise the file begins anew.
    """

    def __init__(self, folder: Path, asked: Mapping[str, Any], *, resume: bool) -> None:
        self._lines = JsonLines(folder / NAME)
        self.courses: list[Course] = []
        folder.mkdir(parents=True, exist_ok=True)
        held = self._lines.read() if resume else []
        if held and held[0] != dict(asked):
            found = f"{self._lines.path} is of {held[0]}, here it is {dict(asked)}"
            raise ConfigError(f"{found}; name another folder with --out")
        for number, line in enumerate(held[1:], start=2):
            if line.keys() != {field.name for field in fields(Course)}:
                raise RunError(f"{self._lines.path}: line {number} is damaged")
            self.courses.append(Course(**{**line, "improvements": tuple(map(tuple, line["improvements"]))}))
        if not held:
            self._lines.write([asked])

    def add(self, course: Course) -> None:
        self._lines.append(asdict(course))
        self.courses.append(course)
