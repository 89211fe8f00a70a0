"""Features of architectures: each is a few multisets; a distance is a weighted sum of the members not shared.

The multisets are the answer to each decision (one weight each: a Hamming distance, in which a set of links counts by
its links), the options chosen from each vocabulary, and those of `Space.features`.
"""

from __future__ import annotations

from collections import Counter
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


Marks: TypeAlias = "list[Mark]"  # of one architecture


@dataclass(frozen=True)
class Description:
    """Architectures as numbers: `marks` [n, columns] are 0 or 1, `sizes` [n, groups] of their multisets.

    `groups` [columns]: the multiset of each column.
    """

    marks: Floats
    sizes: Floats
    groups: NDArray[np.int64]

    def first(self, count: int) -> Description:
        """Return the first `count` architectures as if the others had never been learned."""
        marks = self.marks[:count]
        columns = 1 + int(np.flatnonzero(marks.any(0)).max(initial=-1))  # columns and groups are in the order learned
        groups = self.groups[:columns]
        return Description(marks[:, :columns], self.sizes[:count, : 1 + int(groups.max(initial=-1))], groups)


class Featurizer:
    """Turns architectures of a space into numbers. Its columns are the marks of the architectures in `learn`.

    A mark is a member of a multiset, and a second equal member is another mark, so that the number of shared members is
    a scalar product. Marks without a column count in `sizes` only.
    """

    def __init__(self, space: Space, *, features: bool = True) -> None:
        self._space, self._features = space, features
        self._columns: dict[Mark, int] = {}
        self._groups: dict[str, int] = {}
        self._group_of: list[int] = []  # of each column
        self._learned: list[tuple[list[int], list[int]]] = []  # columns and group sizes of each
        self._vocabularies: dict[str, str] = {}  # of each decision; empty for links

    def marks(self, architecture: Architecture) -> Marks:
        """Return an architecture's decisions, options and features."""
        marks: Marks = []
        counts: dict[Any, int] = {}
        vocabularies = self._vocabularies
        for pair in architecture.answers:
            name, answer = pair
            if name not in vocabularies:
                for question in decisions_of(self._space.for_architecture(architecture), architecture):
                    vocabularies.setdefault(question.name, question.vocabulary if isinstance(question, Choice) else "")
            if type(answer) is tuple:
                marks += [(name, anchor) for anchor in answer]
                continue
            marks.append(pair)
            if vocabulary := vocabularies[name]:
                member = (vocabulary, answer)
                before = counts.get(member, 0)
                counts[member] = before + 1
                marks.append((CHOSEN, member, before))
        if self._features:
            for group, multiset in self._space.for_architecture(architecture).features(architecture).items():
                marks += [(group, member, before) for member, times in multiset.items() for before in range(int(times))]
        return marks

    def learn(self, marks: Marks) -> None:
        """Append an architecture to `learned`, with columns for new marks."""
        for mark in marks:
            if mark not in self._columns:
                self._columns[mark] = len(self._columns)
                self._group_of.append(self._groups.setdefault(mark[0], len(self._groups)))
        self._learned.append(self._numbers(marks))

    @property
    def learned(self) -> Description:
        """The description of everything in `learn`, in that order."""
        return self._described(self._learned)

    def describe(self, everything: Sequence[Marks]) -> Description:
        """Return the description of several architectures."""
        return self._described([self._numbers(marks) for marks in everything])

    def _numbers(self, marks: Marks) -> tuple[list[int], list[int]]:
        found = map(self._columns.get, marks)
        sizes = Counter([mark[0] for mark in marks])
        return [column for column in found if column is not None], [sizes.get(group, 0) for group in self._groups]

    def _described(self, numbers: Sequence[tuple[list[int], list[int]]]) -> Description:
        marks, sizes = np.zeros((len(numbers), len(self._columns))), np.zeros((len(numbers), len(self._groups)))
        for row, (columns, counts) in enumerate(numbers):
            marks[row, columns] = 1
            sizes[row, : len(counts)] = counts
        return Description(marks, sizes, np.array(self._group_of, dtype=np.int64))
