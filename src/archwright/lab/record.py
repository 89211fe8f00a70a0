"""Searches that have ended, in a file, so that a long contest can be stopped and gone on with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from archwright.errors import ConfigError, RunError
from archwright.lab.contest import Course

NAME = "searches.jsonl"


class Record:
    """The file `searches.jsonl` of a folder: what was asked, then a line for each search.

    Args:
        folder: made if it is not there.
        asked: what must be the same for all searches (table, budget, seed).
        resume: keep the searches that are there; otherwise the file begins anew.
    """

    def __init__(self, folder: Path, asked: Mapping[str, Any], *, resume: bool) -> None:
        self._path = folder / NAME
        self.courses: list[Course] = []
        folder.mkdir(parents=True, exist_ok=True)
        if resume and self._path.exists():
            self._read(dict(asked))
        lines = [json.dumps(dict(asked)), *(json.dumps(asdict(course)) for course in self.courses)]
        self._path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    def _read(self, asked: dict[str, Any]) -> None:
        first, *lines = self._path.read_text(encoding="utf-8").splitlines()
        if (held := _parsed(first)) != asked:
            raise ConfigError(f"{self._path} is of {held}, here it is {asked}; name another folder with --out")
        for number, line in enumerate(lines, start=2):
            fields = _parsed(line)
            try:
                improvements = tuple([(float(a), float(b), float(c)) for a, b, c in fields.pop("improvements")])
                self.courses.append(Course(improvements=improvements, **fields))
            except (KeyError, TypeError, ValueError):
                if number <= len(lines):  # a kill may cut the last line short
                    raise RunError(f"{self._path}: line {number} is damaged") from None

    def add(self, course: Course) -> None:
        """Record one more."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(course)) + "\n")
        self.courses.append(course)


def _parsed(line: str) -> dict[str, Any]:
    try:
        fields = json.loads(line)
    except ValueError:
        return {}
    return fields if isinstance(fields, dict) else {}
