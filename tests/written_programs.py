"""A space for programs that hypothesis writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from archwright.space import Anchor, Choice, Link, Links, Option, Program, Space


@dataclass(frozen=True)
class Written(Space):
    """A program written as data, so that hypothesis can write programs.

    A step is (kind, size, condition). A condition (i, k) asks the step only if decision i was asked and its answer is
    option k of a choice, the anchor at k of a link, or a set of k links.
    """

    name: ClassVar[str] = "written"
    reads: ClassVar[tuple[str, ...]] = ("steps",)
    steps: tuple[tuple[str, int, tuple[int, int] | None], ...] = ()

    @property
    def vocabularies(self) -> Mapping[str, tuple[Option, ...]]:
        return {f"{size}": tuple(range(size)) for size in (1, 2, 3)}

    def decide(self) -> Program:
        yield Anchor("input", given=True)
        anchors: tuple[str, ...] = ("input",)
        asked: dict[int, tuple[str, tuple[str, ...], object]] = {}
        for position, (kind, size, condition) in enumerate(self.steps):
            if condition is not None and not self._holds(asked.get(condition[0]), condition[1]):
                continue
            if kind == "choice":
                answer = yield Choice(f"{position}", tuple(range(size)), f"{size}")
            elif kind == "link":
                answer = yield Link(f"{position}", anchors[-size:])
            elif kind == "links":
                answer = yield Links(f"{position}", anchors[-size:])
            else:
                yield Anchor(f"{position}")
                anchors = (*anchors, f"{position}")
                continue
            asked[position] = (kind, anchors[-size:], answer)

    @staticmethod
    def _holds(asked: tuple[str, tuple[str, ...], object] | None, option: int) -> bool:
        if asked is None:
            return False
        kind, among, answer = asked
        if kind == "choice":
            return answer == option
        return answer == among[option % len(among)] if kind == "link" else len(answer) == option
