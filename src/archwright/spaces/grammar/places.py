"""Where a part of a sentence stands, and what single computations make of the shape there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeAlias

from archwright.sentences.rules import COMPUTATIONS, Setting, computed, joined
from archwright.sentences.sentence import Sentence
from archwright.sentences.shapes import Cost, Shape

Rest: TypeAlias = "Callable[[Shape], Cost | None]"
Room: TypeAlias = "Callable[[Shape], int]"
Made: TypeAlias = "tuple[Sentence, Shape, Cost]"  # a computation, what it makes of a shape, and its cost
CLOSING = ("identity", "max", "average", "mean", "linear")  # computations that may end a part, in this order


@dataclass(frozen=True, eq=False)
class Place:
    """Where a part stands: what it is given, what is left to do, and how often it is there.

    `copies` have weights of their own, `abreast` are computed together, and weights are used `uses` times for an image.
    `branches` are those abreast, without those of single channels. `after`: about how much work there is room for in
    what follows around it, once the part has made a shape; `again`: another part follows in the same sequence.
    """

    at: str
    shape: Shape
    rest: Rest
    depth: int = 0
    copies: int = 1
    abreast: int = 1
    uses: int = 1
    branches: int = 1
    after: Room = lambda made: 0
    again: bool = False
    path: tuple[int, ...] = ()
    rooms: dict[Shape, int] = field(default_factory=dict)  # of `Composer.room`

    def inside(self, number: int, shape: Shape, rest: Rest, after: Room, *, again: bool = False, **more: int) -> Place:
        """Return the place of a part of this one, `more` often."""
        known: dict[Shape, Cost | None] = {}
        rooms: dict[Shape, int] = {}

        def remembered(made: Shape) -> Cost | None:
            if made not in known:
                known[made] = rest(made)
            return known[made]

        def room(made: Shape) -> int:
            if made not in rooms:
                rooms[made] = after(made)
            return rooms[made]

        return Place(
            f"{self.at}.{number}",
            shape,
            remembered,
            self.depth + 1,
            self.copies * more.get("copies", 1),
            self.abreast * more.get("abreast", 1),
            self.uses * more.get("uses", 1),
            self.branches * more.get("branches", 1),
            room,
            again,
            (*self.path, number),
        )


class Computing:
    """What single computations make of a shape, by rule, and those that may end a part, one for each shape made."""

    def __init__(self, rules: tuple[str, ...], widths: tuple[Setting, ...]) -> None:
        self._rules, self._widths = rules, widths
        self._known: dict[Shape, tuple[dict[str, list[Made]], list[tuple[Shape, Cost]]]] = {}

    def of(self, shape: Shape) -> tuple[Mapping[str, Sequence[Made]], Sequence[tuple[Shape, Cost]]]:
        if shape not in self._known:
            by_rule: dict[str, list[Made]] = {}
            for name in self._rules:
                for settings in [(width,) for width in self._widths] if name == "linear" else [()]:
                    found = computed(name, shape, settings) if name in COMPUTATIONS else None
                    if found is not None:
                        by_rule.setdefault(name, []).append((Sentence(name, settings), *found))
            endings: dict[Shape, Cost] = {}
            for name in CLOSING:
                for _, made, cost in by_rule.get(name, ()):
                    endings.setdefault(made, cost)
            self._known[shape] = by_rule, [*endings.items()]
        return self._known[shape]


@lru_cache(maxsize=64)
def computing(rules: tuple[str, ...], widths: tuple[Setting, ...]) -> Computing:
    """Return what computations make, for all spaces of these rules and widths."""
    return Computing(rules, widths)


@lru_cache(maxsize=65536)
def joins_of(names: tuple[str, ...], shapes: tuple[Shape, ...], times: int) -> tuple[tuple[str, Shape, Cost], ...]:
    """Return the joins that fit branches of these shapes, each so many `times`, what they make, and its cost."""
    found = ((name, joined(name, shapes, times)) for name in names)
    return tuple([(name, *made) for name, made in found if made is not None])
