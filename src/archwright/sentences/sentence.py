"""Sentences: what an operation computes, as a tree of rules, and as text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from archwright.sentences.rules import (
    COMPOSED,
    COMPUTATIONS,
    JOINS,
    LEAVES,
    MOST_REPEATS,
    ROUTES,
    SPLITS,
    Setting,
)


@dataclass(frozen=True)
class Sentence:
    """A rule with its settings and parts.

    `branching` has a split (`clone`, `group`), one part for each branch, or one that all have with weights of their
    own, and a join. `routing` has what comes before its part and after it.
    """

    rule: str
    settings: tuple[Setting, ...] = ()
    parts: tuple[Sentence, ...] = ()
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_hash", hash((self.rule, self.settings, self.parts)))

    def __hash__(self) -> int:
        return self._hash  # of a large tree it would be looked at anew for each look into a cache

    def __reduce__(self) -> tuple[Any, ...]:
        return Sentence, (self.rule, self.settings, self.parts)  # hashes of words differ between processes

    def __str__(self) -> str:
        return write(self)

    def walk(self) -> Iterator[Sentence]:
        """Yield the sentence and all parts of it, each before its own."""
        yield self
        for part in self.parts:
            yield from part.walk()

    @property
    def inner(self) -> tuple[Sentence, ...]:
        """The parts that are sentences of their own: without a branching's split and join, or a routing's ends."""
        return self.parts[1:-1] if self.rule in ("branching", "routing") else self.parts

    def with_inner(self, inner: tuple[Sentence, ...]) -> Sentence:
        """Return the same rule around other sentences."""
        framed = self.rule in ("branching", "routing")
        return Sentence(self.rule, self.settings, (self.parts[0], *inner, self.parts[-1]) if framed else inner)


def write(sentence: Sentence) -> str:
    """Return a sentence as text, which `library.parse` reads."""
    inside = [*map(str, sentence.settings), *map(write, sentence.parts)]
    return f"{sentence.rule}({', '.join(inside)})" if inside else sentence.rule


def settings_of(name: str) -> int | None:
    """Return how many settings a rule has; None if there is no such rule."""
    rule = COMPUTATIONS.get(name) or ROUTES.get(name)
    if rule is not None:
        return rule.settings
    return 0 if name in JOINS else {**SPLITS, **COMPOSED}.get(name)


def malformed(sentence: Sentence) -> str:
    """Say what is wrong with a sentence's own rule, wherever it stands; empty if nothing is."""
    rule, parts = sentence.rule, sentence.parts
    ends = [part.rule for part in (parts[:1] + parts[-1:] if rule in ("branching", "routing") else ())]
    needed = settings_of(rule)
    if len(sentence.settings) != needed:
        return f"{rule} has {counted(needed or 0, 'setting', 'settings')}, not {len(sentence.settings)}"
    if rule not in COMPOSED:
        return f"{rule} has no parts" if parts else ""
    if rule == "repeat" and not (isinstance(sentence.settings[0], int) and 1 <= sentence.settings[0] <= MOST_REPEATS):
        return f"repeat needs a number from 1 to {MOST_REPEATS} first, not {sentence.settings[0]}"
    if rule == "sequential" and len(parts) < 2:
        return f"sequential needs two parts or more, not {len(parts)}"
    if rule in ("repeat", "recurrence") and len(parts) != 1:
        return f"{rule} needs one part, not {len(parts)}"
    if rule == "branching":
        if len(parts) < 3 or ends[0] not in SPLITS or ends[1] not in JOINS:
            return f"branching needs {' or '.join(SPLITS)} first, then its branches, and one of {', '.join(JOINS)} last"
        count = parts[0].settings[0]
        if len(parts) != 3 and len(parts) - 2 != count:
            return f"branching needs one part, or one for each of {count} branches, not {len(parts) - 2}"
    if rule == "routing":
        if len(parts) != 3 or ends[0] not in LEAVES:
            return f"routing needs one of {', '.join(LEAVES)} first, then a part, and what it ends with"
        if ends[1] not in LEAVES[ends[0]]:
            return f"a routing that begins with {ends[0]} ends with {' or '.join(LEAVES[ends[0]])}, not {ends[1]}"
    wrong = next((part.rule for part in sentence.inner if part.rule not in {**COMPUTATIONS, **COMPOSED}), None)
    return f"{wrong} is no part of {rule} here" if wrong else ""


def counted(count: int, one: str, several: str) -> str:
    """Write how many there are of something."""
    return f"{count} {one if count == 1 else several}" if count else f"no {several}"
