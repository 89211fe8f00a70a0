"""An architecture: the answers to a space's questions, as a value that is stored, compared and named."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from archwright.decisions import Answer
from archwright.errors import SpaceError

FORMAT = 1  # of an architecture's JSON; raise it when the meaning of stored answers changes


@dataclass(frozen=True)
class Architecture:
    """The answers to a space's questions, in the order asked. Immutable, hashable, and stable as JSON.

    `fields` are the space's fields that its program reads, by name; values are JSON's, with tuples for lists.
    """

    space: str
    fields: tuple[tuple[str, Any], ...]
    answers: tuple[tuple[str, Answer], ...]
    _by_name: dict[str, Answer] = field(init=False, repr=False, compare=False, hash=False)

    def __post_init__(self) -> None:
        # JSON has no tuples and its objects have no order; neither may make a stored architecture differ.
        object.__setattr__(self, "fields", tuple(sorted((name, frozen(value)) for name, value in self.fields)))
        object.__setattr__(self, "_by_name", dict(self.answers))
        if len(self._by_name) != len(self.answers):
            raise SpaceError(f"an architecture of {self.space} answers a question twice: {self.answers}")

    def __getitem__(self, name: str) -> Answer:
        return self._by_name[name]

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        import archwright

        return archwright.as_html(self)

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    @cached_property
    def id(self) -> str:
        """Twelve hexadecimal digits of the SHA-256 of the canonical JSON."""
        text = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def to_json(self) -> dict[str, Any]:
        """Return plain data: format, space, fields, and the answers as a list of pairs, which keeps their order."""
        return {
            "format": FORMAT,
            "space": self.space,
            "fields": {name: _plain(value) for name, value in self.fields},
            "answers": [[name, _plain(answer)] for name, answer in self.answers],
        }

    @staticmethod
    def from_json(data: Any) -> Architecture:
        """Read what `to_json` wrote, without checking the answers against a space (`check` does that)."""
        try:
            if data["format"] != FORMAT:
                raise SpaceError(
                    f"architecture format {data['format']!r} is unknown; this version of archwright reads {FORMAT}"
                )
            fields = tuple((str(name), frozen(value)) for name, value in data["fields"].items())
            hash((fields, answers := tuple((str(name), frozen(answer)) for name, answer in data["answers"])))
            return Architecture(str(data["space"]), fields, answers)
        except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise SpaceError(
                f"not an architecture: expected an object with format, space, fields and answers ({error!r})"
            ) from None


def frozen(value: Any) -> Any:
    """Return the value with every list as a tuple, so that it can be compared and hashed."""
    return tuple(frozen(item) for item in value) if isinstance(value, (tuple, list)) else value


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, (tuple, list)) else value
