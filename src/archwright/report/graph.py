"""The graph of an architecture or of one of its cells, as a space hands it over to be drawn or written out."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from archwright.errors import ConfigError, SpaceError
from archwright.space import Architecture

KINDS = ("input", "operation", "combine", "output")


@dataclass(frozen=True)
class Node:
    """A box. `name` is unique and is how text refers to the node; `label` says what it does ("sep 5x5", "add").

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
    _by_name: Mapping[str, Node] = field(init=False, repr=False, compare=False, hash=False)
    _into: Mapping[str, tuple[Edge, ...]] = field(init=False, repr=False, compare=False, hash=False)
    _out_of: Mapping[str, tuple[Edge, ...]] = field(init=False, repr=False, compare=False, hash=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "nodes", tuple(self.nodes))
        object.__setattr__(self, "edges", tuple(self.edges))
        self._check_nodes()
        into: dict[str, list[Edge]] = {node.name: [] for node in self.nodes}
        out_of: dict[str, list[Edge]] = {node.name: [] for node in self.nodes}
        for edge in self.edges:
            for end in (edge.source, edge.target):
                if end not in into:
                    raise SpaceError(
                        f"graph {self.title!r}: the edge {edge.source!r} -> {edge.target!r} needs a node {end!r}; "
                        f"there are {', '.join(into) or 'none'}"
                    )
            into[edge.target].append(edge)
            out_of[edge.source].append(edge)
        object.__setattr__(self, "_by_name", {node.name: node for node in self.nodes})
        object.__setattr__(self, "_into", {name: tuple(edges) for name, edges in into.items()})
        object.__setattr__(self, "_out_of", {name: tuple(edges) for name, edges in out_of.items()})
        ordered = {node.name for node in self.in_order()}
        if circle := [name for name in into if name not in ordered]:
            raise SpaceError(f"graph {self.title!r}: the edges form a circle; it is among {', '.join(circle)}")

    def _check_nodes(self) -> None:
        if not self.nodes:
            raise SpaceError(f"graph {self.title!r} has no nodes")
        seen: set[str] = set()
        for node in self.nodes:
            if node.name in seen or not node.name:
                raise SpaceError(
                    f"graph {self.title!r}: {node.name!r} names two nodes or is empty; names must be unique"
                )
            if node.kind not in KINDS:
                raise SpaceError(
                    f"graph {self.title!r}: node {node.name!r} has kind {node.kind!r}; pick one of {', '.join(KINDS)}"
                )
            seen.add(node.name)
        texts = [self.title, *(text for node in self.nodes for text in (node.name, node.label))]
        for text in (*texts, *(edge.label for edge in self.edges)):
            if not text.isprintable():  # line breaks and control characters: XML has no way to write most of them
                raise SpaceError(f"graph {self.title!r}: the text {text!r} has characters that cannot be printed")

    def __getitem__(self, name: str) -> Node:
        return self._by_name[name]

    def into(self, name: str) -> tuple[Edge, ...]:
        """The edges that end at a node: its operands, in order."""
        return self._into[name]

    def out_of(self, name: str) -> tuple[Edge, ...]:
        """The edges that start at a node."""
        return self._out_of[name]

    def is_part(self, node: Node) -> bool:
        """Whether the node belongs to the only node that uses it (`4/left` to `4`)."""
        uses = self._out_of[node.name]
        return len(uses) == 1 and node.name.startswith(uses[0].target + "/")

    def in_order(self) -> Iterator[Node]:
        """The nodes, each after all of its operands; otherwise in the order in which they are listed."""
        missing = {name: len(edges) for name, edges in self._into.items()}
        waiting = list(self.nodes)
        while ready := next((node for node in waiting if not missing[node.name]), None):
            waiting.remove(ready)
            for edge in self._out_of[ready.name]:
                missing[edge.target] -= 1
            yield ready


def _decisions(architecture: Architecture) -> tuple[Graph, ...]:
    nodes = [Node("input", "input", "input")]
    for name, answer in architecture.answers:
        said = ", ".join(answer) if isinstance(answer, tuple) else str(answer)
        nodes.append(Node(name, said or "none"))
    nodes.append(Node("output", "output", "output"))
    names = [node.name for node in nodes]
    edges = tuple(Edge(a, b) for a, b in itertools.pairwise(names))
    return (Graph(architecture.space, tuple(nodes), edges),)


def graphs_of(what: Architecture | Graph | Sequence[Graph]) -> tuple[Graph, ...]:
    """The graphs to show: of an architecture, `graphs(architecture)` of its space in `archwright.spaces.SPACES`.

    A space without graphs has its decisions drawn one after the other. Raises SpaceError if the space is not there,
    ConfigError if there are no graphs.
    """
    if isinstance(what, Graph):
        return (what,)
    if isinstance(what, Architecture):
        from archwright.spaces import SPACES  # spaces import this module

        if what.space not in SPACES:
            raise SpaceError(
                f"the space {what.space!r} is not one of {', '.join(sorted(SPACES))}; "
                "draw the graphs that your own space makes of the architecture"
            )
        graphs = tuple(SPACES[what.space](**dict(what.fields)).graphs(what)) or _decisions(what)
    else:
        graphs = tuple(what)
    if not graphs:
        raise ConfigError("there is no graph to draw")
    return graphs
