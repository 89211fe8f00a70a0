"""How alike architectures are: each is a few multisets, and a distance is a weighted sum of what they do not share.

The multisets are the answer to each decision (one weight each: a Hamming distance, in which a set of links counts by its
links), how often each option was chosen from each vocabulary, and whatever `Space.features` gives.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from archwright.decisions import Choice
from archwright.space import Architecture, Space, decisions_of

Floats: TypeAlias = "NDArray[np.float64]"
CHOSEN = "chosen options"  # the multiset of options; a decision's name has no blank in it in any space of ours
Marks: TypeAlias = "tuple[tuple[str, Any], ...]"


@dataclass(frozen=True)
class Description:
    """Architectures as numbers: `marks` [n, columns] are 0 or 1, `sizes` [n, groups] of their multisets."""

    marks: Floats
    sizes: Floats


@dataclass
class Describer:
    """Describes architectures of a space. Its columns are the marks of the architectures in `learn`.

    A mark is a member of one of the multisets, and a second one of the same kind is another mark, so that what two
    architectures share is a scalar product. Marks without a column count in `sizes` only.
    """

    space: Space
    features: bool = True
    groups: dict[str, int] = field(default_factory=dict)
    columns: dict[tuple[str, Any], int] = field(default_factory=dict)
    _vocabularies: dict[str, str] = field(default_factory=dict)

    def marks(self, architecture: Architecture) -> Marks:
        """Everything that an architecture is made of, in this order of groups: decisions, options, features."""
        marks: list[tuple[str, Any]] = []
        chosen: Counter[Any] = Counter()
        for name, answer in architecture.answers:
            vocabulary = self._vocabulary(architecture, name)
            if isinstance(answer, tuple):
                marks += [(name, anchor) for anchor in answer]
            else:
                marks.append((name, (type(answer).__name__, answer)))
                if vocabulary:
                    chosen[(vocabulary, type(answer).__name__, answer)] += 1
        marks += _members(CHOSEN, chosen)
        if self.features:
            for name, multiset in self.space.of(architecture).features(architecture).items():
                marks += _members(name, multiset)
        return tuple(marks)

    def _vocabulary(self, architecture: Architecture, name: str) -> str:
        if name not in self._vocabularies:
            for question in decisions_of(self.space.of(architecture), architecture):
                asked = question.vocabulary if isinstance(question, Choice) else ""
                self._vocabularies.setdefault(question.name, asked)
        return self._vocabularies[name]

    def learn(self, everything: Iterable[Marks]) -> None:
        """Make columns for these marks, where there are none."""
        for marks in everything:
            for mark in marks:
                if mark not in self.columns:
                    self.columns[mark] = len(self.columns)
                    self.groups.setdefault(mark[0], len(self.groups))

    def describe(self, everything: Sequence[Marks]) -> Description:
        """Numbers for each of several architectures, given by their marks."""
        rows = np.zeros((len(everything), len(self.columns)))
        sizes = np.zeros((len(everything), len(self.groups)))
        for row, marks in enumerate(everything):
            found = [self.columns[mark] for mark in marks if mark in self.columns]
            rows[row, found] = 1
            for group, _ in marks:
                if group in self.groups:
                    sizes[row, self.groups[group]] += 1
        return Description(rows, sizes)

    @property
    def group_of_column(self) -> NDArray[np.int64]:
        """The group of each column."""
        return np.array([self.groups[group] for group, _ in self.columns], dtype=np.int64)


def _members(group: str, multiset: Mapping[Any, float]) -> list[tuple[str, Any]]:
    return [(group, (key, number)) for key, times in multiset.items() for number in range(int(times))]
