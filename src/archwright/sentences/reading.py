"""Reading sentences from text."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from archwright.errors import SpaceError, offered
from archwright.sentences.rules import COMPOSED, COMPUTATIONS, FRACTIONS, JOINS, ROUTES, SPLITS, Setting
from archwright.sentences.sentence import Sentence, counted, malformed, settings_of

DEEPEST = 60  # rules inside each other
TOKEN = re.compile(r"\s*(?:(?P<word>[A-Za-z_]\w*)|(?P<number>\d+)|(?P<mark>[(),])|(?P<other>\S))")


@dataclass(frozen=True)
class Named:
    """A known operation: what it is, the sentence made of settings and parts, and how many it has."""

    about: str
    build: Callable[..., Sentence]
    least: int = 0
    most: int = 0
    parts: int = 0


class Reader:
    """Reads one text; `named` are the operations that it may call by name."""

    def __init__(self, text: str, named: Mapping[str, Named]) -> None:
        self._text, self._named = text, named
        self._tokens = [*TOKEN.finditer(text)]
        self._next = 0

    def whole(self) -> Sentence:
        """Return the only sentence of the text; `SpaceError`, with the position, if there is none or more."""
        read = self._sentence(0)
        if (token := self._peek()) is not None:
            raise self._error(f"{token!r} follows the end of the sentence")
        return read

    def _sentence(self, depth: int) -> Sentence:
        at, name = self._next, self._peek()
        if name is None or self._tokens[at].lastgroup != "word":
            raise self._error(f"a rule's name is expected, not {'the end' if name is None else repr(name)}")
        self._next += 1
        count = settings_of(name)
        known = self._named.get(name)
        if count is None and known is None:
            names = [*COMPUTATIONS, *COMPOSED, *ROUTES, *SPLITS, *JOINS, *self._named]
            raise self._error(f"{name!r} is no rule; {offered(name, sorted({*names}))}", at)
        if depth > DEEPEST:
            raise self._error(f"more than {DEEPEST} rules inside each other", at)
        least, most = (count, count) if known is None else (known.least, known.most)
        settings: list[Setting] = []
        parts: list[Sentence] = []
        if self._peek() == "(":
            mark = "("
            while mark != ")":
                self._next += 1
                setting = None if parts or len(settings) == most else self._setting()
                if setting is None:
                    parts.append(self._sentence(depth + 1))
                else:
                    settings.append(setting)
                mark = self._peek() or "the end"
                if mark not in (",", ")"):
                    raise self._error(f"a comma or ) is expected, not {mark!r}")
            self._next += 1
        if len(settings) < (least or 0):
            raise self._error(f"{name} needs {counted(least or 0, 'number or word', 'numbers or words')} first", at)
        if known is None:
            read = Sentence(name, tuple(settings), tuple(parts))
            wrong = malformed(read)
        elif len(parts) != known.parts:
            wrong = f"{name} needs {counted(known.parts, 'part', 'parts')}, not {len(parts)}"
        else:
            return known.build(*settings, *parts)
        if wrong:
            raise self._error(wrong, at)
        return read

    def _setting(self) -> Setting | None:
        token = self._tokens[self._next] if self._next < len(self._tokens) else None
        if token is not None and token.lastgroup == "number":
            self._next += 1
            return int(token[0])
        if token is not None and token[0].strip() in (*FRACTIONS, "channels"):
            self._next += 1
            return token[0].strip()
        return None

    def _peek(self) -> str | None:
        return self._tokens[self._next][0].strip() if self._next < len(self._tokens) else None

    def _error(self, what: str, token: int | None = None) -> SpaceError:
        at = self._next if token is None else token
        start = self._tokens[at].end() - len(self._tokens[at][0].strip()) if at < len(self._tokens) else len(self._text)
        near = f", at {self._text[start : start + 20]!r}" if start < len(self._text) else ""
        return SpaceError(f"sentence, position {start + 1}{near}: {what}")
