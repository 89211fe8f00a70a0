"""Sampling, mutation, adaptation, neighbours, enumeration and counting, written once over `decide()` for all spaces."""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

from archwright.architecture import Architecture, frozen
from archwright.decisions import (
    Anchor,
    Answer,
    Choice,
    Decides,
    Decision,
    Links,
    Question,
    alternatives,
    checked,
    options,
)
from archwright.errors import ConfigError, SpaceError, TooMany, UnknownOption
from archwright.walk import Walk, belongs, decisions_of, trace

if TYPE_CHECKING:
    import numpy as np

Seed: TypeAlias = "int | Iterable[int] | np.random.Generator"  # a generator: a stream that has begun


def generator(seed: Seed) -> np.random.Generator:
    """Return the random stream of a seed, or of a tuple of them; equal on every machine. Seeds are not negative."""
    import numpy as np

    if isinstance(seed, np.random.Generator):
        return seed
    words = _words(seed)
    if any(word < 0 for word in words):
        raise ConfigError(f"seed {seed!r}: seeds are whole numbers from 0 up")
    # The length goes first because numpy pads with zeros: 7, (7, 0) and (7, 0, 0) would be one stream.
    return np.random.default_rng((len(words), *words))


def _words(seed: int | Iterable[int]) -> tuple[int, ...]:
    return tuple(seed) if isinstance(seed, Iterable) else (seed,)


def draw_answer(question: Decision, rng: np.random.Generator) -> Answer:
    """Draw an answer, uniform or by a Choice's weights; for `Links` each anchor is in with probability one half."""
    if isinstance(question, Links):
        bits = rng.integers(0, 2, len(question.among))
        return tuple(name for name, bit in zip(question.among, bits, strict=True) if bit)
    answers = question.options if isinstance(question, Choice) else question.among
    if isinstance(question, Choice) and question.weights is not None:
        sums = [*itertools.accumulate(question.weights)]
        return answers[min(bisect.bisect(sums, rng.random() * sums[-1]), len(answers) - 1)]
    return answers[int(rng.integers(len(answers)))]


def sample(space: Decides, seed: Seed) -> Architecture:
    """Draw an architecture whose every decision is uniform. `seed`: see `Seed`; several numbers, say seed and trial."""
    rng = generator(seed)
    fixed = fixed_decisions(space)
    if fixed is None:
        return trace(space, lambda question: draw_answer(question, rng))
    answers = tuple([(question.name, draw_answer(question, rng)) for question in fixed])
    return Architecture(space.name, tuple(space.fields.items()), answers)


def mutate(space: Decides, architecture: Architecture, seed: Seed) -> Architecture:
    """Change one decision, uniformly among those with an alternative; keep every other answer that still applies.

    Where the change makes the program ask other questions, or makes an old answer impossible, new answers are uniform,
    or those of another question (`Choice.like`).
    In a set of links, one, uniformly, is added or dropped; of ordered options, the next or the one before is taken.
    """
    rng = generator(seed)
    movable = [decision for decision in _decisions(space, architecture) if alternatives(decision) > 1]
    if not movable:
        raise SpaceError(f"{space.name}: the architecture has no decision with an alternative")
    target = movable[int(rng.integers(len(movable)))]
    others = _nearest(target, architecture[target.name])
    return _kept(space, architecture, {target.name: others[int(rng.integers(len(others)))]}, rng)


def adapt(space: Decides, architecture: Architecture, seed: Seed) -> Architecture:
    """Fit an architecture to a space that has grown: answers that still apply are kept, the others are uniform."""
    grown = dict(architecture.fields) != {name: frozen(value) for name, value in space.fields.items()}
    return _kept(space, architecture, {}, generator(seed)) if grown else architecture


def neighbours(space: Decides, architecture: Architecture, seed: int | Iterable[int] = 0) -> Iterator[Architecture]:
    """Yield every architecture that `mutate` may return, in the order of the decisions and of their options.

    In a conditional space the new answers that a change calls for come from a stream of `seed` and its position.
    """
    decisions = _decisions(space, architecture)
    changes = ((d.name, answer) for d in decisions for answer in _nearest(d, architecture[d.name]))
    for position, change in enumerate(changes):
        yield _kept(space, architecture, dict([change]), generator((*_words(seed), position)))


def _nearest(question: Decision, old: Answer) -> list[Answer]:
    if isinstance(question, Links):  # one link more or less: the smallest change of a set
        chosen = set(old if isinstance(old, tuple) else ())
        return [tuple(n for n in question.among if n in chosen ^ {flipped}) for flipped in question.among]
    if isinstance(question, Choice) and question.ordered:
        at = question.options.index(old)
        return [*question.options[max(0, at - 1) : at], *question.options[at + 1 : at + 2]]
    return [option for option in options(question) if option != old]


def _decisions(space: Decides, architecture: Architecture) -> Sequence[Decision]:
    """Return `decisions_of`, without running the program where it always asks the same."""
    fixed = fixed_decisions(space)
    if fixed is None or [name for name, _ in architecture.answers] != [question.name for question in fixed]:
        return decisions_of(space, architecture)
    belongs(space, architecture)
    return fixed


def fixed_decisions(space: Decides) -> tuple[Decision, ...] | None:
    """Return the decisions of a static space; None for a space that is not static."""
    try:
        return _fixed(space)
    except TypeError:  # a field that cannot be hashed, say a list
        return None


@lru_cache(maxsize=256)
def _fixed(space: Decides) -> tuple[Decision, ...] | None:
    try:
        return tuple([question for question in questions(space) if not isinstance(question, Anchor)])
    except SpaceError:  # also if the space is broken: running it says how
        return None


def _kept(
    space: Decides, architecture: Architecture, changes: Mapping[str, Answer], rng: np.random.Generator
) -> Architecture:
    fixed = fixed_decisions(space)
    if fixed is not None and len(fixed) == len(architecture.answers) and changes:
        answers = [(name, changes.get(name, answer)) for name, answer in architecture.answers]
        return Architecture(space.name, tuple(space.fields.items()), tuple(answers))

    given: dict[str | None, Answer] = {}

    def pick(question: Decision) -> Answer:
        given[question.name] = answer = new(question)
        return answer

    def new(question: Decision) -> Answer:
        if question.name in changes:
            return changes[question.name]
        with suppress(KeyError, UnknownOption):
            return checked(question, architecture[question.name])
        with suppress(KeyError, UnknownOption):
            return checked(question, given[question.like if isinstance(question, Choice) else None])
        return draw_answer(question, rng)

    return trace(space, pick)


def enumerate_space(space: Decides) -> Iterator[Architecture]:
    """Yield every architecture of the space, depth first, in the order of `options`."""
    path: list[Answer] = []  # answers of the last architecture; `untried`: for each, the answers still to try
    untried: list[Iterator[Answer]] = []
    while True:
        walk, position = Walk(space), 0
        while (question := walk.question) is not None:
            if isinstance(question, Anchor):
                walk.send(None)
                continue
            if position == len(path):
                untried.append(options(question))
                path.append(next(untried[-1]))
            walk.trust(path[position])
            position += 1
        yield walk.architecture()
        while untried:
            if (following := next(untried[-1], None)) is not None:
                path[-1] = following
                break
            path.pop()
            untried.pop()
        else:
            return


class _Inspected(BaseException):
    """Raised inside a program that inspects the answer `name`. No program catches a BaseException."""

    def __init__(self, name: str) -> None:
        self.name = name


class _Opaque:
    """A stand-in for an answer: it may be passed on, every way of inspecting it raises `_Inspected`."""

    __slots__ = ("_question",)

    def __init__(self, question: str) -> None:
        self._question = question

    def _inspect(self, *_: Any) -> Any:
        raise _Inspected(self._question)

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __bool__ = __len__ = __iter__ = __contains__ = _inspect
    __getitem__ = __hash__ = __repr__ = __str__ = __format__ = __int__ = __float__ = __index__ = __call__ = _inspect
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _inspect
    __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = __divmod__ = __rdivmod__ = __pow__ = __rpow__ = _inspect
    __and__ = __rand__ = __or__ = __ror__ = __xor__ = __rxor__ = __lshift__ = __rlshift__ = __rshift__ = _inspect
    __rrshift__ = __neg__ = __pos__ = __abs__ = __invert__ = __round__ = __trunc__ = __reversed__ = __next__ = _inspect
    __class__ = property(_inspect)  # isinstance asks for it when the type itself does not fit

    def __getattr__(self, name: str) -> Any:
        raise _Inspected(self._question)


def questions(space: Decides) -> tuple[Question, ...]:
    """Return the questions of a static space; the error for another names the answer that its program inspects."""
    asked: list[Question] = []
    try:
        _run_blind(space, {}, asked)
    except _Inspected as inspected:
        why = f"what is asked depends on the answer to {inspected.name}, so its questions are not fixed"
        raise SpaceError(f"{space.name}: {why}") from None
    except TypeError as error:  # some built-ins, as str.join, refuse a stand-in before they inspect it
        why = f"decide() looks at an answer, so its questions are not fixed ({error})"
        raise SpaceError(f"{space.name}: {why}") from None
    return tuple(asked)


def _run_blind(space: Decides, fixed: Mapping[str, Answer], asked: list[Question]) -> None:
    """Run the program with the `fixed` answers and stand-ins for the others; add the other questions to `asked`."""
    walk = Walk(space)
    while (question := walk.question) is not None:
        if question.name in fixed:
            walk.trust(fixed[question.name])
        else:
            asked.append(question)
            walk.trust(_Opaque(question.name))


def count(space: Decides, runs: int | None = None) -> int:
    """Count the answer lists exactly, in one pass over a static space: a program branches only on answers it inspects
    (with `==`: `is` and `type` go unnoticed).

    Raises: TooMany, where the program would have to run more often than `runs` times.
    """
    left = math.inf if runs is None else runs

    def below(fixed: dict[str, Answer]) -> int:
        nonlocal left
        left -= 1
        if left < 0:
            raise TooMany(f"{space.name} has too many different programs to count")
        asked: list[Question] = []
        failed: BaseException | None = None
        try:
            _run_blind(space, fixed, asked)
        except (_Inspected, Exception) as error:
            failed = error
        decisions = [question for question in asked if not isinstance(question, Anchor)]
        if failed is None:
            return math.prod(map(alternatives, decisions))
        if not decisions:
            raise failed
        # An error of another kind may come from a built-in that refuses a stand-in: then any branch is right.
        inspected = failed.name if isinstance(failed, _Inspected) else decisions[0].name
        branched = next(decision for decision in decisions if decision.name == inspected)
        return sum(below({**fixed, inspected: option}) for option in options(branched))

    return below({})
