"""Spaces: a space is a program that asks for decisions, an architecture is the list of answers.

Nothing here knows controllers, networks or torch. This module is the door to the core: the questions (`decisions`),
their answers (`architecture`), running the program (`walk`), sampling, mutation and counting (`explore`), and the
answers that a network is built for (`open`).
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from archwright.architecture import Architecture as Architecture
from archwright.decisions import Anchor as Anchor
from archwright.decisions import Answer as Answer
from archwright.decisions import Choice as Choice
from archwright.decisions import Decision as Decision
from archwright.decisions import Link as Link
from archwright.decisions import Links as Links
from archwright.decisions import Option as Option
from archwright.decisions import Program as Program
from archwright.decisions import alternatives as alternatives
from archwright.decisions import checked as checked
from archwright.decisions import options as options
from archwright.errors import SpaceError
from archwright.explore import Seed as Seed
from archwright.explore import adapt as adapt
from archwright.explore import count as count
from archwright.explore import draw_answer as draw_answer
from archwright.explore import enumerate_space as enumerate_space
from archwright.explore import fixed_decisions as fixed_decisions
from archwright.explore import generator as generator
from archwright.explore import mutate as mutate
from archwright.explore import neighbours as neighbours
from archwright.explore import questions as questions
from archwright.explore import sample as sample
from archwright.graph import Graph, answers_graph
from archwright.open import Open as Open
from archwright.walk import Walk as Walk
from archwright.walk import check as check
from archwright.walk import decisions_of as decisions_of
from archwright.walk import replay as replay
from archwright.walk import trace as trace

if TYPE_CHECKING:
    from torch import nn
    from typing_extensions import Self


@dataclass(frozen=True)
class Task:
    """Sorting images of `channels` x `height` x `width` into `classes`."""

    channels: int
    height: int
    width: int
    classes: int


@dataclass(frozen=True)
class TextTask:
    """Predicting the next of `vocabulary` tokens."""

    vocabulary: int


@dataclass(frozen=True)
class Space(ABC):
    """A set of architectures, written as the program `decide()`. Subclasses are frozen dataclasses and final.

    `reads` names the fields that `decide()` reads, which are stored with every architecture; the others (width,
    repeats, regularisation) may change between search and final training.
    """

    name: ClassVar[str]
    reads: ClassVar[tuple[str, ...]] = ()
    data: ClassVar[str] = "images"  # its networks' data, or "text"
    reference_name: ClassVar[str | None] = None  # the network that `reference` builds
    aligned: ClassVar[bool] = True  # whether decisions of one name mean the same in all architectures, as in a cell
    delivered: ClassVar[Mapping[str, Any]] = {}  # the fields that a delivered model has instead
    # Ways to run a trained network that take longer than the usual one and err less: fields that say no more, by name.
    ways: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    def require(self, name: str, holds: bool, right: str) -> None:
        """Raise a `SpaceError` with the field's value and the `right` one, unless `holds`; for `__post_init__`."""
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

    @property
    def mixture(self) -> Mapping[str, tuple[Option, ...]]:
        """The soft weights of a gradient search: the options that each weighs, by its name.

        Those of a static space are its Choices and Links with their options. They need not be decisions: in DARTS an
        edge has weights, and a node's predecessors are chosen by the weights of all its edges.
        """
        weighed: dict[str, tuple[Option, ...]] = {}
        for question in questions(self):
            if isinstance(question, Links):
                raise SpaceError(f"{self.name}: {question.name} picks a set, and a mixture weighs single answers")
            if not isinstance(question, Anchor):
                weighed[question.name] = question.options if isinstance(question, Choice) else question.among
        return weighed

    def discrete(self, soft: Mapping[str, Sequence[float]]) -> Architecture:
        """Return the architecture that soft weights stand for, as published; of equal weights the first counts.

        By default the strongest option of each.
        """
        return replay(self, {name: choices[strongest(soft[name])] for name, choices in self.mixture.items()})

    def one_hot(self, architecture: Architecture) -> Mapping[str, tuple[float, ...]]:
        """Return the soft weights under which the mixture computes what the child computes.

        By default 1 at each answer. They need not sum to 1: a weight of predecessors may be 1 at each that is chosen.
        """
        answers = dict(check(self, architecture).answers)
        return {
            name: tuple(float((type(option), option) == (type(answers[name]), answers[name])) for option in choices)
            for name, choices in self.mixture.items()
        }

    @property
    def forwards(self) -> int:
        """What reading an example costs a delivered network, in passes of the network that is trained.

        It may average over views of the example, or look up what it has read before.
        """
        return 1

    def grown(self, asked: int) -> Space:
        """Return the space as it stands after `asked` proposals; NAS's depth grows this way (Zoph & Le 2017, 3.3)."""
        return self

    def for_architecture(self, architecture: Architecture) -> Space:
        """Return the space as it stood when the architecture was proposed, with this one's width and regularisation."""
        theirs = {name: value for name, value in architecture.fields if name in self.reads}
        return self if theirs == self.fields else dataclasses.replace(self, **theirs)

    def recipe(self, architecture: Architecture) -> Mapping[str, Any]:
        """Return the settings of training that the architecture decides: fields of `training.recipe.Recipe`."""
        return {}

    def known(self, size: float, recipe: Any = None, examples: int | None = None) -> Mapping[str, Architecture]:
        """Return known networks of the space by name, `size` times as wide as published.

        Where an architecture decides how it is trained, that is what comes nearest to a `training.recipe.Recipe` and
        suits a training part of so many images or tokens.
        """
        return {}

    def near(self, known: Sequence[Architecture], times: float) -> Space:
        """Return the space of what costs about as much as known architectures: up to so many times more or less.

        By default it is all of the space.
        """
        return self

    def varied(self, architecture: Architecture, seed: Seed) -> Architecture:
        """Return another architecture near this one: a mutation, as evolution and `guided` make them."""
        return mutate(self, architecture, seed)

    def crossed(self, one: Architecture, other: Architecture, seed: Seed) -> Architecture | None:
        """Return an architecture made of parts of two, different from both; None if the space has no crossover."""
        return None

    def features(self, architecture: Architecture) -> Mapping[str, Mapping[Any, float]]:
        """Return named multisets, say how often the architecture has each path: more for a surrogate to compare by."""
        return {}

    def magnitudes(self, architecture: Architecture) -> Mapping[str, float]:
        """Return numbers that are known before training, say log2 of the parameters; the same names for all.

        A surrogate fits a slope to each. They must be of the architecture alone, and finite.
        """
        return {}

    def role(self, question: Decision) -> str:
        """Say what an answer to the question is: an "operation", a "link" or a "setting" (a number, or yes or no)."""
        if not isinstance(question, Choice):
            return "link"
        return "operation" if all(isinstance(option, str) for option in question.options) else "setting"

    def graphs(self, architecture: Architecture) -> Sequence[Graph]:
        """Return the graphs that pictures show; by default, the answers one after the other."""
        return (answers_graph(architecture),)

    def composed(self, architecture: Architecture) -> Sequence[Any]:
        """Return the operations that the architecture has composed, `archwright.sentences.operations.Operation`."""
        raise SpaceError(f"the space {self.name} composes no operations; its architectures pick them by name")

    def network(self, open: Open, task: Any) -> nn.Module:
        """Build the module for the open answers (one each: a child; all: the supernet) and a `Task` or `TextTask`."""
        raise SpaceError(f"the space {self.name} describes no network")

    def reference(self, task: Any) -> nn.Module:
        """Build a network that people would use instead, of about the same size, to compare with."""
        raise SpaceError(f"the space {self.name} has no reference network")

    def final(self, **changes: Any) -> Self:
        """Return the space with the settings of a delivered model and these `changes` of fields."""
        return dataclasses.replace(self, **{**self.delivered, **changes})

    @property
    def fields(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.reads}


def strongest(weights: Sequence[float]) -> int:
    """Return the place of the largest weight, the first of equal ones."""
    return max(range(len(weights)), key=lambda place: weights[place])


SKIPS = ("identity", "skip", "skip_connect")  # operations that give their input back


def operations_of(space: Space, architecture: Architecture) -> tuple[str, ...]:
    """Return the operations that an architecture has, in the order asked."""
    asked = decisions_of(space, architecture)
    return tuple(str(architecture[question.name]) for question in asked if space.role(question) == "operation")
