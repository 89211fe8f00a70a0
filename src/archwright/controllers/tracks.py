"""Programs as a policy runs them: answers are option numbers, and one run serves every lane that is asked the same.

A program that never looks at its answers (`space.questions` finds out) asks every lane the same questions, so they are
written down once and all its lanes share a *track*. Every other program is run for each lane by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from archwright.architecture import Architecture
from archwright.decisions import Anchor, Answer, Choice, Decision, Link, Links, Option, Question
from archwright.errors import SpaceError
from archwright.space import Space, Walk, questions

Ints: TypeAlias = NDArray[np.int64]
Bools: TypeAlias = NDArray[np.bool_]
Answers: TypeAlias = "Ints | Bools"  # option numbers [lanes] for a Choice or Link, booleans [lanes, anchors] for Links


@dataclass(frozen=True, eq=False)
class Asked:
    """A question, and where the anchors of its `among` are: their steps, and which of them are given.

    `ordinals` count the anchors of the program, from 0.
    """

    question: Question
    steps: tuple[int, ...] = ()
    ordinals: tuple[int, ...] = ()
    given: tuple[bool, ...] = ()


NOTHING: Ints = np.zeros(0, dtype=np.int64)
END = Asked(Anchor(""))  # what a program that has ended asks


class Track(Protocol):
    """One run of a program for its `lanes`. `asked` is the pending question, `END` when the program has ended."""

    lanes: Ints
    asked: Asked

    def send(self, answers: Answers) -> None:
        """Answer the pending question for each lane (for an Anchor, anything) and go to the next."""

    def architectures(self) -> Iterator[Architecture]:
        """The finished architecture of each lane."""


class _Places:
    """Where the anchors of one program are."""

    def __init__(self) -> None:
        self._step = 0
        self._anchors: dict[str, tuple[int, int, bool]] = {}

    def ask(self, question: Question | None) -> Asked:
        if question is None:
            return END
        asked = Asked(question)
        if isinstance(question, (Link, Links)) and question.among:
            asked = Asked(question, *zip(*[self._anchors[name] for name in question.among], strict=True))
        if isinstance(question, Anchor):
            self._anchors[question.name] = (self._step, len(self._anchors), question.given)
        elif isinstance(question, Links) and question.anchor is not None:
            self._anchors[question.anchor] = (self._step, len(self._anchors), False)
        self._step += 1
        return asked


class SharedTrack:
    """Any number of lanes of a program that never looks at its answers."""

    def __init__(self, space: Space, plan: tuple[Asked, ...], lanes: Sequence[int]) -> None:
        self.lanes = np.array(lanes, dtype=np.int64)
        self._space, self._plan = space, plan
        self._answers: list[Answers] = []
        self.asked = plan[0] if plan else END

    def send(self, answers: Answers) -> None:
        """See `Track`."""
        self._answers.append(answers)
        step = len(self._answers)
        self.asked = self._plan[step] if step < len(self._plan) else END

    def architectures(self) -> Iterator[Architecture]:
        """See `Track`."""
        names, columns = [], []
        for asked, answers in zip(self._plan, self._answers, strict=True):
            if not isinstance(asked.question, Anchor):
                names.append(asked.question.name)
                columns.append(decoded(asked.question, answers))
        fields = tuple(self._space.fields.items())
        for lane in range(len(self.lanes)):
            pairs = tuple(zip(names, [column[lane] for column in columns], strict=True))
            yield Architecture(self._space.name, fields, pairs)


class SingleTrack:
    """One lane of any program."""

    def __init__(self, space: Space, lane: int) -> None:
        self.lanes = np.array([lane], dtype=np.int64)
        self._walk, self._places = Walk(space), _Places()
        self.asked = self._places.ask(self._walk.question)

    def send(self, answers: Answers) -> None:
        """See `Track`."""
        question = self.asked.question
        self._walk.trust(None if isinstance(question, Anchor) else decoded(question, answers)[0])
        self.asked = self._places.ask(self._walk.question)

    def architectures(self) -> Iterator[Architecture]:
        """See `Track`."""
        yield self._walk.architecture()


def tracks_of(spaces: Sequence[Space]) -> list[Track]:
    """The tracks of a batch whose lane i runs the program of `spaces[i]`."""
    tracks: list[Track] = []
    shared: dict[Space, list[int]] = {}
    for lane, space in enumerate(spaces):
        if _plan_of(space) is None:
            tracks.append(SingleTrack(space, lane))
        else:
            shared.setdefault(space, []).append(lane)
    for space, lanes in shared.items():
        tracks.append(SharedTrack(space, _plan_of(space) or (), lanes))
    return tracks


def _plan_of(space: Space) -> tuple[Asked, ...] | None:
    """Everything that a program asks, if it never looks at an answer."""
    try:
        return _plan(space)
    except TypeError:  # a field that cannot be hashed, say a list
        return None


@lru_cache(maxsize=256)  # the stages of a growing space are a few dozen
def _plan(space: Space) -> tuple[Asked, ...] | None:
    try:
        asked = questions(space)
    except SpaceError:  # of a broken space too: the walk of a lane will say what is wrong
        return None
    places = _Places()
    return tuple(places.ask(question) for question in asked)


def decoded(question: Decision, answers: Answers) -> list[Answer]:
    """Option numbers as answers to a question, one for each lane."""
    if isinstance(question, Links):
        among = question.among
        return [tuple(name for name, chosen in zip(among, row, strict=False) if chosen) for row in answers.tolist()]
    offered = _offered(question)
    return [offered[number] for number in answers.tolist()]


def encoded(asked: Sequence[Decision], architectures: Sequence[Architecture]) -> Answers:
    """What each architecture answers to its question, as option numbers; all questions are of one kind.

    An answer that is missing or impossible is a KeyError, ValueError or TypeError: `space.check` has the words.
    """
    if isinstance(asked[0], Links):
        among = [question.among if isinstance(question, Links) else () for question in asked]
        chosen = np.zeros((len(asked), max(map(len, among))), dtype=np.bool_)
        for row, names, question, architecture in zip(chosen, among, asked, architectures, strict=True):
            answer = architecture[question.name]
            row[[names.index(name) for name in (answer if isinstance(answer, tuple) else (answer,))]] = True
        return chosen
    pairs = zip(asked, architectures, strict=True)
    return np.array([_numbers(_offered(q))[architecture[q.name]] for q, architecture in pairs], dtype=np.int64)


def _offered(question: Decision) -> tuple[Option, ...]:
    return question.options if isinstance(question, Choice) else question.among


@lru_cache(maxsize=1024)
def _numbers(offered: tuple[Option, ...]) -> dict[Answer, int]:
    return {option: number for number, option in enumerate(offered)}
