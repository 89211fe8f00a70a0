"""Spaces small enough to enumerate, one for each thing that a program may do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from archwright.space import Anchor, Choice, Link, Links, Program, Space

SIZES = (8, 16, 32)
MIXED = ("relu", 2, 0.5, False)
DEPTHS = (1, 2, 3)
SWITCH = (False, True)


@dataclass(frozen=True)
class Static(Space):
    """Three choices, two of one vocabulary, of options of every type."""

    name: ClassVar[str] = "static"
    vocabularies = {"size": SIZES, "mixed": MIXED}

    def decide(self) -> Program:
        yield Choice("first", SIZES, "size")
        yield Choice("second", SIZES, "size")
        yield Choice("extra", MIXED, "mixed")


@dataclass(frozen=True)
class Chain(Space):
    """Nodes with one link and one operation each, as in a cell; static."""

    name: ClassVar[str] = "chain"
    reads: ClassVar[tuple[str, ...]] = ("nodes", "kinds")
    nodes: int = 3
    kinds: tuple[str, ...] = ("conv", "pool")
    width: int = 16  # says nothing about architectures

    @property
    def vocabularies(self) -> dict[str, tuple[str, ...]]:
        return {"op": self.kinds}

    def decide(self) -> Program:
        yield Anchor("input", given=True)
        anchors: tuple[str, ...] = ("input",)
        for node in range(1, self.nodes + 1):
            yield Link(f"{node}/from", anchors)
            yield Choice(f"{node}/op", self.kinds, "op")
            yield Anchor(f"{node}")
            anchors = (*anchors, f"{node}")


@dataclass(frozen=True)
class Skips(Space):
    """Layers that pick any earlier layers, and are anchors themselves, as in NAS; static."""

    name: ClassVar[str] = "skips"
    reads: ClassVar[tuple[str, ...]] = ("layers",)
    vocabularies = {"size": SIZES}
    layers: int = 3

    def decide(self) -> Program:
        for layer in range(self.layers):
            yield Choice(f"{layer}/size", SIZES, "size")
            yield Links(f"{layer}/skips", tuple(f"{earlier}" for earlier in range(layer)), anchor=f"{layer}")


@dataclass(frozen=True)
class Ragged(Space):
    """The depth is a decision; a stride is asked only of layers that are not the largest."""

    name: ClassVar[str] = "ragged"
    vocabularies = {"depth": DEPTHS, "size": SIZES, "switch": SWITCH}

    def decide(self) -> Program:
        yield Anchor("input", given=True)
        depth = yield Choice("depth", DEPTHS, "depth")
        anchors = ["input"]
        for layer in range(depth):
            size = yield Choice(f"{layer}/size", SIZES, "size")
            if size != 32:
                yield Choice(f"{layer}/strided", SWITCH, "switch")
            yield Anchor(f"{layer}")
            anchors.append(f"{layer}")
        yield Link("output", tuple(anchors))


@dataclass(frozen=True)
class Growing(Space):
    """One layer more for every ten proposals, up to three."""

    name: ClassVar[str] = "growing"
    reads: ClassVar[tuple[str, ...]] = ("layers",)
    vocabularies = {"size": SIZES}
    layers: int = 1

    def grown(self, asked: int) -> Growing:
        return replace(self, layers=min(self.layers + asked // 10, 3))

    def decide(self) -> Program:
        for layer in range(self.layers):
            yield Choice(f"{layer}/size", SIZES, "size")


SMALL = (Static(), Chain(), Skips(), Ragged(), Growing(), Growing().grown(25))
STATIC = (Static(), Chain(), Skips(), Growing(layers=2))
