"""The answers that are still open, for which a network is built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from archwright.architecture import Architecture
from archwright.decisions import Anchor, Answer, Decides, Links, Option, options
from archwright.errors import SpaceError
from archwright.explore import questions
from archwright.walk import decisions_of


class Mixes(Protocol):
    """The part of a `Space` that a mixture needs."""

    @property
    def mixture(self) -> Mapping[str, tuple[Option, ...]]:
        """The options that each soft weight weighs, by its name."""


@dataclass(frozen=True)
class Open:
    """The open answers of each decision: for Choice and Link a tuple, for Links the open states (in, out) by anchor."""

    answers: Mapping[str, tuple[Answer, ...] | Mapping[str, tuple[bool, ...]]]
    architecture: Architecture | None = None  # the only one that is open, if there is only one
    mixed: bool = False  # all at once, by weights that the network is given

    @staticmethod
    def all(space: Decides) -> Open:
        """Open everything: the supernet. The space must be static."""
        return Open(
            {
                question.name: dict.fromkeys(question.among, (False, True))
                if isinstance(question, Links)
                else tuple(options(question))
                for question in questions(space)
                if not isinstance(question, Anchor)
            }
        )

    @staticmethod
    def mixture(space: Mixes) -> Open:
        """Open everything at once: a network that weighs the options of `open[name]` by `soft[name]`.

        It is given soft weights, a mapping of tensors, where a supernet is given an architecture. Their names are those
        of `Space.mixture`; `Space.mixes` says whether the network can be built.
        """
        return Open(dict(space.mixture), mixed=True)

    @staticmethod
    def only(space: Decides, architecture: Architecture) -> Open:
        """Open one architecture: its child network."""
        answers: dict[str, tuple[Answer, ...] | Mapping[str, tuple[bool, ...]]] = {}
        for question in decisions_of(space, architecture):
            answer = architecture[question.name]
            if isinstance(question, Links) and isinstance(answer, tuple):
                answers[question.name] = {name: (name in answer,) for name in question.among}
            else:
                answers[question.name] = (answer,)
        return Open(answers, architecture)

    def __getitem__(self, name: str) -> tuple[Any, ...]:
        """Return the open answers of a Choice or Link."""
        found = self.answers[name]
        if isinstance(found, Mapping):
            raise SpaceError(f"{name} picks a set; ask links({name!r})")
        return found

    def links(self, name: str) -> Mapping[str, tuple[bool, ...]]:
        """Return the open states of each anchor of a Links decision."""
        found = self.answers[name]
        if not isinstance(found, Mapping):
            raise SpaceError(f"{name} picks one answer; ask [{name!r}]")
        return found
