"""Programs that a policy runs side by side: answers are option numbers, and one run serves all rows asked the same.

A *row* is one architecture of a batch. A program that never reads its answers (`space.questions` finds out) asks every
row the same questions, so it runs once for all its rows. Every other program runs once for each row.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from archwright.architecture import Architecture
from archwright.decisions import Anchor, Answer, Choice, Decision, Link, Links, Option, Question
from archwright.errors import SpaceError
from archwright.space import Space, Walk, questions

Ints: TypeAlias = NDArray[np.int64]
Bools: TypeAlias = NDArray[np.bool_]
Answers: TypeAlias = "Ints | Bools"  # option numbers [rows] for a Choice or Link, booleans [rows, anchors] for Links


@dataclass(frozen=True, eq=False)
class Asked:
    """A question; for each anchor in its `among`, the anchor's step and ordinal (from 0), and whether it is given.

    `places` are those of a Choice's options in its vocabulary.
    """

    question: Question
    steps: tuple[int, ...] = ()
    ordinals: tuple[int, ...] = ()
    given: tuple[bool, ...] = ()
    places: tuple[int, ...] = ()


NOTHING: Ints = np.zeros(0, dtype=np.int64)
END = Asked(Anchor(""))  # pending when a program has ended


def _located(asked: Iterable[Question], space: Space) -> Iterator[Asked]:
    """Locate the anchors and options of one program as its questions come up."""
    vocabularies = space.vocabularies
    anchors: dict[str, tuple[int, int, bool]] = {}
    for step, question in enumerate(asked):
        if isinstance(question, (Link, Links)) and question.among:
            yield Asked(question, *zip(*[anchors[name] for name in question.among], strict=True))
        elif isinstance(question, Choice):
            yield Asked(question, places=_places(question.options, vocabularies[question.vocabulary]))
        else:
            yield Asked(question)
        if isinstance(question, Anchor):
            anchors[question.name] = (step, len(anchors), question.given)
        elif isinstance(question, Links) and question.anchor is not None:
            anchors[question.anchor] = (step, len(anchors), False)


class SharedProgram:
    """A program that never reads its answers, run once for any number of `rows`. `asked`: the pending question."""

    def __init__(self, space: Space, plan: tuple[Asked, ...], rows: Sequence[int]) -> None:
        self.rows = np.array(rows, dtype=np.int64)
        self._space, self._plan, self._coming = space, plan, iter(plan)
        self._answers: list[Answers] = []
        self.asked = next(self._coming, END)

    def send(self, answers: Answers) -> None:
        """Answer the pending question for each row (ignored for an Anchor) and go to the next."""
        self._answers.append(answers)
        self.asked = next(self._coming, END)

    def architectures(self) -> Iterator[Architecture]:
        names, columns = [], []
        for asked, answers in zip(self._plan, self._answers, strict=True):
            if not isinstance(asked.question, Anchor):
                names.append(asked.question.name)
                columns.append(decoded(asked.question, answers))
        fields = tuple(self._space.fields.items())
        for row in range(len(self.rows)):
            pairs = tuple(zip(names, [column[row] for column in columns], strict=True))
            yield Architecture(self._space.name, fields, pairs)


class SingleProgram:
    """Any program, run for one row. `asked`: the pending question."""

    def __init__(self, space: Space, row: int) -> None:
        self.rows = np.array([row], dtype=np.int64)
        self._walk = Walk(space)
        self._located = _located(iter(lambda: self._walk.question, None), space)
        self.asked = next(self._located, END)

    def send(self, answers: Answers) -> None:
        question = self.asked.question
        self._walk.trust(None if isinstance(question, Anchor) else decoded(question, answers)[0])
        self.asked = next(self._located, END)

    def architectures(self) -> Iterator[Architecture]:
        yield self._walk.architecture()


BatchedProgram: TypeAlias = "SharedProgram | SingleProgram"


def programs_of(spaces: Sequence[Space]) -> list[BatchedProgram]:
    """Return the programs of a batch whose row i is an architecture of `spaces[i]`."""
    programs: list[BatchedProgram] = []
    rows_of: dict[Space, list[int]] = {}
    for row, space in enumerate(spaces):
        try:
            rows_of.setdefault(space, []).append(row)
        except TypeError:  # a field that cannot be hashed, say a list
            programs.append(SingleProgram(space, row))
    for space, rows in rows_of.items():
        plan = _plan(space)
        if plan is None:
            programs += [SingleProgram(space, row) for row in rows]
        else:
            programs.append(SharedProgram(space, plan, rows))
    return programs


@lru_cache(maxsize=256)  # the stages of a growing space are a few dozen
def _plan(space: Space) -> tuple[Asked, ...] | None:
    """Return all questions of a program that never reads an answer, else None."""
    try:
        return tuple(_located(questions(space), space))
    except SpaceError:  # also raised by a broken space: the walk of its row says what is wrong
        return None


def decoded(question: Decision, answers: Answers) -> list[Answer]:
    """Return option numbers as answers to a question, one for each row."""
    if isinstance(question, Links):
        among = question.among
        return [tuple(name for name, chosen in zip(among, row, strict=False) if chosen) for row in answers.tolist()]
    offered = _offered(question)
    return [offered[number] for number in answers.tolist()]


def encoded(asked: Sequence[Decision], architectures: Sequence[Architecture | Mapping[str, Answer]]) -> Answers:
    """Return each architecture's answer to its question as an option number; all questions are of one kind.

    A missing or impossible answer raises KeyError, ValueError or TypeError; `space.check` words the error.
    """
    if isinstance(asked[0], Links):
        among = [question.among if isinstance(question, Links) else () for question in asked]
        chosen = np.zeros((len(asked), max(map(len, among))), dtype=np.bool_)
        for row, names, question, architecture in zip(chosen, among, asked, architectures, strict=True):
            answer = architecture[question.name]
            row[[names.index(name) for name in (answer if isinstance(answer, tuple) else (answer,))]] = True
        return chosen
    if len(set(map(id, asked))) == 1:  # of a shared program: look the options up once
        numbers, name = _numbers(_offered(asked[0])), asked[0].name
        return np.array([numbers[architecture[name]] for architecture in architectures], dtype=np.int64)
    pairs = zip(asked, architectures, strict=True)
    return np.array([_numbers(_offered(q))[architecture[q.name]] for q, architecture in pairs], dtype=np.int64)


def _offered(question: Decision) -> tuple[Option, ...]:
    return question.options if isinstance(question, Choice) else question.among


@lru_cache(maxsize=1024)
def _places(offered: tuple[Option, ...], declared: tuple[Option, ...]) -> tuple[int, ...]:
    return tuple(map(declared.index, offered))


@lru_cache(maxsize=1024)
def _numbers(offered: tuple[Option, ...]) -> dict[Answer, int]:
    return {option: number for number, option in enumerate(offered)}
