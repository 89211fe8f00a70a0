"""Whether a sentence fits a shape: what it makes of it, and what that costs."""

from __future__ import annotations

from functools import lru_cache

from archwright.errors import SpaceError
from archwright.sentences.rules import COMPUTATIONS, ROUTES, computed, joined, resolved, split
from archwright.sentences.sentence import Sentence, malformed, write
from archwright.sentences.shapes import ONE, SEQUENCE, Cost, Shape


def after(sentence: Sentence, shape: Shape) -> Shape:
    """Return the shape that a sentence makes of another; raise `SpaceError` with the part that does not fit."""
    return measured(sentence, shape)[0]


@lru_cache(maxsize=32768)
def measured(sentence: Sentence, shape: Shape) -> tuple[Shape, Cost]:
    """Return the shape that a sentence makes, and what it costs for one image."""
    if wrong := malformed(sentence):
        raise SpaceError(f"{_shown(sentence)}: {wrong}")
    if sentence.rule in COMPUTATIONS:
        found = computed(sentence.rule, shape, sentence.settings)
        if found is None:
            raise _unfit(sentence, shape)
        return found
    measure = {"branching": _branched, "routing": _routed, "recurrence": _recurrence}.get(sentence.rule, _in_turn)
    made, cost = measure(sentence, shape)
    return made, cost.and_(ONE)


def _in_turn(sentence: Sentence, shape: Shape) -> tuple[Shape, Cost]:
    total, times = Cost(), int(sentence.settings[0]) if sentence.rule == "repeat" else 1
    for part in sentence.parts * times:
        shape, cost = measured(part, shape)
        total = total.and_(cost)
    return shape, total._replace(operations=total.operations // times)


def _branched(sentence: Sentence, shape: Shape) -> tuple[Shape, Cost]:
    first, join, inner = sentence.parts[0], sentence.parts[-1].rule, sentence.inner
    found = split(first.rule, first.settings[0], shape)
    if found is None:
        raise _unfit(first, shape)
    count, given = found
    if len(inner) not in (1, count):
        raise SpaceError(f"{_shown(sentence)}: {first} has {count} branches, and there are {len(inner)} parts")
    parts = [measured(part, given) for part in inner]
    if len(inner) == 1:
        (made, cost), total = parts[0], parts[0][1].times(count, count)
        shapes, times = [made], count
    else:
        shapes, total, times = [made for made, _ in parts], Cost(), 1
        for _, cost in parts:
            total = total.and_(cost)
    made_of = joined(join, tuple(shapes), times)
    if made_of is None:
        raise SpaceError(f"{_shown(sentence)}: {join} does not fit {', '.join(dict.fromkeys(map(str, shapes)))}")
    return made_of[0], total.and_(made_of[1])


def _routed(sentence: Sentence, shape: Shape) -> tuple[Shape, Cost]:
    enter, inner, leave = sentence.parts
    entered = ROUTES[enter.rule].after(shape, *enter.settings)
    if entered is None:
        raise _unfit(enter, shape)
    made, cost = measured(inner, entered)
    left = ROUTES[leave.rule].after(made, *leave.settings)
    if left is None:
        raise _unfit(leave, made)
    return left, cost


def _recurrence(sentence: Sentence, shape: Shape) -> tuple[Shape, Cost]:
    width = resolved(shape, sentence.settings[0])
    if width is None or shape.form != SEQUENCE:
        raise _unfit(sentence, shape)
    state, cost = measured(sentence.parts[0], cell_shape(shape, width))
    if state != cell_state(width):
        raise SpaceError(
            f"{_shown(sentence)}: its cell makes {state} of a position and the state; it must be {width} wide"
        )
    return shape.with_features(width), cost.times(1, shape.positions)


def cell_shape(shape: Shape, width: int) -> Shape:
    """Return what a recurrent cell is given: one position's features, then the state's."""
    return shape.with_features(shape.features + width)._replace(positions=1, grid=None)


def cell_state(width: int) -> Shape:
    """Return what a recurrent cell must make."""
    return Shape(SEQUENCE, width, 1)


def _unfit(sentence: Sentence, shape: Shape) -> SpaceError:
    return SpaceError(f"{_shown(sentence)} does not fit {shape}")


def _shown(sentence: Sentence) -> str:
    text = write(sentence)
    return text if len(text) <= 60 else f"{text[:57]}..."
