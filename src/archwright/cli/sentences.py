"""`archwright show` of a sentence, and of the operations that an architecture composes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from archwright.cli.commands import print_json, print_line
from archwright.cli.drawn import show_graphs
from archwright.errors import SpaceError
from archwright.sentences.canonical import canonical, name_of
from archwright.sentences.fitting import measured
from archwright.sentences.library import NAMED, parse
from archwright.sentences.operations import Operation, operations
from archwright.sentences.rules import COMPUTATIONS
from archwright.sentences.sentence import Sentence, write
from archwright.sentences.shapes import SEQUENCE, Shape

SIDE, CHANNELS, POSITIONS, FEATURES = 32, 16, 64, 32  # of what an operation is shown for, unless flags say


def is_sentence(text: Path) -> bool:
    """Return whether an argument is a sentence, or the name of one: nothing in the file system is called so."""
    words = {*NAMED, *COMPUTATIONS}
    return ("(" in str(text) or str(text) in words) and not text.exists()


def show_sentence(given: Any) -> int:
    """Draw a sentence, print it as it is and in its canonical form, and count what it costs."""
    sentence = parse(str(given.architecture))
    shape = _shape(sentence, given)
    made, cost = measured(sentence, shape)
    if given.operations:
        return show_operations(operations(sentence, shape), as_json=given.json)
    facts = {
        "sentence": write(sentence),
        "canonical": write(canonical(sentence, shape)),
        "name": name_of(sentence, shape),
        "input": str(shape),
        "output": str(made),
        **cost._asdict(),
    }
    from archwright.spaces.grammar.drawing import drawn

    lines = [
        f"canonical: {facts['canonical']}",
        f"the same as {facts['name']}" if facts["name"] else "no known operation computes the same",
        f"{cost.parameters:,} parameters, {cost.multiply_adds:,} multiply-adds, {shape} -> {made}",
    ]
    name = hashlib.sha256(write(sentence).encode()).hexdigest()[:12]
    return show_graphs(given, drawn(sentence, shape), name, facts=facts, title=write(sentence), lines=lines)


def _shape(sentence: Sentence, given: Any) -> Shape:
    """Return the shape that a sentence is shown for: a map, or a sequence where it fits no map."""
    side = given.image_size or SIDE
    image = Shape.map(given.channels or CHANNELS, side, side)
    rows = Shape(SEQUENCE, given.channels or FEATURES, given.image_size or POSITIONS)
    try:
        measured(sentence, image)
    except SpaceError as error:
        try:
            measured(sentence, rows)
        except SpaceError:
            raise error from None
        return rows
    return image


def show_operations(found: Sequence[Operation], *, as_json: bool) -> int:
    """List operations with their names, or as new ones."""
    if as_json:
        listed = [
            {"times": o.times, "name": o.name, "sentence": write(o.sentence), "input": str(o.shape), **o.cost._asdict()}
            for o in found
        ]
        print_json({"operations": listed})
        return 0
    for one in found:
        costs = f"{one.cost.parameters:,} parameters, {one.cost.multiply_adds:,} multiply-adds"
        print_line(f"{one.times} x {one.name or 'composed'}, on {one.shape}: {costs}")
        print_line(f"    {write(one.sentence)}")
    if not found:
        print_line("no operation of several rules has weights")
    return 0
