"""Many programs run side by side, step by step; the questions pending at a step are grouped and answered together.

A *row* is one architecture of the batch. A *step* is one question of every row that has not ended; rows may ask
different kinds of question, point to different anchors and end at different times.

A row's input at its next step is an entry of the policy's input table. The first entries are fixed (`Inputs`); each
step at which some row has an anchor then adds one entry for every row: the hidden states there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from archwright.architecture import Architecture
from archwright.controllers.programs import (
    END,
    NOTHING,
    Answers,
    Asked,
    BatchedProgram,
    Ints,
    SharedProgram,
    programs_of,
)
from archwright.decisions import Anchor, Choice, Decision, Link, Links, Question
from archwright.space import Space

Kind: TypeAlias = "type[Choice] | type[Link] | type[Links]"
Section: TypeAlias = "tuple[Kind, str]"  # a kind and, for a Choice, its vocabulary


@dataclass(frozen=True)
class Inputs:
    """The fixed entries of the input table: options of each vocabulary in order of name, the start input, zeros.

    `zeros` is the value of a given anchor, `anchors` the first entry of an anchor.
    """

    options: Mapping[str, slice]
    start: int
    zeros: int
    anchors: int

    @staticmethod
    def of(space: Space) -> Inputs:
        entries, first = {}, 0
        for name, options in sorted(space.vocabularies.items()):
            entries[name] = slice(first, first + len(options))
            first += len(options)
        return Inputs(entries, start=first, zeros=first + 1, anchors=first + 2)


@dataclass(frozen=True)
class Feed:
    """Weighted sums of table entries: row `rows[i]` is fed `shares[i]` times entry `entries[i]`, summed over i."""

    rows: Ints
    entries: Ints
    shares: NDArray[np.float64]


@dataclass(frozen=True)
class Group:
    """The rows that ask one kind of question at a step: choices from one vocabulary, links, or sets of links.

    With n rows: `questions` and `rows` [n]; `sizes` [n], the number of options or anchors of each; `keys` [n, anchors]
    numbers the anchors as entries of the input table, counted from the first anchor; `values` is the same with -1 (the
    entry of zeros) for given anchors. For a Choice both are the places of its options in the vocabulary. Both are
    padded with 0. `shared`: the group is all rows,
    in order, of one program, so nothing is padded.
    Answers are option numbers [n], or for sets booleans [n, anchors].
    """

    kind: Kind
    vocabulary: str
    questions: tuple[Decision, ...]
    rows: Ints
    sizes: Ints
    keys: Ints
    values: Ints
    shared: bool


@dataclass(frozen=True)
class Step:
    """The inputs and questions of one step.

    Fed are `entries` [batch] of the input table plus `feed`. `anchor` is the number of earlier steps with an anchor if
    some row's hidden state is an anchor here, else None.
    """

    number: int
    entries: Ints
    feed: Feed | None
    groups: tuple[Group, ...]
    anchor: int | None


@dataclass(frozen=True)
class Script:
    """A finished rollout without its numbers: what was fed, asked and answered at each step."""

    steps: tuple[Step, ...]
    answers: tuple[Sequence[Answers], ...]  # by step and group
    programs: tuple[BatchedProgram, ...]

    def architectures(self) -> tuple[Architecture, ...]:
        made = {row: a for p in self.programs for row, a in zip(p.rows.tolist(), p.architectures(), strict=True)}
        return tuple([made[row] for row in range(len(made))])

    def decisions(self) -> list[int]:
        """Return the number of decisions of each row."""
        rows = [group.rows for step in self.steps for group in step.groups]
        batch = sum(len(program.rows) for program in self.programs)
        counts: list[int] = np.bincount(np.concatenate([NOTHING, *rows]), minlength=batch).tolist()
        return counts

    def sections(self) -> dict[Section, list[tuple[int, Group, Answers]]]:
        """Return step, group and answers of every decision, in the order asked, by kind and vocabulary."""
        sections: dict[Section, list[tuple[int, Group, Answers]]] = {}
        for step, answers in zip(self.steps, self.answers, strict=True):
            for group, answer in zip(step.groups, answers, strict=True):
                sections.setdefault((group.kind, group.vocabulary), []).append((step.number, group, answer))
        return sections


def play(spaces: Sequence[Space], inputs: Inputs, answer: Callable[[Step], Sequence[Answers]]) -> Script:
    """Run one program per row to its end; `answer` answers the groups of each step."""
    batch, programs = len(spaces), programs_of(spaces)
    alone = programs[0] if len(programs) == 1 and isinstance(programs[0], SharedProgram) else None
    steps: list[Step] = []
    answered: list[Sequence[Answers]] = []
    anchors: list[int] = []  # for each step, the number of earlier steps with an anchor
    entries, feed = np.full(batch, inputs.start), None
    while live := [program for program in programs if program.asked is not END]:
        anchors.append(anchors[-1] + (steps[-1].anchor is not None) if steps else 0)
        if alone is not None:  # the usual batch
            groups, anchored = _shared_groups(alone.asked, batch)
            asking, resting = ([live], []) if groups else ([], live)
        else:
            alike: dict[tuple[type, str], list[BatchedProgram]] = {}
            for program in live:
                question = program.asked.question
                kind = type(question), question.vocabulary if isinstance(question, Choice) else ""
                alike.setdefault(kind, []).append(program)
            resting, asking = alike.pop((Anchor, ""), []), list(alike.values())
            groups = tuple([_group(members, anchors, batch) for members in asking])
            anchored = bool(resting) or any(_anchors(program.asked.question) for program in live)
        steps.append(Step(len(steps), entries, feed, groups, anchors[-1] if anchored else None))
        answered.append(answer(steps[-1]))
        entries, feed = _next_input(inputs, batch, groups, answered[-1])
        for members, answers in zip(asking, answered[-1], strict=True):
            first = 0
            for program in members:
                program.send(answers[first : first + len(program.rows)])
                first += len(program.rows)
        for program in resting:
            program.send(NOTHING)
    return Script(tuple(steps), tuple(answered), tuple(programs))


def _anchors(question: Question) -> bool:
    return isinstance(question, Anchor) or (isinstance(question, Links) and question.anchor is not None)


def _group(members: Sequence[BatchedProgram], anchors: Sequence[int], batch: int) -> Group:
    parts = [_part(p.asked, p.rows, [anchors[step] for step in p.asked.steps], batch) for p in members]
    if len(parts) == 1:
        return parts[0]
    return Group(
        parts[0].kind,
        parts[0].vocabulary,
        tuple([question for part in parts for question in part.questions]),
        np.concatenate([part.rows for part in parts]),
        np.concatenate([part.sizes for part in parts]),
        padded([part.keys for part in parts]),
        padded([part.values for part in parts]),
        False,
    )


@lru_cache(maxsize=4096)
def _shared_groups(asked: Asked, batch: int) -> tuple[tuple[Group, ...], bool]:
    """Return the groups of a step of one program for all rows, and whether the step is an anchor."""
    if isinstance(asked.question, Anchor):
        return (), True
    return (_part(asked, np.arange(batch), asked.ordinals, batch, shared=True),), _anchors(asked.question)


def _part(asked: Asked, rows: Ints, anchors: Sequence[int], batch: int, shared: bool = False) -> Group:
    """Return the rows of one program; `anchors` counts the steps with an anchor before each in `among`."""
    question, size = asked.question, len(rows)
    assert not isinstance(question, Anchor)
    vocabulary, width = "", len(anchors)
    if isinstance(question, Choice):
        vocabulary, width = question.vocabulary, len(question.options)
        keys = np.tile(np.array(asked.places, dtype=np.int64), (size, 1))
        return Group(Choice, vocabulary, (question,) * size, rows, np.full(size, width), keys, keys, shared)
    keys = np.array(anchors, dtype=np.int64) * batch + rows[:, None]
    values = np.where(np.array(asked.given, dtype=np.bool_), -1, keys)
    return Group(type(question), vocabulary, (question,) * size, rows, np.full(size, width), keys, values, shared)


def padded(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Stack arrays [n, width] of different widths, with zeros where a row is shorter than the widest."""
    if len(parts) == 1:
        return parts[0]
    width = max([part.shape[1] for part in parts])
    whole = np.zeros((sum(map(len, parts)), width), dtype=parts[0].dtype)
    first = 0
    for part in parts:
        whole[first : first + len(part), : part.shape[1]] = part
        first += len(part)
    return whole


def _next_input(
    inputs: Inputs, batch: int, groups: Sequence[Group], answers: Sequence[Answers]
) -> tuple[Ints, Feed | None]:
    """Return each row's input after these answers; at an Anchor, or with no anchor to pick, it is the start input."""
    entries, feed = np.full(batch, inputs.start), None
    for group, answer in zip(groups, answers, strict=True):
        if group.kind is Choice:
            places = group.keys[np.arange(len(answer)), answer]
            entries[group.rows] = places + inputs.options[group.vocabulary].start
        elif group.kind is Link:
            entries[group.rows] = group.values[np.arange(len(answer)), answer] + inputs.anchors
        else:
            entries[group.rows[group.sizes > 0]] = inputs.zeros
            row, position = np.nonzero(answer & (group.values >= 0))
            shares = 1 / (1 + answer.sum(1))
            feed = Feed(group.rows[row], inputs.anchors + group.values[row, position], shares[row])
    return entries, feed
