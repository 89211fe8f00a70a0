"""The questions that a space's program may ask, and their answers."""

from __future__ import annotations

from collections.abc import Generator, Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from archwright.errors import UnknownOption

Option: TypeAlias = "str | int | float | bool"
Answer: TypeAlias = "Option | tuple[str, ...]"


@dataclass(frozen=True)
class Choice:
    """Picks one of `options` (softmax). Questions of one `vocabulary` share a controller's embedding and head.

    The options are the vocabulary, or some of it in its order: a policy masks the others. `weights` are their relative
    probabilities in a random draw, and where a policy begins; none: all are equal.
    Where the options are `ordered`, as widths are, those before and after an answer are its neighbours: a mutation goes
    one step up or down. Where a mutation makes the question a new one, its answer is that of the question `like`, if it
    can be.
    """

    name: str
    options: tuple[Option, ...]
    vocabulary: str
    ordered: bool = False
    like: str | None = None
    weights: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Link:
    """Picks one earlier anchor, by name (attention over the anchors in `among`)."""

    name: str
    among: tuple[str, ...]


@dataclass(frozen=True)
class Links:
    """Picks any subset of the earlier anchors in `among`: the set-selection attention of NAS (Zoph & Le 2017, 3.3).

    The answer is a tuple of names in the order of `among`. With `anchor`, this step is itself an anchor of that name.
    """

    name: str
    among: tuple[str, ...]
    anchor: str | None = None


@dataclass(frozen=True)
class Anchor:
    """A controller step that asks nothing: later links may point to it. `given`: an input, whose value is zeros."""

    name: str
    given: bool = False


Decision: TypeAlias = "Choice | Link | Links"
Question: TypeAlias = "Decision | Anchor"
Program: TypeAlias = Generator[Question, Any, None]


class Decides(Hashable, Protocol):
    """The part of a `Space` that running its program needs."""

    @property
    def name(self) -> str:
        """The name that its architectures carry."""

    @property
    def fields(self) -> dict[str, Any]:
        """The fields that its program reads, with their values."""

    @property
    def vocabularies(self) -> Mapping[str, tuple[Option, ...]]:
        """Every vocabulary that its program may use."""

    def decide(self) -> Program:
        """Yield questions; each `yield` of a Choice, Link or Links returns its answer."""


def checked(question: Decision, answer: Any) -> Answer:
    """Return the answer in its canonical form; raise `UnknownOption`, with the decision and its options, if wrong."""
    if isinstance(question, Choice):
        for option in question.options:
            if option == answer and type(option) is type(answer):  # True == 1 == 1.0 must not pass for each other
                return option
        raise UnknownOption(f"{question.name}: {answer!r} is not an option; pick one of {question.options}")
    if isinstance(question, Link):
        if answer in question.among:
            return str(answer)
        raise UnknownOption(f"{question.name}: {answer!r} is not an earlier anchor; pick one of {question.among}")
    chosen = tuple(answer) if isinstance(answer, (tuple, list)) else (answer,)
    if any(name not in question.among for name in chosen) or len(set(chosen)) != len(chosen):
        raise UnknownOption(f"{question.name}: {answer!r} is not a subset of {question.among}")
    return tuple(name for name in question.among if name in chosen)


def options(question: Decision) -> Iterator[Answer]:
    """Yield every answer to a question, in a fixed order (subsets count up in binary, first anchor lowest)."""
    if not isinstance(question, Links):
        yield from question.options if isinstance(question, Choice) else question.among
        return
    for bits in range(2 ** len(question.among)):
        yield tuple(name for position, name in enumerate(question.among) if bits >> position & 1)


def alternatives(question: Decision) -> int:
    """Count the answers that `options` yields, without listing them."""
    if isinstance(question, Choice):
        return len(question.options)
    links = len(question.among)
    return links if isinstance(question, Link) else int(2**links)
