"""Many programs run side by side, step by step; the questions pending at a step are grouped, to be answered together.

A *lane* is one architecture being written. A *step* is one question of every lane that has not ended; lanes may ask
different kinds of question, point to different anchors and end at different times. Lanes that are sure to be asked the
same share a *track* (`archwright.controllers.tracks`); whoever answers sees groups of lanes and need not know.

What a lane is fed at its next step is a row of the policy's input table. Its first rows are fixed (`Inputs`); each
step at which some lane has an anchor then adds one row for every lane: the hidden states there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from archwright.architecture import Architecture
from archwright.controllers.tracks import END, NOTHING, Answers, Asked, Ints, SharedTrack, Track, tracks_of
from archwright.decisions import Anchor, Choice, Decision, Link, Links
from archwright.space import Space

Kind: TypeAlias = "type[Choice] | type[Link] | type[Links]"
Section: TypeAlias = "tuple[Kind, str]"  # and a Choice's vocabulary


@dataclass(frozen=True)
class Inputs:
    """The fixed rows of the input table: options of each vocabulary in the order of their names, start input, zeros."""

    options: Mapping[str, slice]
    start: int

    @property
    def zeros(self) -> int:
        """The row of zeros, the value of a given anchor: just before the anchors."""
        return self.start + 1

    @property
    def anchors(self) -> int:
        """The first row that is an anchor's."""
        return self.start + 2

    @staticmethod
    def of(space: Space) -> Inputs:
        """The rows for the vocabularies that a space declares."""
        rows, first = {}, 0
        for name, options in sorted(space.vocabularies.items()):
            rows[name] = slice(first, first + len(options))
            first += len(options)
        return Inputs(rows, first)


@dataclass(frozen=True)
class Feed:
    """Sums of table rows: lane `lanes[i]` is fed `shares[i]` times row `rows[i]`, summed over i."""

    lanes: Ints
    rows: Ints
    shares: NDArray[np.float64]


@dataclass(frozen=True)
class Group:
    """The lanes that ask one kind of question at a step: choices from one vocabulary, or links, or sets of links.

    With n lanes: `questions` and `lanes` [n]; `sizes` [n], how many options or anchors each has; `keys` [n, anchors]
    numbers the anchors as rows of the input table, counted from the first anchor; `values` the same with -1 (the row of
    zeros) for given anchors. Both are padded with 0; a Choice has none. `shared`: these are all lanes, in order, and of
    one track, so nothing is padded.
    Answers are option numbers [n], or for sets booleans [n, anchors].
    """

    kind: Kind
    vocabulary: str
    questions: tuple[Decision, ...]
    lanes: Ints
    sizes: Ints
    keys: Ints
    values: Ints
    shared: bool


@dataclass(frozen=True)
class Step:
    """What goes in at a step and what is asked there.

    `rows` [batch] of the input table are fed, and `feed` besides. `anchor`: if some lane's hidden state is an anchor
    here, how many such steps there were before.
    """

    number: int
    rows: Ints
    feed: Feed | None
    groups: tuple[Group, ...]
    anchor: int | None


@dataclass(frozen=True)
class Script:
    """A finished rollout without its numbers: what was fed and asked at each step, and how it was answered."""

    steps: tuple[Step, ...]
    answers: tuple[Sequence[Answers], ...]  # of each step, of each of its groups
    architectures: tuple[Architecture, ...]

    def sections(self) -> dict[Section, list[tuple[int, Group, Answers]]]:
        """Step, group and answers of everything decided, in the order asked, by kind and vocabulary."""
        sections: dict[Section, list[tuple[int, Group, Answers]]] = {}
        for step, answers in zip(self.steps, self.answers, strict=True):
            for group, answer in zip(step.groups, answers, strict=True):
                sections.setdefault((group.kind, group.vocabulary), []).append((step.number, group, answer))
        return sections


def play(spaces: Sequence[Space], inputs: Inputs, answer: Callable[[Step], Sequence[Answers]]) -> Script:
    """Run one program per lane to its end; `answer` answers the groups of each step."""
    batch, tracks = len(spaces), tracks_of(spaces)
    steps: list[Step] = []
    answered: list[Sequence[Answers]] = []
    anchors: list[int] = []  # for each step, how many steps before it had an anchor
    rows, feed = np.full(batch, inputs.start), None
    while live := [track for track in tracks if track.asked is not END]:
        anchors.append(anchors[-1] + (steps[-1].anchor is not None) if steps else 0)
        asking, resting, anchored = _sorted(live)
        groups = tuple([_group(members, anchors, batch) for members in asking])
        steps.append(Step(len(steps), rows, feed, groups, anchors[-1] if anchored else None))
        answered.append(answer(steps[-1]))
        rows, feed = _next_input(inputs, batch, groups, answered[-1])
        for members, answers in zip(asking, answered[-1], strict=True):
            first = 0
            for track in members:
                track.send(answers[first : first + len(track.lanes)])
                first += len(track.lanes)
        for track in resting:
            track.send(NOTHING)
    made = {lane: a for track in tracks for lane, a in zip(track.lanes.tolist(), track.architectures(), strict=True)}
    return Script(tuple(steps), tuple(answered), tuple(made[lane] for lane in range(batch)))


def _sorted(live: Sequence[Track]) -> tuple[list[list[Track]], list[Track], bool]:
    """Tracks that ask for a decision, by kind and vocabulary; those at an Anchor; and whether any step is an anchor."""
    asking: dict[tuple[type, str], list[Track]] = {}
    resting: list[Track] = []
    anchored = False
    for track in live:
        question = track.asked.question
        if isinstance(question, Anchor):
            resting.append(track)
        else:
            vocabulary = question.vocabulary if isinstance(question, Choice) else ""
            asking.setdefault((type(question), vocabulary), []).append(track)
            anchored |= isinstance(question, Links) and question.anchor is not None
    return list(asking.values()), resting, anchored or bool(resting)


def _group(members: Sequence[Track], anchors: Sequence[int], batch: int) -> Group:
    track = members[0]
    if isinstance(track, SharedTrack) and len(track.lanes) == batch:
        return _shared_group(track.asked, batch)
    parts = [_part(t.asked, t.lanes, [anchors[step] for step in t.asked.steps], batch) for t in members]
    if len(parts) == 1:
        return parts[0]
    return Group(
        parts[0].kind,
        parts[0].vocabulary,
        tuple([question for part in parts for question in part.questions]),
        np.concatenate([part.lanes for part in parts]),
        np.concatenate([part.sizes for part in parts]),
        padded([part.keys for part in parts]),
        padded([part.values for part in parts]),
        False,
    )


@lru_cache(maxsize=4096)
def _shared_group(asked: Asked, batch: int) -> Group:
    return _part(asked, np.arange(batch), asked.ordinals, batch, shared=True)


def _part(asked: Asked, lanes: Ints, anchors: Sequence[int], batch: int, shared: bool = False) -> Group:
    """The lanes of one track; `anchors` says how many steps with an anchor there were before each in `among`."""
    question, size = asked.question, len(lanes)
    assert not isinstance(question, Anchor)
    vocabulary, width = "", len(anchors)
    if isinstance(question, Choice):
        vocabulary, width = question.vocabulary, len(question.options)
    keys = np.array(anchors, dtype=np.int64) * batch + lanes[:, None]
    values = np.where(np.array(asked.given, dtype=np.bool_), -1, keys)
    return Group(type(question), vocabulary, (question,) * size, lanes, np.full(size, width), keys, values, shared)


def padded(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Arrays [n, width] of different widths, one below the other, with zeros where a row is shorter than the widest."""
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
    """What each lane is fed after these answers; lanes at an Anchor, or with nothing to pick from, the start input."""
    rows, feed = np.full(batch, inputs.start), None
    for group, answer in zip(groups, answers, strict=True):
        if group.kind is Choice:
            rows[group.lanes] = answer + inputs.options[group.vocabulary].start
        elif group.kind is Link:
            rows[group.lanes] = group.values[np.arange(len(answer)), answer] + inputs.anchors
        else:
            rows[group.lanes[group.sizes > 0]] = inputs.zeros
            lane, position = np.nonzero(answer & (group.values >= 0))
            shares = 1 / (1 + answer.sum(1))
            feed = Feed(group.lanes[lane], inputs.anchors + group.values[lane, position], shares[lane])
    return rows, feed
