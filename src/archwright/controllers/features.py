"""Features of architectures: each is a few multisets; a distance is a weighted sum of the members not shared.

The multisets are the answer to each decision (one weight each: a Hamming distance, in which a set of links counts by
its links), the options chosen from each vocabulary, and those of `Space.features`. The numbers of `Space.magnitudes`
are in standard deviations of uniform architectures.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from archwright.decisions import Choice
from archwright.space import Architecture, Space, decisions_of, sample

Floats: TypeAlias = "NDArray[np.float64]"
CHOSEN = "chosen options"  # the name of a multiset; the others have the names of decisions and of features
Mark: TypeAlias = "tuple[Any, ...]"  # the multiset's name, the member, and a counted member's number, from 0


DRAWN, DRAWING = 100, 4  # uniform architectures that say what is usual, and their stream
FEW_DRAWN = 25  # where a program that decides as it goes takes long to draw one
FARTHEST = 5.0  # standard deviations: a number beyond counts as that


@dataclass(frozen=True)
class Read:
    """One architecture as a `Featurizer` reads it: its marks and its magnitudes."""

    marks: list[Mark]
    magnitudes: tuple[float, ...]


@dataclass(frozen=True)
class Description:
    """Architectures as numbers: `marks` [n, columns] are 0 or 1, `sizes` [n, groups] of their multisets.

    `groups` [columns]: the multiset of each column; `magnitudes` [n, numbers].
    """

    marks: Floats
    sizes: Floats
    groups: NDArray[np.int64]
    magnitudes: Floats

    def first(self, count: int) -> Description:
        """Return the first `count` architectures as if the others had never been learned."""
        marks = self.marks[:count]
        columns = 1 + int(np.flatnonzero(marks.any(0)).max(initial=-1))  # columns and groups are in the order learned
        groups = self.groups[:columns]
        sizes = self.sizes[:count, : 1 + int(groups.max(initial=-1))]
        return Description(marks[:, :columns], sizes, groups, self.magnitudes[:count])

    def rows(self, chosen: Any) -> Description:
        """Return the architectures at these places."""
        return Description(self.marks[chosen], self.sizes[chosen], self.groups, self.magnitudes[chosen])

    def and_then(self, others: Description) -> Description:
        """Return these architectures and then the others, of the same columns."""
        parts = [np.vstack(pair) for pair in ((self.marks, others.marks), (self.magnitudes, others.magnitudes))]
        return Description(parts[0], np.vstack([self.sizes, others.sizes]), others.groups, parts[1])


class Featurizer:
    """Turns architectures of a space into numbers. Its columns are the marks of the architectures in `learn`.

    A mark is a member of a multiset, and a second equal member is another mark, so that the number of shared members is
    a scalar product. Marks without a column count in `sizes` only.
    """

    def __init__(self, space: Space, *, features: bool = True, magnitudes: bool = False) -> None:
        self._space, self._features = space, features
        self._usual = self._drawn() if magnitudes else {}
        self._columns: dict[Mark, int] = {}
        self._groups: dict[str, int] = {}
        self._group_of: list[int] = []  # of each column
        # Columns, group sizes and magnitudes of each.
        self._learned: list[tuple[list[int], list[int], tuple[float, ...]]] = []
        self._vocabularies: dict[str, str] = {}  # of each decision; empty for links

    def _drawn(self) -> dict[str, tuple[float, float]]:
        """Return mean and deviation of each magnitude that differs among uniform architectures."""
        space, drawn = self._space, DRAWN if self._space.aligned else FEW_DRAWN
        if not space.magnitudes(sample(space, (DRAWING, 0))):
            return {}
        rows = [space.magnitudes(sample(space, (DRAWING, number))) for number in range(drawn)]
        columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
        return {name: (float(x.mean()), float(x.std())) for name, x in columns.items() if x.std() > 0}

    def read(self, architecture: Architecture) -> Read:
        """Return an architecture's decisions, options, features and magnitudes."""
        if not self._usual:
            return Read(self._marks(architecture), ())
        found = self._space.for_architecture(architecture).magnitudes(architecture)
        scaled = [(found[name] - mean) / deviation for name, (mean, deviation) in self._usual.items()]
        return Read(self._marks(architecture), tuple([max(-FARTHEST, min(FARTHEST, number)) for number in scaled]))

    def _marks(self, architecture: Architecture) -> list[Mark]:
        marks: list[Mark] = []
        counts: dict[Any, int] = {}
        vocabularies, space = self._vocabularies, self._space.for_architecture(architecture)
        features = space.features(architecture) if self._features else {}
        # Where names mean places, features say more than options do, and which vocabulary a new place has is not known.
        for pair in architecture.answers if space.aligned or not features else ():
            name, answer = pair
            if name not in vocabularies:
                for question in decisions_of(space, architecture):
                    vocabularies.setdefault(question.name, question.vocabulary if isinstance(question, Choice) else "")
            if type(answer) is tuple:
                marks += [(name, anchor) for anchor in answer]
                continue
            if space.aligned:
                marks.append(pair)
            if vocabulary := vocabularies[name]:
                member = (vocabulary, answer)
                before = counts.get(member, 0)
                counts[member] = before + 1
                marks.append((CHOSEN, member, before))
        for group, multiset in features.items():
            marks += [(group, member, before) for member, times in multiset.items() for before in range(int(times))]
        return marks

    def learn(self, read: Read) -> None:
        """Append an architecture to `learned`, with columns for new marks."""
        for mark in read.marks:
            if mark not in self._columns:
                self._columns[mark] = len(self._columns)
                self._group_of.append(self._groups.setdefault(mark[0], len(self._groups)))
        self._learned.append(self._numbers(read))

    @property
    def learned(self) -> Description:
        """The description of everything in `learn`, in that order."""
        return self._described(self._learned)

    def describe(self, everything: Sequence[Read]) -> Description:
        """Return the description of several architectures."""
        return self._described([self._numbers(read) for read in everything])

    def _numbers(self, read: Read) -> tuple[list[int], list[int], tuple[float, ...]]:
        found = map(self._columns.get, read.marks)
        sizes = Counter([mark[0] for mark in read.marks])
        columns = [column for column in found if column is not None]
        return columns, [sizes.get(group, 0) for group in self._groups], read.magnitudes

    def _described(self, numbers: Sequence[tuple[list[int], list[int], tuple[float, ...]]]) -> Description:
        marks, sizes = np.zeros((len(numbers), len(self._columns))), np.zeros((len(numbers), len(self._groups)))
        magnitudes = np.zeros((len(numbers), len(self._usual)))
        for row, (columns, counts, own) in enumerate(numbers):
            marks[row, columns] = 1
            sizes[row, : len(counts)] = counts
            magnitudes[row] = own
        return Description(marks, sizes, np.array(self._group_of, dtype=np.int64), magnitudes)
