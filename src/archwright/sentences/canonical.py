"""One form for sentences that compute the same for all weights, as far as rewriting goes; known ones by name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from itertools import product

from archwright.errors import SpaceError
from archwright.sentences.fitting import after, cell_shape
from archwright.sentences.library import NAMED
from archwright.sentences.reading import Named
from archwright.sentences.rules import ACTIVATIONS, POINTWISE, ROUTES, Setting, resolved, split
from archwright.sentences.sentence import Sentence, write
from archwright.sentences.shapes import MAP, Shape

IDENTITY = Sentence("identity")
PERMUTE, COL2IM, PIXELS = Sentence("permute"), Sentence("col2im"), Sentence("im2col", (1, 1))


@lru_cache(maxsize=4096)
def canonical(sentence: Sentence, shape: Shape) -> Sentence:
    """Return the form that sentences have in common which compute the same for all weights, given inputs of a shape.

    Widths become numbers; repeats and sequences one flat sequence without identities; equal branches one, and branches
    that are added or multiplied stand in one order; what a routing does at each position stands outside it; a routing
    that undoes itself is gone. Two linear maps after each other stay two: one would not have the same parameters.
    """
    made = after(sentence, shape)  # its errors name the part
    if sentence.rule == "linear":
        return Sentence("linear", (made.features,))
    if sentence.rule in ("sequential", "repeat"):
        return chain(_flat(sentence.parts * int((sentence.settings or (1,))[0]), shape), shape)
    if sentence.rule == "routing":
        return _routing(sentence, shape)
    if sentence.rule == "branching":
        return _branching(sentence, shape)
    if sentence.rule == "recurrence":
        width = resolved(shape, sentence.settings[0]) or 0
        return Sentence("recurrence", (width,), (canonical(sentence.parts[0], cell_shape(shape, width)),))
    return sentence


def parts_of(sentence: Sentence) -> tuple[Sentence, ...]:
    """Return the parts of a sequence; of the identity none, of anything else itself."""
    if sentence == IDENTITY:
        return ()
    return sentence.parts if sentence.rule == "sequential" else (sentence,)


def in_turn(parts: Sequence[Sentence]) -> Sentence:
    """Return parts, one after the other, as a sentence."""
    return IDENTITY if not parts else parts[0] if len(parts) == 1 else Sentence("sequential", (), tuple(parts))


def _flat(parts: Sequence[Sentence], shape: Shape) -> Iterator[Sentence]:
    for part in parts:
        yield from parts_of(canonical(part, shape))
        shape = after(part, shape)


def chain(parts: Iterator[Sentence], shape: Shape) -> Sentence:
    """Return canonical parts as one sequence; neighbours that turn a sequence, or take it from a map and back, join."""
    made: list[Sentence] = []
    for part in parts:
        if made and part == made[-1] == Sentence("relu"):
            continue
        if made and part.rule == made[-1].rule == "routing":
            ends = {(one.parts[0], one.parts[2]) for one in (made[-1], part)}
            if ends in ({(PERMUTE, PERMUTE)}, {(PIXELS, COL2IM)}) or (
                made[-1].parts[2] == COL2IM and (part.parts[0], part.parts[2]) == (PIXELS, COL2IM)
            ):
                before = made.pop()
                both = in_turn([*parts_of(before.parts[1]), *parts_of(part.parts[1])])
                joined = Sentence("routing", (), (before.parts[0], both, before.parts[2]))
                made += parts_of(canonical(joined, after(in_turn(made), shape)))
                continue
        made.append(part)
    return in_turn(made)


def _routing(sentence: Sentence, shape: Shape) -> Sentence:
    """Move what each position has for itself out of a routing, before and after; drop one that is left empty."""
    enter, inner, leave = sentence.parts
    entered = ROUTES[enter.rule].after(shape, *enter.settings)
    assert entered is not None
    parts = [*parts_of(canonical(inner, entered))]
    turned = enter == PERMUTE
    free = ACTIVATIONS if turned else POINTWISE
    before: list[Sentence] = []
    behind: list[Sentence] = []
    while parts and (turned or enter == PIXELS) and parts[0].rule in free and (turned or leave == COL2IM):
        before.append(parts.pop(0))
    while (
        parts and (turned or leave == COL2IM) and parts[-1].rule in free and (len(parts) > 1 or enter.rule != "im2col")
    ):
        behind.insert(0, parts.pop())
    if turned and len(parts) == 1 and parts[0].rule == "routing" and parts[0].parts[0] == PERMUTE:
        return in_turn([*before, *parts_of(parts[0].parts[1]), *behind])
    if not parts and (turned or (enter == PIXELS and leave == COL2IM)):
        return in_turn([*before, *behind])
    return in_turn([*before, Sentence("routing", (), (enter, in_turn(parts), leave)), *behind])


def _branching(sentence: Sentence, shape: Shape) -> Sentence:
    first, join, inner = sentence.parts[0], sentence.parts[-1], sentence.inner
    found = split(first.rule, first.settings[0], shape)
    assert found is not None
    count, own = found
    parts = [canonical(part, own) for part in inner]
    shapes = [after(part, own) for part in inner]
    alike = len({*shapes}) == 1
    if count == 1:
        return parts[0]
    parts, shapes = parts * (count // len(parts)), shapes * (count // len(shapes))
    if first.rule == "clone" and alike and join.rule in ("add", "multiply", "concat"):
        parts = [part for each in parts for part in _operands(each, join, own)]
        count = len(parts)
        if join.rule != "concat":
            parts.sort(key=write)
    behind: list[Sentence] = []
    if len({*parts}) == 1 and join.rule not in ("matmul", "dot"):
        one = [*parts_of(parts[0])]
        # Of all branches alike, each feature for itself: the same after they are joined.
        while join.rule == "concat" and one and one[-1].rule in (*ACTIVATIONS, *["norm"] * (shapes[0].form == MAP)):
            behind.insert(0, one.pop())
        if not one and first.rule == "group":
            return in_turn(behind)
        parts = [in_turn(one)]
    made = Sentence("branching", (), (Sentence(first.rule, (count,)), *parts, join))
    return in_turn([made, *behind])


def _operands(part: Sentence, join: Sentence, shape: Shape) -> Iterator[Sentence]:
    """Yield what a part adds up, if it is itself a sum of clones; else the part."""
    if part.rule != "branching" or part.parts[0].rule != "clone" or part.parts[-1] != join:
        yield part
        return
    inner = part.inner * (int(part.parts[0].settings[0]) // len(part.inner))
    if len({after(one, shape) for one in inner}) > 1 and join.rule != "concat":
        yield part
        return
    for one in inner:
        yield from _operands(one, join, shape)


def same(one: Sentence, other: Sentence, shape: Shape) -> bool:
    """Return whether two sentences are known to compute the same for all weights."""
    return canonical(one, shape) == canonical(other, shape)


@lru_cache(maxsize=512)
def _known(shape: Shape, features: int) -> dict[Sentence, str]:
    """Return the known operations that make so many features of a shape, by canonical form."""
    found: dict[Sentence, str] = {}
    width = "same" if features == shape.features else features
    for name, known in NAMED.items():
        firsts, seconds = ((1, 2, 4, 8) if "(heads)" in known.about else (width,)), (2,)
        if known.parts:
            continue
        for given in _settings(known, firsts, seconds):
            with suppress(SpaceError):
                sentence = known.build(*given)
                found.setdefault(canonical(sentence, shape), f"{name}({', '.join(map(str, given))})" if given else name)
    return found


def _settings(known: Named, firsts: Sequence[Setting], seconds: Sequence[Setting]) -> Iterator[tuple[Setting, ...]]:
    yield from product(firsts, repeat=known.least)
    if known.most > known.least:
        yield from product(*[firsts] * known.least, seconds)


def name_of(sentence: Sentence, shape: Shape) -> str | None:
    """Return the name of a known operation that computes the same; None if none does."""
    return _known(shape, after(sentence, shape).features).get(canonical(sentence, shape))
