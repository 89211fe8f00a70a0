"""Features of architectures: each is a few multisets; a distance is a weighted sum of the members not shared.

The multisets are the answer to each decision (one weight each: a Hamming distance, in which a set of links counts by
its links), the options chosen from each vocabulary, and those of `Space.features`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from archwright.decisions import Choice
from archwright.space import Architecture, Space, decisions_of

Floats: TypeAlias = "NDArray[np.float64]"
CHOSEN = "chosen options"  # the name of a multiset; the others have the names of decisions and of features
Mark: TypeAlias = "tuple[Any, ...]"  # the multiset's name, the member, and a counted member's number, from 0


@dataclass(frozen=True)
class Marks:
    """The members of an architecture's multisets, and the size of each multiset."""

    marks: list[Mark]
    sizes: dict[str, int]


@dataclass(frozen=True)
class Description:
    """Architectures as numbers: `marks` [n, columns] are 0 or 1, `sizes` [n, groups] of their multisets."""

    marks: Floats
    sizes: Floats

    def first(self, count: int, groups: NDArray[np.int64]) -> Description:
        """Return the first `count` architectures as if the others had never been learned; `groups` of the columns."""
        marks = self.marks[:count]
        columns = 1 + int(np.flatnonzero(marks.any(0)).max(initial=-1))  # columns and groups are in the order learned
        return Description(marks[:, :columns], self.sizes[:count, : 1 + int(groups[:columns].max(initial=-1))])


class Featurizer:
    """Turns architectures of a space into numbers. Its columns are the marks of the architectures in `learn`.

    A mark is a member of a multiset, and a second equal member is another mark, so that the number of shared members is
    a scalar product. Marks without a column count in `sizes` only.
    """

    def __init__(self, space: Space, *, features: bool = True) -> None:
        self._space, self._features = space, features
        self._columns: dict[Mark, int] = {}
        self._groups: dict[str, int] = {}
        self._group_of: list[int] = []
        self._learned: list[tuple[list[int], list[int]]] = []  # columns and group sizes of each
        self._vocabularies: dict[str, str] = {}  # of each decision; empty for links

    def marks(self, architecture: Architecture) -> Marks:
        """Return an architecture's decisions, options and features."""
        marks: list[Mark] = []
        sizes: dict[str, int] = {}
        counts: dict[Any, int] = {}
        vocabularies = self._vocabularies
        for pair in architecture.answers:
            name, answer = pair
            if name not in vocabularies:
                self._look_up(architecture)
            if type(answer) is tuple:
                marks += [(name, anchor) for anchor in answer]
                sizes[name] = len(answer)
                continue
            marks.append(pair)
            sizes[name] = 1
            if vocabulary := vocabularies[name]:
                member = (vocabulary, answer)
                before = counts.get(member, 0)
                counts[member] = before + 1
                marks.append((CHOSEN, member, before))
        sizes[CHOSEN] = sum(counts.values())
        if self._features:
            for group, multiset in self._space.for_architecture(architecture).features(architecture).items():
                marks += [(group, member, before) for member, times in multiset.items() for before in range(int(times))]
                sizes[group] = int(sum(multiset.values()))
        return Marks(marks, sizes)

    def _look_up(self, architecture: Architecture) -> None:
        for question in decisions_of(self._space.for_architecture(architecture), architecture):
            asked = question.vocabulary if isinstance(question, Choice) else ""
            self._vocabularies.setdefault(question.name, asked)

    def learn(self, marks: Marks) -> None:
        """Append an architecture to `learned`, with columns for new marks."""
        for mark in marks.marks:
            if mark not in self._columns:
                self._columns[mark] = len(self._columns)
                self._group_of.append(self._groups.setdefault(mark[0], len(self._groups)))
        columns = [self._columns[mark] for mark in marks.marks]
        self._learned.append((columns, [marks.sizes.get(group, 0) for group in self._groups]))

    @property
    def learned(self) -> Description:
        """The description of everything in `learn`, in that order."""
        marks = np.zeros((len(self._learned), len(self._columns)))
        sizes = np.zeros((len(self._learned), len(self._groups)))
        for row, (columns, counts) in enumerate(self._learned):
            marks[row, columns] = 1
            sizes[row, : len(counts)] = counts
        return Description(marks, sizes)

    def describe(self, everything: Sequence[Marks]) -> Description:
        """Return the description of several architectures."""
        rows = np.zeros((len(everything), len(self._columns)))
        for row, marks in enumerate(everything):
            found = map(self._columns.get, marks.marks)
            rows[row, [column for column in found if column is not None]] = 1
        sizes = [[marks.sizes.get(group, 0) for group in self._groups] for marks in everything]
        return Description(rows, np.array(sizes, dtype=float).reshape(len(everything), len(self._groups)))

    @property
    def group_of_column(self) -> NDArray[np.int64]:
        """The group of each column."""
        return np.array(self._group_of, dtype=np.int64)
