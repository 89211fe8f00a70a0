"""Random answers: each lane draws from its own stream, so what it draws does not depend on the rest of the batch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from archwright.controllers.lockstep import Group
from archwright.controllers.tracks import Bools, Ints
from archwright.decisions import Links
from archwright.space import generator

_BLOCK = 64  # numbers drawn at a time; a stream's numbers are the same however they are cut


class Streams:
    """Uniform numbers in [0, 1), one stream per lane, taken in order."""

    def __init__(self, seeds: Sequence[int | tuple[int, ...]]) -> None:
        self._generators = [generator(seed) for seed in seeds]
        self._numbers = np.empty((len(seeds), 0))
        self._taken = np.zeros(len(seeds), dtype=np.int64)
        self._most = 0  # no lane has taken more

    def take(self, group: Group) -> NDArray[np.float64]:
        """A number for each lane of the group, [lanes, 1]; for sets one for each of its anchors, then padding."""
        counts = group.sizes if group.kind is Links else None
        width = 1 if counts is None else int(counts.max())
        self._most += width
        while self._most > self._numbers.shape[1]:
            block = np.array([generator.random(_BLOCK) for generator in self._generators])
            self._numbers = np.concatenate([self._numbers, block], axis=1)
        if group.shared:  # then all lanes have been asked the same, and have taken as many
            first = int(self._taken[0])
            self._taken += width
            return self._numbers[:, first : first + width]
        starts = self._taken[group.lanes]
        self._taken[group.lanes] += 1 if counts is None else counts
        numbers: NDArray[np.float64] = self._numbers[group.lanes[:, None], starts[:, None] + np.arange(width)]
        return numbers


def draw_one(probabilities: NDArray[np.float32], group: Group, streams: Streams) -> Ints:
    """Option numbers [lanes] by inverting the cumulative distribution; options from `sizes` on have probability 0."""
    cumulative = probabilities.cumsum(1, dtype=np.float64)
    passed = cumulative[:, :-1] <= streams.take(group) * cumulative[:, -1:]
    drawn: Ints = passed.sum(1)
    return drawn if group.shared else np.minimum(drawn, group.sizes - 1)  # the product may be rounded up to the total


def draw_set(probabilities: NDArray[np.float32], group: Group, streams: Streams) -> Bools:
    """Which anchors are in [lanes, anchors], each by itself; none from `sizes` on."""
    chosen: Bools = streams.take(group) < probabilities
    return chosen if group.shared else chosen & (np.arange(probabilities.shape[1]) < group.sizes[:, None])
