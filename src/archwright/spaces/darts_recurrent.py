"""The recurrent space of DARTS (Liu et al. 2019, section 3.1.2): ENAS's chain of nodes, one matrix for each node."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from archwright.errors import SpaceError
from archwright.graph import Edge, Graph, Node
from archwright.space import Anchor, Architecture, Choice, Link, Open, Option, Program, TextTask, check, replay
from archwright.spaces.edges import NONE, kept_edges, one_hot
from archwright.spaces.language import LanguageSpace
from archwright.spaces.settings import check_fields

if TYPE_CHECKING:
    from torch import Tensor, nn

    from archwright.nets.recurrence import Chain
ACTIVATIONS = ("tanh", "relu", "sigmoid", "identity")  # in the order of the official genotypes.py
Genes = Sequence["tuple[str, int]"]


@dataclass(frozen=True)
class DartsRecurrent(LanguageSpace):
    """Cells of `nodes` nodes, each reading one earlier node; node 0 is tanh and reads x(t) and h(t-1).

    Asked per node: its input, then its activation. h(t) is the mean of all nodes but node 0. All are highway
    connections, as in ENAS's cells; the matrix of a node is the same whatever it reads, so weights are shared.

    A gradient search weighs the activations of every edge, `none` among them, whose weights are called NODE/INPUT; a
    node keeps its strongest edge. Recurrent dropout is on what every matrix reads.

    The defaults are the official search's, and `final()` gives the official model of Penn Treebank. The dropouts of a
    layer's input are two masks there, of 0.2 and 0.75: together 0.8.

    Args:
        nodes: of a cell, beside node 0.
        normalised: every node is normalised over the batch, in the search; a delivered model goes without.
        layers: of the language model.
        units: of every layer, and of the embedding.
        parameters: instead of `units`: the most that a model may have.
        tied: the classifier's matrix is the embedding's.
        embedding_dropout, input_dropout, recurrent_dropout, output_dropout: see `archwright.nets.language`.
        init: weights are uniform in [-init, init].
    """

    name: ClassVar[str] = "darts-recurrent"
    reads: ClassVar[tuple[str, ...]] = ("nodes",)
    delivered: ClassVar[Mapping[str, Any]] = {  # rnn/train.py
        **{"normalised": False, "units": 850, "embedding_dropout": 0.1}
    }

    nodes: int = 8  # section 3.1.2
    normalised: bool = True  # section 3.1.2
    layers: int = 1
    units: int | None = 300  # rnn/train_search.py
    parameters: int = 23_000_000  # table 2
    tied: bool = True
    embedding_dropout: float = 0.0  # rnn/train_search.py, as those below
    input_dropout: float = 0.8
    recurrent_dropout: float = 0.25
    output_dropout: float = 0.75
    init: float = 0.04  # rnn/model.py; of the embedding 0.1 there

    def __post_init__(self) -> None:
        check_fields(self, positive=("nodes", "layers", "parameters", "units"))

    @property
    def vocabularies(self) -> Mapping[str, tuple[Option, ...]]:
        return {"activation": ACTIVATIONS}

    @property
    def shares_weights(self) -> bool:
        return True

    @property
    def mixes(self) -> bool:
        return True

    @property
    def mixture(self) -> Mapping[str, tuple[Option, ...]]:
        """The soft weights: the activations of each edge."""
        numbers = range(1, self.nodes + 1)
        return {f"{node}/{source}": (NONE, *ACTIVATIONS) for node in numbers for source in range(node)}

    def decide(self) -> Program:
        anchors: tuple[str, ...] = ("0",)
        yield Anchor("0")
        for node in range(1, self.nodes + 1):
            yield Link(f"{node}/input", among=anchors)
            yield Choice(f"{node}/activation", ACTIVATIONS, vocabulary="activation")
            yield Anchor(str(node))
            anchors = (*anchors, str(node))

    def discrete(self, soft: Mapping[str, Sequence[float]]) -> Architecture:
        """Return what soft weights stand for: the strongest edge of each node, `none` left out (section 2.4)."""
        genes: list[tuple[str, int]] = []
        for node in range(1, self.nodes + 1):
            weights = {source: soft[f"{node}/{source}"] for source in range(node)}
            [(source, activation)] = kept_edges(weights, (NONE, *ACTIVATIONS), keep=1)
            genes.append((activation, source))
        return self.from_genotype(genes)

    def one_hot(self, architecture: Architecture) -> Mapping[str, tuple[float, ...]]:
        """Return weights of 1 for the activations of an architecture's edges, and for `none` on the others."""
        check(self, architecture)
        read = {(node, source): name for node, (name, source) in enumerate(self.to_genotype(architecture), start=1)}
        return {
            f"{node}/{source}": one_hot(read.get((node, source), NONE), (NONE, *ACTIVATIONS))
            for node in range(1, self.nodes + 1)
            for source in range(node)
        }

    def network(self, open: Open, task: TextTask) -> nn.Module:
        from archwright.nets.node_cell import NodeCell

        make = functools.partial(
            NodeCell,
            self.nodes,
            (NONE, *ACTIVATIONS) if open.mixed else None,
            self.chain(open.architecture) if open.architecture is not None else None,
            self._soft_wiring if open.mixed else self.chain,
            normalised=self.normalised,
        )
        return self.language_model(make, task, self._matrices)

    def _soft_wiring(self, soft: Mapping[str, Any]) -> list[Tensor]:
        import torch

        nodes = range(1, self.nodes + 1)
        return [torch.stack([soft[f"{node}/{source}"] for source in range(node)]) for node in nodes]

    def reference(self, task: TextTask) -> nn.Module:
        """Build an LSTM of as many parameters as a child, with the same dropout, to compare with."""
        return self.lstm_like(task, self._matrices)

    @property
    def _matrices(self) -> int:
        return 2 * (self.nodes + 2)  # units x units, of a layer

    def chain(self, architecture: Architecture) -> Chain:
        """Return the cell as a value that can be run; its nodes count from 1."""
        return _chain(architecture, self.nodes)

    def from_genotype(self, recurrent: Genes) -> Architecture:
        """Read an official genotype: for each node its activation and the node that it reads."""
        if len(recurrent) != self.nodes:
            raise SpaceError(f"{len(recurrent)} nodes are given; the cell has {self.nodes}")
        answers: dict[str, Any] = {}
        for node, (activation, source) in enumerate(recurrent, start=1):
            answers |= {f"{node}/input": str(source), f"{node}/activation": activation}
        return replay(self, answers)

    def to_genotype(self, architecture: Architecture) -> list[tuple[str, int]]:
        """Write the nodes that `from_genotype` reads."""
        nodes = range(1, self.nodes + 1)
        return [(str(architecture[f"{n}/activation"]), int(str(architecture[f"{n}/input"]))) for n in nodes]

    def graphs(self, architecture: Architecture) -> tuple[Graph, ...]:
        genes = list(enumerate(self.to_genotype(architecture), start=1))
        nodes = [Node("x", "x[t]", "input"), Node("h", "h[t-1]", "input"), Node("0", "tanh", "operation")]
        nodes += [Node(str(node), activation, "operation") for node, (activation, _) in genes]
        edges = [Edge("x", "0"), Edge("h", "0"), *(Edge(str(source), str(node)) for node, (_, source) in genes)]
        nodes.append(Node("output", "mean", "output"))
        edges += [Edge(str(node), "output") for node, _ in genes]
        return (Graph("recurrent cell", tuple(nodes), tuple(edges)),)


@functools.lru_cache(maxsize=1024)
def _chain(architecture: Architecture, nodes: int) -> Chain:
    from archwright.nets.recurrence import Chain

    numbers = range(1, nodes + 1)
    sources = tuple(int(str(architecture[f"{node}/input"])) + 1 for node in numbers)
    activations = ("tanh", *(str(architecture[f"{node}/activation"]) for node in numbers))
    return Chain(sources, activations, tuple(range(2, nodes + 2)))
