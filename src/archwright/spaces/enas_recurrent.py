"""The recurrent space of ENAS (Pham et al. 2018, section 2.1): a chain of nodes with highway connections."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from archwright.errors import SpaceError
from archwright.graph import Edge, Graph, Node
from archwright.space import Anchor, Architecture, Choice, Link, Open, Option, Program, TextTask, replay
from archwright.spaces.language import LanguageSpace
from archwright.spaces.settings import check_fields, whole_numbers

if TYPE_CHECKING:
    from torch import nn

    from archwright.nets.recurrence import Chain
ACTIVATIONS = ("tanh", "relu", "identity", "sigmoid")  # in the order of the official code's numbers


@dataclass(frozen=True)
class EnasRecurrent(LanguageSpace):
    """Cells of `nodes` nodes: node 1 reads x(t) and h(t-1), every other one earlier node; each has an activation.

    Asked: the activation of node 1, then per node its input and its activation; every node ends in an anchor step. The
    mathematics, with its highway connections, is in `archwright.nets.recurrence`. A network is a language model of
    `layers` such cells. Weights are shared: one matrix pair for every ordered pair of nodes.

    The paper counts 4^N * N! architectures; node 1 has no input to choose, so these are 4^N * (N - 1)!.

    Args:
        nodes: of a cell.
        averaged: h(t) is the mean of the "loose" ends (the paper), or of "all" nodes but the first (google-research's
            enas_lm, whose cells are given so).
        apart: a node has a matrix for each of its activations, not one for all of them, while weights are shared: they
            order cells better so (docs/enas.md). The paper's share.
        normalised: normalise h(t) over the batch, which steadies shared weights; a delivered model goes without.
        layers: of the language model.
        units: of every layer, and of the embedding.
        parameters: instead of `units`: the most that a child may have, the largest child of a search.
        tied: the classifier's matrix is the embedding's.
        embedding_dropout, input_dropout, recurrent_dropout, output_dropout: see `archwright.nets.language`.
        init: weights are uniform in [-init, init].
    """

    name: ClassVar[str] = "enas-recurrent"
    reads: ClassVar[tuple[str, ...]] = ("nodes",)
    # enas_lm's final run; the normalisation is the shared weights'
    delivered: ClassVar[Mapping[str, Any]] = {"normalised": False, "input_dropout": 0.175, "recurrent_dropout": 0.225}

    nodes: int = 12  # ENAS 2018, section 3.1
    averaged: Literal["loose", "all"] = "loose"
    apart: bool = False
    normalised: bool = True
    layers: int = 1
    units: int | None = 1000  # carpedm20; the paper gives 24M parameters for the final model only
    parameters: int = 24_000_000  # ENAS 2018, table 1
    tied: bool = True  # ENAS 2018, section 3.1
    embedding_dropout: float = 0.0
    input_dropout: float = 0.2  # enas_lm, search.py
    recurrent_dropout: float = 0.25  # the same
    output_dropout: float = 0.75  # the same
    init: float = 0.04  # the same is 0.05 to 0.04 by size; no other source says

    def __post_init__(self) -> None:
        check_fields(self, positive=("nodes", "layers", "parameters", "units"))
        self.require("averaged", self.averaged in ("loose", "all"), "'loose' or 'all'")
        self.require("averaged", self.averaged == "loose" or self.nodes > 1, "'loose' for a cell of one node")

    @property
    def vocabularies(self) -> Mapping[str, tuple[Option, ...]]:
        return {"activation": ACTIVATIONS}

    @property
    def shares_weights(self) -> bool:
        return True

    def decide(self) -> Program:
        anchors: tuple[str, ...] = ()
        for node in range(1, self.nodes + 1):
            if anchors:
                yield Link(f"{node}/input", among=anchors)
            yield Choice(f"{node}/activation", ACTIVATIONS, vocabulary="activation")
            yield Anchor(str(node))
            anchors = (*anchors, str(node))

    def network(self, open: Open, task: TextTask) -> nn.Module:
        from archwright.nets.recurrent import HighwayCell

        pairs = [(node, int(source)) for node in range(2, self.nodes + 1) for source in open[f"{node}/input"]]
        fixed = self.chain(open.architecture) if open.architecture is not None else None
        names = {node: [str(a) for a in open[f"{node}/activation"]] for node in range(2, self.nodes + 1)}
        own: dict[str, Any] = {"activations": names if self.apart else None, "normalised": self.normalised}
        make = functools.partial(HighwayCell, pairs, fixed, self.chain, **own)
        return self.language_model(make, task, self._matrices)

    def reference(self, task: TextTask) -> nn.Module:
        """Build an LSTM of as many parameters as a child, with the same dropout, to compare with."""
        return self.lstm_like(task, self._matrices)

    @property
    def _matrices(self) -> int:
        return 2 * (self.nodes + 1)  # units x units, of a child's layer

    def chain(self, architecture: Architecture) -> Chain:
        """Return the cell as a value that can be run."""
        return _chain(architecture, self.nodes, self.averaged)

    def from_tokens(self, text: str) -> Architecture:
        """Read the official code's string: the activation of node 1, then per node the number of its input (0 is node
        1) and its activation: 0 tanh, 1 relu, 2 identity, 3 sigmoid."""
        numbers = whole_numbers(text, 2 * self.nodes - 1, f"a cell of {self.nodes} nodes")
        return self._from_numbers((0, *numbers), ACTIVATIONS)

    def from_pairs(self, text: str) -> Architecture:
        """Read a string of google-research's enas_lm: per node from the second its input and its activation: 0 tanh, 1
        relu, 2 sigmoid, 3 identity. Node 1 is tanh there, and h the mean of all other nodes (`averaged`)."""
        numbers = whole_numbers(text, 2 * self.nodes - 2, f"a cell of {self.nodes} nodes")
        return self._from_numbers((0, 0, *numbers), ("tanh", "relu", "sigmoid", "identity"))

    def _from_numbers(self, numbers: Sequence[int], activations: Sequence[str]) -> Architecture:
        answers: dict[str, Any] = {}
        for node in range(1, self.nodes + 1):
            source, activation = numbers[2 * node - 2 : 2 * node]
            if activation >= len(activations):
                raise SpaceError(f"node {node} has activation {activation}; there are 0 to {len(activations) - 1}")
            answers[f"{node}/activation"] = activations[activation]
            if node > 1:
                answers[f"{node}/input"] = str(source + 1)
        return replay(self, answers)

    def graphs(self, architecture: Architecture) -> tuple[Graph, ...]:
        chain = self.chain(architecture)
        nodes = [Node("x", "x[t]", "input"), Node("h", "h[t-1]", "input")]
        nodes += [Node(str(i), name, "operation") for i, name in enumerate(chain.activations, start=1)]
        edges = [Edge("x", "1"), Edge("h", "1")]
        edges += [Edge(str(source), str(node)) for node, source in enumerate(chain.sources, start=2)]
        nodes.append(Node("output", "mean", "output"))
        edges += [Edge(str(node), "output") for node in chain.averaged]
        return (Graph("recurrent cell", tuple(nodes), tuple(edges)),)


@functools.lru_cache(maxsize=1024)
def _chain(architecture: Architecture, nodes: int, averaged: str) -> Chain:
    from archwright.nets.recurrence import Chain, loose_ends

    sources = tuple(int(str(architecture[f"{node}/input"])) for node in range(2, nodes + 1))
    activations = tuple(str(architecture[f"{node}/activation"]) for node in range(1, nodes + 1))
    return Chain(sources, activations, loose_ends(sources) if averaged == "loose" else tuple(range(2, nodes + 1)))


# The cell that the official repository gives for Penn Treebank (its README warns that the code there is wrong), and the
# one of google-research's enas_lm, 8 nodes after the first.
ENAS_CELL_12 = "0 0 0 1 1 2 1 2 0 2 0 5 1 1 0 6 1 8 1 8 1 8 1"
ENAS_CELL_LM = "0 2 1 0 2 1 2 2 4 0 5 0 3 2 6 2"
