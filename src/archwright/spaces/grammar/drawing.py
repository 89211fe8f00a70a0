"""Sentences as graphs: one of the whole, and one for each part that is there several times."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from archwright.graph import Edge, Graph, Node
from archwright.sentences.canonical import name_of
from archwright.sentences.fitting import after, cell_shape
from archwright.sentences.rules import ROUTES, resolved, split
from archwright.sentences.sentence import Sentence, write
from archwright.sentences.shapes import Shape

LEAST = 5  # rules in a part that has a graph of its own
ONE_BOX = ("conv", "depthwise", "linear")  # known operations that are one box, by how their names begin


def drawn(sentence: Sentence, shape: Shape) -> tuple[Graph, ...]:
    """Return the graph of a sentence for inputs of a shape, then those of its parts."""
    drawing = _Drawing(sentence)
    graphs = [drawing.graph("network", sentence, shape)]
    for title, part, given in drawing.parts():
        graphs.append(drawing.graph(title, part, given))
    return tuple(graphs)


def label(sentence: Sentence, shape: Shape) -> str | None:
    """Return the name of a known operation that is one box."""
    known = name_of(sentence, shape) if sentence.rule in ("routing", "branching") else None
    return known if known is not None and known.startswith(ONE_BOX) else None


class _Drawing:
    """Draws one sentence; parts that are there several times get letters when they are first met."""

    def __init__(self, sentence: Sentence) -> None:
        counts = Counter[Sentence]()

        def count(part: Sentence) -> None:
            counts[part] += 1
            for inner in part.inner if counts[part] == 1 else ():
                count(inner)

        count(sentence)
        inside = {part.inner[0] for part in sentence.walk() if part.rule in ("repeat", "recurrence")}
        several = {part for part in counts if counts[part] > 1 and len([*part.walk()]) >= LEAST}
        self._own = several | {part for part in inside if part.inner}
        self._met: dict[Sentence, tuple[str, Shape]] = {}

    def parts(self) -> Iterator[tuple[str, Sentence, Shape]]:
        """Yield the parts that have a graph; drawing one may add others."""
        number = 0
        while number < len(self._met):
            part, (name, shape) = [*self._met.items()][number]
            known = name_of(part, shape)
            yield f"{name}{f': {known}' if known else ''}, of {shape}", part, shape
            number += 1

    def graph(self, title: str, sentence: Sentence, shape: Shape) -> Graph:
        self._nodes, self._edges = [Node("input", str(shape), "input")], list[Edge]()
        last = self._add(sentence, shape, "input", whole=True)
        self._nodes.append(Node("output", str(after(sentence, shape)), "output"))
        self._edges.append(Edge(last, "output"))
        return Graph(title, tuple(self._nodes), tuple(self._edges))

    def _box(self, text: str, *sources: str, kind: str = "operation") -> str:
        name = str(len(self._nodes))
        self._nodes.append(Node(name, text, kind))
        self._edges += [Edge(source, name) for source in sources]
        return name

    def _add(self, sentence: Sentence, shape: Shape, source: str, whole: bool = False) -> str:
        """Draw a part that reads the node `source`; return the node that its value comes from."""
        if sentence.rule == "identity":
            return source
        if not whole and sentence in self._own:
            return self._box(self._letter(sentence, shape), source)
        if not sentence.inner or (known := label(sentence, shape)) is not None:
            return self._box(str(known) if sentence.inner else write(sentence), source)
        return str(getattr(self, f"_{sentence.rule}")(sentence, shape, source))

    def _letter(self, sentence: Sentence, shape: Shape) -> str:
        """Return what stands for a part that has a graph of its own."""
        number = [*self._met].index(sentence) if sentence in self._met else len(self._met)
        letter = chr(ord("A") + number) if number < 26 else f"P{number}"
        self._met.setdefault(sentence, (letter, shape))
        known = name_of(sentence, shape)
        return letter if known is None else f"{letter}: {known}"

    def _sequential(self, sentence: Sentence, shape: Shape, source: str) -> str:
        for part in sentence.parts:
            source, shape = self._add(part, shape, source), after(part, shape)
        return source

    def _repeat(self, sentence: Sentence, shape: Shape, source: str) -> str:
        part = sentence.parts[0]
        text = self._letter(part, shape) if part.inner else write(part)
        return self._box(f"{sentence.settings[0]} x {text}", source)

    def _recurrence(self, sentence: Sentence, shape: Shape, source: str) -> str:
        part, width = sentence.parts[0], resolved(shape, sentence.settings[0]) or 0
        text = self._letter(part, cell_shape(shape, width)) if part.inner else write(part)
        return self._box(f"along positions: {text}", source)

    def _routing(self, sentence: Sentence, shape: Shape, source: str) -> str:
        enter, part, leave = sentence.parts
        entered = ROUTES[enter.rule].after(shape, *enter.settings)
        assert entered is not None
        if enter.rule != "identity":
            source = self._box(write(enter), source)
        source = self._add(part, entered, source)
        return source if leave.rule == "identity" else self._box(write(leave), source)

    def _branching(self, sentence: Sentence, shape: Shape, source: str) -> str:
        way, inner, join = sentence.parts[0], sentence.inner, sentence.parts[-1].rule
        found = split(way.rule, way.settings[0], shape)
        assert found is not None
        count, own = found
        several = len(inner) < count
        if several or way.rule == "group":
            source = self._box(write(way), source)
        ends = [self._add(part, own, source) for part in inner]
        return self._box(f"{join} of {count}" if several else join, *ends, kind="combine")
