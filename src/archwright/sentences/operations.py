"""What a sentence is made of: the operations in it, those that people know by name and those that were composed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from archwright.sentences.canonical import canonical, name_of
from archwright.sentences.fitting import after, cell_shape, measured
from archwright.sentences.rules import ROUTES, resolved, split
from archwright.sentences.sentence import Sentence, write
from archwright.sentences.shapes import Cost, Shape


@dataclass(frozen=True)
class Operation:
    """A part of a sentence that has weights, what it reads, and how often it or its equal is there.

    `name`: of the known operation that computes the same; None: it was composed.
    """

    sentence: Sentence
    shape: Shape
    times: int
    name: str | None

    @property
    def cost(self) -> Cost:
        """The cost of one of them."""
        return measured(self.sentence, self.shape)[1]


def parts(sentence: Sentence, shape: Shape) -> Iterator[tuple[Sentence, Shape, int]]:
    """Yield the sentences inside a rule, what each is given, and how often it is there."""
    if sentence.rule in ("sequential", "repeat"):
        for part in sentence.parts:
            yield part, shape, int((sentence.settings or (1,))[0])
            shape = after(part, shape)
    elif sentence.rule == "routing":
        entered = ROUTES[sentence.parts[0].rule].after(shape, *sentence.parts[0].settings)
        if entered is not None:
            yield sentence.parts[1], entered, 1
    elif sentence.rule == "branching":
        found = split(sentence.parts[0].rule, sentence.parts[0].settings[0], shape)
        if found is not None:
            yield from ((part, found[1], found[0] // len(sentence.inner)) for part in sentence.inner)
    elif sentence.inner:
        yield sentence.parts[0], cell_shape(shape, resolved(shape, sentence.settings[0]) or 0), 1


def operations(sentence: Sentence, shape: Shape) -> list[Operation]:
    """Return the operations of several rules in a sentence, the most frequent first, without the parts of known ones.

    Those that compute the same are one, as they are written first; so are those of one text, at other widths.
    """
    found: dict[str, Operation] = {}
    written: dict[tuple[Sentence, Shape], str] = {}  # the first text of a canonical form

    def note(part: Sentence, given: Shape, times: int) -> None:
        known = name_of(part, given) if part.inner else None
        weighty = part.inner and measured(part, given)[1].parameters > 0
        if weighty and (known or part != sentence):
            text = known or written.setdefault((canonical(part, given), given), write(part))
            first = found.setdefault(text, Operation(part, given, 0, known))
            found[text] = replace(first, times=first.times + times)
        if known is None or part == sentence:
            for inner, own, often in parts(part, given):
                note(inner, own, times * often)

    note(sentence, shape, 1)
    chains = ("sequential", "repeat")
    listed = [one for one in found.values() if one.name or one.times > 1 or one.sentence.rule not in chains]
    return sorted(listed, key=lambda one: (-one.times, -one.cost.parameters))
