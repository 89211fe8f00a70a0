"""Spaces: a space is a program that asks for decisions, an architecture is the list of answers.

Nothing here knows controllers, networks or torch. What a space's author and its users need is all found in this module:
the questions (from `decisions`), their answers (`architecture`), running the program (`walk`), what is written once
over it for all spaces (`explore`: sampling, mutation, counting), and what a network is built for (`open`).
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from archwright.architecture import FORMAT, Architecture
from archwright.decisions import (
    Anchor,
    Answer,
    Choice,
    Decides,
    Decision,
    Link,
    Links,
    Option,
    Program,
    Question,
    alternatives,
    checked,
    options,
)
from archwright.errors import SpaceError
from archwright.explore import (
    adapt,
    count,
    draw_answer,
    enumerate_space,
    fixed_decisions,
    generator,
    mutate,
    neighbours,
    questions,
    sample,
)
from archwright.graph import Graph, answers_graph
from archwright.open import Open
from archwright.walk import Walk, check, decisions_of, replay, trace

if TYPE_CHECKING:
    from torch import nn

__all__ = [
    "FORMAT",
    "Anchor",
    "Answer",
    "Architecture",
    "Choice",
    "Decides",
    "Decision",
    "Link",
    "Links",
    "Open",
    "Option",
    "Program",
    "Question",
    "Space",
    "Task",
    "TextTask",
    "Walk",
    "adapt",
    "alternatives",
    "check",
    "checked",
    "count",
    "decisions_of",
    "draw_answer",
    "enumerate_space",
    "fixed_decisions",
    "generator",
    "mutate",
    "neighbours",
    "options",
    "questions",
    "replay",
    "sample",
    "trace",
]


@dataclass(frozen=True)
class Task:
    """What a network is for: images of `channels` x `height` x `width`, sorted into `classes`."""

    channels: int
    height: int
    width: int
    classes: int


@dataclass(frozen=True)
class TextTask:
    """What a language model is for: the next of `vocabulary` tokens."""

    vocabulary: int


@dataclass(frozen=True)
class Space(ABC):
    """A set of architectures, written as the program `decide()`. Subclasses are frozen dataclasses and final.

    `reads` names the fields that `decide()` depends on: they are stored with every architecture, the others (width,
    repeats, regularisation) may change between search and final training.
    """

    name: ClassVar[str]
    reads: ClassVar[tuple[str, ...]] = ()
    data: ClassVar[str] = "images"  # or "text": what its networks are for
    reference_name: ClassVar[str | None] = None  # of what `reference` builds, if it builds anything

    def require(self, name: str, holds: bool, right: str) -> None:
        """For `__post_init__`: `SpaceError`, unless `holds`, that says the field's value and what would be `right`."""
        if not holds:
            raise SpaceError(f"{self.name}: {name} is {getattr(self, name)!r}; it must be {right}")

    @abstractmethod
    def decide(self) -> Program:
        """Yield questions; each `yield` of a Choice, Link or Links returns its answer."""

    @property
    @abstractmethod
    def vocabularies(self) -> Mapping[str, tuple[Option, ...]]:
        """Every vocabulary that `decide()` may use, so that a policy's parameters do not depend on what is sampled."""

    @property
    def shares_weights(self) -> bool:
        """Whether `network(Open.all(self), task)` is a supernet whose weights every child can use."""
        return False

    @property
    def mixes(self) -> bool:
        """Whether `network(Open.mixture(self), task)` can be built: for gradient search."""
        return False

    def grown(self, asked: int) -> Space:
        """The space as it stands after `asked` proposals; NAS's depth grows this way (Zoph & Le 2017, 3.3)."""
        return self

    def for_architecture(self, architecture: Architecture) -> Space:
        """The space as it stood when the architecture was proposed, with this one's width and regularisation."""
        theirs = {name: value for name, value in architecture.fields if name in self.reads}
        return self if theirs == self.fields else dataclasses.replace(self, **theirs)

    def recipe(self, architecture: Architecture) -> Mapping[str, Any]:
        """What the architecture itself says of its training: fields of `archwright.training.recipe.Recipe`."""
        return {}

    def features(self, architecture: Architecture) -> Mapping[str, Mapping[Any, float]]:
        """What the architecture computes, as named multisets: how often each path, or each operation, is in it.

        A model that predicts scores compares architectures by them beside their answers; none are needed.
        """
        return {}

    def role(self, question: Decision) -> str:
        """What the answer to a question is: an "operation", a "link" or a "setting" (a number, or yes or no)."""
        if not isinstance(question, Choice):
            return "link"
        return "operation" if all(isinstance(option, str) for option in question.options) else "setting"

    def graphs(self, architecture: Architecture) -> Sequence[Graph]:
        """Return the graphs that pictures show; by default, the answers one after the other."""
        return (answers_graph(architecture),)

    def network(self, open: Open, task: Any) -> nn.Module:
        """The module for the answers still open: one each gives a child, all of them the supernet.

        `task` is a `Task`, for a space of language models a `TextTask`.
        """
        raise SpaceError(f"the space {self.name} describes no network")

    def reference(self, task: Any) -> nn.Module:
        """A network that people would use instead, of about the size of this space's, to compare with."""
        raise SpaceError(f"the space {self.name} has no reference network")

    def final(self, **changes: Any) -> Space:
        """The space with the settings of a delivered model; `changes` are fields, as in `dataclasses.replace`."""
        return dataclasses.replace(self, **changes)

    @property
    def fields(self) -> dict[str, Any]:
        """The fields in `reads` with their values."""
        return {name: getattr(self, name) for name in self.reads}
