"""The graph of an architecture or of one of its cells: the value that a space returns and that pictures show."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from archwright.architecture import Architecture
from archwright.errors import SpaceError

KINDS = ("input", "operation", "combine", "output")


@dataclass(frozen=True)
class Node:
    """A box. `name` is unique and is how text refers to the node; `label` states what it does ("sep 5x5", "add").

    A node called `4/left` whose only use is in node `4` is a part of `4`: text writes it inside the expression of `4`,
    and a drawing shows its label without the name. `kind` is one of `KINDS`: inputs are drawn at the top, outputs at
    the bottom; combine nodes join several values ("add", "mul", "concat").
    """

    name: str
    label: str
    kind: str = "operation"


@dataclass(frozen=True)
class Edge:
    """The value of node `source` goes into node `target`; `label` is written on it ("W1", "skip")."""

    source: str
    target: str
    label: str = ""


@dataclass(frozen=True)
class Graph:
    """A directed acyclic graph. The edges into a node are its operands, in the order in which they are listed.

    Raises SpaceError if two nodes share a name, a kind is unknown, an edge starts or ends nowhere, the edges form a
    circle, or a text holds characters that cannot be printed.
    """

    title: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "nodes", tuple(self.nodes))
        object.__setattr__(self, "edges", tuple(self.edges))
        if wrong := self._wrong():
            raise SpaceError(f"graph {self.title!r}{wrong}")

    def _wrong(self) -> str:
        if not self.nodes:
            return " has no nodes"
        for name, count in Counter(node.name for node in self.nodes).items():
            if count > 1 or not name:
                return f": {name!r} names two nodes or is empty; names must be unique"
        for node in self.nodes:
            if node.kind not in KINDS:
                return f": node {node.name!r} has kind {node.kind!r}; pick one of {', '.join(KINDS)}"
        texts = [text for node in self.nodes for text in (node.name, node.label)]
        for text in (self.title, *texts, *(edge.label for edge in self.edges)):
            if not text.isprintable():  # line breaks and control characters: XML has no way to write most of them
                return f": the text {text!r} has characters that cannot be printed"
        for edge in self.edges:
            if missing := [end for end in (edge.source, edge.target) if end not in self._by_name]:
                needed, known = f"needs a node {missing[0]!r}", ", ".join(self._by_name)
                return f": the edge {edge.source!r} -> {edge.target!r} {needed}; there are {known}"
        ordered = {node.name for node in self.in_order()}
        if circle := [name for name in self._by_name if name not in ordered]:
            return f": the edges form a circle; it is among {', '.join(circle)}"
        return ""

    @cached_property
    def _by_name(self) -> dict[str, Node]:
        return {node.name: node for node in self.nodes}

    @cached_property
    def _into(self) -> dict[str, tuple[Edge, ...]]:
        return {name: tuple(edge for edge in self.edges if edge.target == name) for name in self._by_name}

    @cached_property
    def _out_of(self) -> dict[str, tuple[Edge, ...]]:
        return {name: tuple(edge for edge in self.edges if edge.source == name) for name in self._by_name}

    def __getitem__(self, name: str) -> Node:
        return self._by_name[name]

    def into(self, name: str) -> tuple[Edge, ...]:
        """Return the edges that end at a node: its operands, in order."""
        return self._into[name]

    def out_of(self, name: str) -> tuple[Edge, ...]:
        return self._out_of[name]

    def is_part(self, node: Node) -> bool:
        """Return whether the node belongs to the only node that uses it (`4/left` to `4`)."""
        uses = self._out_of[node.name]
        return len(uses) == 1 and node.name.startswith(uses[0].target + "/")

    def in_order(self) -> Iterator[Node]:
        """Yield the nodes, each after all of its operands; otherwise in the order in which they are listed."""
        missing = {name: len(edges) for name, edges in self._into.items()}
        waiting = list(self.nodes)
        while ready := next((node for node in waiting if not missing[node.name]), None):
            waiting.remove(ready)
            for edge in self._out_of[ready.name]:
                missing[edge.target] -= 1
            yield ready


def answers_graph(architecture: Architecture) -> Graph:
    """Return the answers one after the other, for a space that describes no graphs of its own."""
    answers = ((name, ", ".join(a) if isinstance(a, tuple) else str(a)) for name, a in architecture.answers)
    steps = (Node(name, answer or "none") for name, answer in answers)
    nodes = (Node("input", "input", "input"), *steps, Node("output", "output", "output"))
    edges = tuple(Edge(a.name, b.name) for a, b in itertools.pairwise(nodes))
    return Graph(architecture.space, nodes, edges)
