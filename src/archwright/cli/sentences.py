"""`archwright show` of a sentence, and of the operations that an architecture composes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from archwright.cli.commands import print_json, print_line
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
    from archwright.report.drawing import draw
    from archwright.report.text import as_text
    from archwright.spaces.grammar.drawing import drawn

    graphs, pictures = drawn(sentence, shape), []
    if not given.no_pictures:
        name = hashlib.sha256(write(sentence).encode()).hexdigest()[:12]
        pictures = [str(draw(graphs, given.to / f"{name}.{kind}")) for kind in ("png", "svg")]
    if given.json:
        print_json({**facts, "pictures": pictures, "graphs": [as_text(graph) for graph in graphs]})
        return 0
    print_line(write(sentence))
    for graph in graphs:
        print()
        print_line(graph.title)
        for line in as_text(graph):
            print_line(f"  {line}")
    print()
    print_line(f"canonical: {facts['canonical']}")
    print_line(f"the same as {facts['name']}" if facts["name"] else "no known operation computes the same")
    print_line(f"{cost.parameters:,} parameters, {cost.multiply_adds:,} multiply-adds, {shape} -> {made}")
    for path in pictures:
        print_line(f"drawn to {path}")
    return 0


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
    for one in found:
        text, cost = write(one.sentence), one.cost
        if as_json:
            print_json(
                {"times": one.times, "name": one.name, "sentence": text, "input": str(one.shape), **cost._asdict()}
            )
        else:
            costs = f"{cost.parameters:,} parameters, {cost.multiply_adds:,} multiply-adds"
            print_line(f"{one.times} x {one.name or 'composed'}, on {one.shape}: {costs}")
            print_line(f"    {text}")
    if not found and not as_json:
        print_line("no operation of several rules has weights")
    return 0
