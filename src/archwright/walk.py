"""Runs a space's program: one question, one answer, every rule checked on the way."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from archwright.architecture import Architecture, frozen
from archwright.decisions import Anchor, Answer, Choice, Decides, Decision, Link, Links, Option, Question, checked
from archwright.errors import SpaceError


class Walk:
    """One run of a space's program: holds the pending question, checks answers, remembers anchors and answers.

    `question` is None when the program has ended. `Anchor` steps are questions too: send None.
    """

    def __init__(self, space: Decides) -> None:
        self.space = space
        self.answers: list[tuple[str, Answer]] = []
        self.question: Question | None = None
        self._vocabularies = space.vocabularies
        for name, options in self._vocabularies.items():
            if len(set(options)) != len(options) or not options:  # True, 1 and 1.0 are equal
                raise self._error(f"vocabulary {name!r} needs options that differ, it has {options}")
        self._names: set[str] = set()  # of questions
        self._anchors: set[str] = set()
        self._program = space.decide()
        self._advance(None)

    def send(self, answer: Any) -> None:
        """Answer the pending question (checked) and run the program to the next one."""
        question = self.question
        self.trust(answer if question is None or isinstance(question, Anchor) else checked(question, answer))

    def trust(self, answer: Any) -> None:
        """Send without the check: for an answer picked from the pending question's own options."""
        if self.question is None:
            raise self._error("the program has ended; there is no question to answer")
        if isinstance(self.question, Anchor):
            self._advance(None)
        else:
            self.answers.append((self.question.name, answer))
            self._advance(answer)

    def architecture(self) -> Architecture:
        if self.question is not None:
            raise self._error(f"{self.question.name} has not been answered")
        return Architecture(self.space.name, tuple(self.space.fields.items()), tuple(self.answers))

    def _error(self, message: str) -> SpaceError:
        return SpaceError(f"{self.space.name}: {message}")

    def _advance(self, answer: Any) -> None:
        try:
            question = self._program.send(answer)
        except StopIteration:
            self.question = None
            return
        if isinstance(question, Choice):
            self._check_options(question)
        elif isinstance(question, Anchor):
            self._add_anchor(question.name)
        elif isinstance(question, (Link, Links)):
            self._check_links(question)
        else:
            raise self._error(f"decide() yields {question!r}; yield Choice, Link, Links or Anchor")
        if question.name in self._names:
            raise self._error(f"two questions are called {question.name!r}; names must be unique")
        self._names.add(question.name)
        self.question = question

    def _check_options(self, question: Choice) -> None:
        offered, declared = question.options, self._vocabularies.get(question.vocabulary)
        if declared is not offered and not _within(offered, declared or ()):
            raise self._error(
                f"{question.name} offers {offered}, but vocabulary {question.vocabulary!r} is declared as {declared}"
            )
        weights = question.weights
        if weights is not None and (len(weights) != len(offered) or not all(0 < w < math.inf for w in weights)):
            raise self._error(f"{question.name} needs a weight above 0 for each of {offered}, it has {weights}")

    def _check_links(self, question: Link | Links) -> None:
        among = question.among
        if not self._anchors.issuperset(among) or (not among and isinstance(question, Link)):
            unknown = [name for name in among if name not in self._anchors] or "nothing"
            known = sorted(self._anchors)
            raise self._error(f"{question.name} points to {unknown}, but the anchors so far are {known}")
        if len(set(among)) != len(among):
            raise self._error(f"{question.name} offers an anchor twice: {among}")
        if isinstance(question, Links) and question.anchor is not None:
            self._add_anchor(question.anchor)

    def _add_anchor(self, name: str) -> None:
        if name in self._anchors:
            raise self._error(f"two anchors are called {name!r}; names must be unique")
        self._anchors.add(name)


def _within(offered: tuple[Option, ...], declared: tuple[Option, ...]) -> bool:
    """Return whether there is an option, and they are declared, of the same types and in the same order."""
    left = iter(declared)
    return bool(offered) and all(any(o == d and type(o) is type(d) for d in left) for o in offered)


def trace(space: Decides, answer: Callable[[Decision], Any]) -> Architecture:
    """Run the program, with `answer` called for every decision."""
    walk = Walk(space)
    while (question := walk.question) is not None:
        walk.send(None if isinstance(question, Anchor) else answer(question))
    return walk.architecture()


def replay(space: Decides, answers: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> Architecture:
    """Check answers by running the program with them; a missing, wrong or surplus answer is an error with its name."""
    return _replay(space, answers)[0]


def check(space: Decides, architecture: Architecture) -> Architecture:
    """Return the architecture if it belongs to this space; raise an error that names the wrong part if not."""
    belongs(space, architecture)
    return replay(space, architecture.answers)


def decisions_of(space: Decides, architecture: Architecture) -> list[Decision]:
    """Check an architecture of this space and return its decisions, in the order asked."""
    belongs(space, architecture)
    return _replay(space, architecture.answers)[1]


def _replay(space: Decides, answers: Any) -> tuple[Architecture, list[Decision]]:
    given, asked = dict(answers), []

    def take(question: Decision) -> Any:
        if question.name not in given:
            raise SpaceError(f"{question.name}: no answer is given")
        asked.append(question)
        return given.pop(question.name)

    architecture = trace(space, take)
    if given:
        raise SpaceError(f"answers to questions that {space.name} does not ask: {', '.join(sorted(given))}")
    return architecture, asked


def belongs(space: Decides, architecture: Architecture) -> None:
    """Raise an error if an architecture names another space or other fields; its answers are not checked."""
    if architecture.space != space.name:
        raise SpaceError(f"the architecture belongs to the space {architecture.space!r}, not to {space.name!r}")
    theirs, ours = dict(architecture.fields), {name: frozen(value) for name, value in space.fields.items()}
    if theirs != ours:
        raise SpaceError(f"the architecture was made with {theirs}, this space has {ours}")
