"""The recurrent space of NAS (Zoph & Le 2017, section 3.4): a tree of additions, products and activations."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from archwright.errors import SpaceError
from archwright.graph import Edge, Graph, Node
from archwright.space import Architecture, Choice, Open, Option, Program, TextTask, questions, replay
from archwright.spaces.language import LanguageSpace
from archwright.spaces.settings import check_fields, only

if TYPE_CHECKING:
    from torch import nn

    from archwright.nets.recurrence import Tree
COMBINE = ("add", "elem_mult")
ACTIVATIONS = ("identity", "tanh", "sigmoid", "relu")
JOINS = {"add": "add", "elem_mult": "mul"}  # as drawings name them
FIELDS = ("combine", "activation")


@dataclass(frozen=True)
class NasRecurrent(LanguageSpace):
    """Cells of a recurrent network: a binary tree over `base` leaves, each of which reads x(t) and h(t-1).

    Asked, in the order of Figure 5: combination and activation of every tree index (leaves, then inner nodes, the root
    last), those of the cell inject, and the two cell indices. The *first* index names the node whose value before its
    activation becomes c(t); the *second* the node whose output is joined with c(t-1). h(t) is the root's output. Only
    leaves have weights. Inner node k joins the outputs of nodes 2 (k - base) and 2 (k - base) + 1.

    With base 8 there are 8^15 * 8 * 15^2 = 6.3e16 answer lists, the paper's 6e16: both indices range over all nodes.
    A network is a language model of `layers` such cells. No weights are shared: every child is trained.

    Args:
        base: leaves of the tree, 2 to 12; the paper's experiments have 8.
        layers: of the language model.
        parameters: the most a model may have; its units follow. Not used if `units` is given.
        units: of every layer, and of the embedding; None: as `parameters` allows.
        tied: the classifier's matrix is the embedding's.
        embedding_dropout, input_dropout, recurrent_dropout, output_dropout: see `archwright.nets.language`.
        init: weights are uniform in [-init, init].
    """

    name: ClassVar[str] = "nas-recurrent"
    reads: ClassVar[tuple[str, ...]] = ("base",)

    base: int = 8  # Zoph & Le 2017, section 4.2
    layers: int = 2  # the same
    parameters: int = 20_000_000  # of the "medium" models that the paper's children are as large as (Zaremba 2014)
    units: int | None = None
    tied: bool = False
    embedding_dropout: float = 0.0
    input_dropout: float = 0.5  # Zaremba 2014, medium
    recurrent_dropout: float = 0.0
    output_dropout: float = 0.5  # Zaremba 2014, medium
    init: float = 0.05  # Zaremba 2014, medium

    def __post_init__(self) -> None:
        self.require("base", 2 <= self.base <= 12, "from 2 to 12")
        check_fields(self, positive=("layers", "parameters", "units"))

    @property
    def indices(self) -> tuple[int, ...]:
        """The numbers of the tree's nodes."""
        return tuple(range(2 * self.base - 1))

    @property
    def vocabularies(self) -> Mapping[str, tuple[Option, ...]]:
        return {"combine": COMBINE, "activation": ACTIVATIONS, "index": self.indices}

    def decide(self) -> Program:
        words = self.vocabularies
        for node in (*self.indices, "inject"):
            for field in FIELDS:
                yield Choice(f"{node}/{field}", words[field], vocabulary=field)
        for index in ("first", "second"):
            yield Choice(f"index/{index}", words["index"], vocabulary="index")

    def from_tokens(self, tokens: Sequence[str | int]) -> Architecture:
        """Read the tokens of a cell in the order in which they are asked."""
        names = [question.name for question in questions(self)]
        if len(tokens) != len(names):
            raise SpaceError(f"a cell of base {self.base} has {len(names)} tokens, not {len(tokens)}")
        return replay(self, dict(zip(names, tokens, strict=True)))

    def tree(self, architecture: Architecture) -> Tree:
        """Return the cell as a value that can be run."""
        from archwright.nets.recurrence import Node, Tree

        def node(name: object) -> Node:
            return Node(*(str(architecture[f"{name}/{field}"]) for field in FIELDS))

        first, second = (int(str(architecture[f"index/{which}"])) for which in ("first", "second"))
        return Tree(tuple(node(index) for index in self.indices), node("inject"), first, second)

    def network(self, open: Open, task: TextTask) -> nn.Module:
        from archwright.nets.recurrent import TreeCell

        tree = self.tree(only(self, open))
        return self.language_model(functools.partial(TreeCell, tree), task, 2 * self.base)

    def reference(self, task: TextTask) -> nn.Module:
        """Build an LSTM of as many parameters, with the same dropout, to compare with."""
        return self.lstm(task)

    def graphs(self, architecture: Architecture) -> tuple[Graph, ...]:
        return (_graph(self.tree(architecture)),)


# TensorFlow's NASCell, the cell that the paper found with base 8 (A5 of the tokens as derived from its code).
NAS_CELL: tuple[str | int, ...] = (
    *("add", "sigmoid", "add", "relu", "add", "sigmoid", "elem_mult", "relu"),
    *("add", "tanh", "add", "sigmoid", "add", "tanh", "add", "sigmoid"),
    *("elem_mult", "tanh", "add", "tanh", "elem_mult", "tanh", "add", "sigmoid"),
    *("elem_mult", "identity", "add", "tanh", "elem_mult", "tanh"),
    *("add", "tanh", 12, 8),
)


def _graph(tree: Tree) -> Graph:
    nodes = [Node("x", "x[t]", "input"), Node("h", "h[t-1]", "input"), Node("c", "c[t-1]", "input")]
    edges: list[Edge] = []
    for index, node in enumerate(tree.nodes):
        name, child = str(index), 2 * (index - tree.leaves)
        sources = ("x", "h") if child < 0 else (_output(tree, child), _output(tree, child + 1))
        nodes += [Node(f"{name}/sum", JOINS[node.combine], "combine"), Node(name, node.activation)]
        edges += [Edge(s, f"{name}/sum") for s in sources] + [Edge(f"{name}/sum", name)]
        if index == tree.second:
            nodes += [Node("inject/sum", JOINS[tree.inject.combine], "combine")]
            nodes += [Node("inject", tree.inject.activation)]
            edges += [Edge(name, "inject/sum"), Edge("c", "inject/sum"), Edge("inject/sum", "inject")]
    nodes += [Node("h[t]", "h[t]", "output"), Node("c[t]", "c[t]", "output")]
    edges += [Edge(_output(tree, len(tree.nodes) - 1), "h[t]"), Edge(f"{tree.first}/sum", "c[t]")]
    return Graph("recurrent cell", tuple(nodes), tuple(edges))


def _output(tree: Tree, index: int) -> str:
    return "inject" if index == tree.second else str(index)
