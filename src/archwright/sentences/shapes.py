"""What flows through a sentence, as a value: the shape of one image's numbers, and what computing with them costs."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

Grid: TypeAlias = "tuple[int, int]"  # height and width
MAP, SEQUENCE, TURNED = "map", "sequence", "turned"


class Shape(NamedTuple):
    """`features` numbers at each of `positions`.

    A map has a channel for each feature and a position for each pixel of its `grid`. A sequence that was a map
    remembers the grid. A turned sequence has positions and features exchanged: the grid is that of its features.
    `window`: the pixels that each feature of the map is there for. Relative widths mean the map's features.
    """

    form: str
    features: int
    positions: int
    grid: Grid | None = None
    window: int = 1

    @staticmethod
    def map(channels: int, height: int, width: int) -> Shape:
        return Shape(MAP, channels, height * width, (height, width))

    @property
    def size(self) -> int:
        """The number of numbers."""
        return self.features * self.positions

    def with_features(self, features: int) -> Shape:
        return Shape(self.form, features, self.positions, self.grid)

    def with_grid(self, grid: Grid) -> Shape:
        return Shape(self.form, self.features, grid[0] * grid[1], grid)

    def __str__(self) -> str:
        if self.form == MAP and self.grid is not None:
            return f"a map of {self.features} x {self.grid[0]} x {self.grid[1]}"
        turned = "turned " * (self.form == TURNED)
        return f"a {turned}sequence of {self.positions} positions with {self.features} features"


# A number that is written takes as long as so many multiply-adds: memory is slow beside arithmetic (docs/grammar.md).
WRITING = 16
# And calling an operation takes as long as writing so many numbers, in a batch of about a hundred images.
CALLING = 512


class Limits(NamedTuple):
    """The most that a sentence may cost."""

    parameters: int
    multiply_adds: int
    operations: int
    work: int


class Cost(NamedTuple):
    """What a sentence costs.

    Parameters; multiply-adds for one image; operations, as often as it is written down; numbers that they write for
    one image, with `CALLING` for each time.
    """

    parameters: int = 0
    multiply_adds: int = 0
    operations: int = 0
    written: int = 0

    @property
    def work(self) -> int:
        """What the time of a step is in proportion to, in multiply-adds."""
        return self[1] + WRITING * self[3]

    def and_(self, other: Cost) -> Cost:
        """Return the sum of both."""
        return Cost(self[0] + other[0], self[1] + other[1], self[2] + other[2], self[3] + other[3])

    def without(self, other: Cost) -> Cost:
        """Return what is left of it without the other."""
        return Cost(self[0] - other[0], self[1] - other[1], self[2] - other[2], self[3] - other[3])

    def times(self, copies: int, uses: int) -> Cost:
        """Return the cost of `copies` with parameters of their own, used `uses` times in all; written down once."""
        return Cost(self[0] * copies, self[1] * uses, self[2], self[3] * uses)

    def within(self, limits: Limits) -> bool:
        return self[0] <= limits[0] and self[1] <= limits[1] and self[2] <= limits[2] and self.work <= limits[3]


ONE = Cost(operations=1)
