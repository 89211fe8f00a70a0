"""The macro space of ENAS (Pham et al. 2018, section 2.3): a whole network, layer by layer, with skip connections."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from archwright.errors import SpaceError
from archwright.graph import Edge, Graph, Node
from archwright.space import Architecture, Choice, Links, Open, Option, Program, Space, Task, replay
from archwright.spaces.settings import check_fields, settings

if TYPE_CHECKING:
    from torch import nn

    from archwright.nets.macro import Wiring
# In the order of the official code's numbers (README and general_child.py).
OPERATIONS = ("conv_3x3", "sep_3x3", "conv_5x5", "sep_5x5", "avg_3x3", "max_3x3")
STEM = "stem"


@dataclass(frozen=True)
class EnasMacro(Space):
    """Layers of one operation each; every layer reads the one before it, and skips may add any earlier output.

    Asked per layer: the operation, then a set of earlier outputs (a `Links` step, which is an anchor). Links are the
    official code's: the layer before is always read, so it is not asked for, and the stem may be picked. The anchor
    written at layer k stands for what layer k reads, the stem for layer 1: with the paper's words, "previous indices".
    Layer k has k - 1 links; 12 layers give 6^12 * 2^66 = 1.6e29 architectures, as published.

    The official search adds skips up; the paper, its final networks and this space concatenate them and bring them back
    to their width by a 1x1 convolution, so that search and final training have the same network.

    Args:
        layers: of one operation each.
        operations: names in `archwright.nets.macro.LAYER_OPERATIONS` or `archwright.nets.ops.OPERATIONS`.
        filters: channels of the first layers.
        stem_stride: 1, 2 or 4: the layers see the image at that fraction of its size, at a fraction of the cost.
        double: halving a map doubles its channels.
        statistics: of BatchNorm: "batch" while weights are shared, "running" in a delivered model.
        dropout: before the classifier.
    """

    name: ClassVar[str] = "enas-macro"
    reads: ClassVar[tuple[str, ...]] = ("layers", "operations")
    # cifar10_macro_final.sh; there maps that are halved are doubled in width
    delivered: ClassVar[Mapping[str, Any]] = {"filters": 96, "double": True, "statistics": "running", "dropout": 0.5}

    layers: int = 12  # ENAS 2018, section 3.2
    operations: tuple[str, ...] = OPERATIONS
    filters: int = 36  # cifar10_macro_search.sh
    stem_stride: int = 1
    double: bool = False  # official code: in the fixed network only
    statistics: Literal["batch", "running"] = "batch"
    dropout: float = 0.1  # cifar10_macro_search.sh: keep 0.9

    def __post_init__(self) -> None:
        check_fields(self, positive=("layers", "filters"), different=("operations",))

    @property
    def vocabularies(self) -> Mapping[str, tuple[Option, ...]]:
        return {"op": self.operations}

    @property
    def shares_weights(self) -> bool:
        return True

    @property
    def halve_after(self) -> tuple[int, ...]:
        """The layers after which maps are halved: at a third and at two thirds (C3)."""
        third = self.layers // 3
        return (third, 2 * third) if third else ()

    def decide(self) -> Program:
        anchors: tuple[str, ...] = ()
        for layer in range(1, self.layers + 1):
            yield Choice(f"{layer}/op", self.operations, vocabulary="op")
            read = _name(layer - 1)
            yield Links(f"{layer}/skips", among=anchors, anchor=read)
            anchors = (*anchors, read)

    def network(self, open: Open, task: Task) -> nn.Module:
        from archwright.nets.macro import MacroNetwork
        from archwright.nets.network import use_batch_statistics

        options = []
        for layer in range(1, self.layers + 1):
            skips = [_state(anchor) for anchor, states in open.links(f"{layer}/skips").items() if True in states]
            options.append((open[f"{layer}/op"], tuple(skips)))
        wire = functools.partial(wiring, layers=self.layers)
        network = MacroNetwork(
            options,
            wire(open.architecture) if open.architecture is not None else None,
            wire,
            task,
            **settings(self, "filters", "stem_stride", "halve_after", "double", "dropout"),
        )
        if self.statistics == "batch":
            use_batch_statistics(network)
        return network

    def from_compact(self, text: str) -> Architecture:
        """Read `OP | OP:BITS | ...`, one part a layer: the official numbers of operations, and a bit for each output
        from the stem to the one before the last, 1 if the layer skips to it."""
        parts = [part.strip() for part in text.split("|")]
        if len(parts) != self.layers:
            raise SpaceError(f"an architecture of {self.layers} layers has as many parts between |, not {len(parts)}")
        answers: dict[str, Any] = {}
        for layer, part in enumerate(parts, start=1):
            op, _, bits = part.partition(":")
            last = len(self.operations) - 1
            if not op.isdecimal() or int(op) > last:
                raise SpaceError(f"layer {layer}: {op!r} is not an operation; there are 0 to {last}")
            if len(bits) != layer - 1 or set(bits) - {"0", "1"}:
                raise SpaceError(f"layer {layer} must have {layer - 1} bits after a colon, not {bits!r}")
            answers[f"{layer}/op"] = self.operations[int(op)]
            answers[f"{layer}/skips"] = tuple(_name(state) for state, bit in enumerate(bits) if bit == "1")
        return replay(self, answers)

    def to_compact(self, architecture: Architecture) -> str:
        """Write the text that `from_compact` reads."""
        parts = []
        for layer, (op, skips) in enumerate(wiring(architecture, self.layers), start=1):
            bits = "".join("1" if state in skips else "0" for state in range(layer - 1))
            parts.append(f"{self.operations.index(op)}" + (f":{bits}" if bits else ""))
        return " | ".join(parts)

    def graphs(self, architecture: Architecture) -> tuple[Graph, ...]:
        nodes = [Node("0", "stem", "input")]
        edges: list[Edge] = []
        for number, (op, skips) in enumerate(wiring(architecture, self.layers), start=1):
            halved = ", then halved" if number in self.halve_after else ""
            nodes.append(Node(str(number), op.replace("_", " ") + halved, "operation"))
            edges += [Edge(str(state), str(number)) for state in (*skips, number - 1)]
        nodes.append(Node("output", "classifier", "output"))
        edges.append(Edge(str(self.layers), "output"))
        return (Graph("network", tuple(nodes), tuple(edges)),)


def _name(state: int) -> str:
    return STEM if state == 0 else str(state)


def _state(anchor: str) -> int:
    return 0 if anchor == STEM else int(anchor)


@functools.lru_cache(maxsize=1024)
def wiring(architecture: Architecture, layers: int) -> Wiring:
    """Return for each layer its operation and the states it skips to (0: the stem)."""
    found = []
    for layer in range(1, layers + 1):
        skips = architecture[f"{layer}/skips"]
        assert isinstance(skips, tuple)
        found.append((str(architecture[f"{layer}/op"]), tuple(_state(str(anchor)) for anchor in skips)))
    return tuple(found)


# The architecture of cifar10_macro_final.sh, 24 layers.
ENAS_MACRO_24 = (
    "0 | 3:0 | 0:10 | 2:001 | 2:0000 | 3:11010 | 2:000001 | 2:0110111 | 1:01110101 | 0:000000000 | 2:0000010000 | "
    "0:10011000011 | 2:010000010110 | 1:0010001110101 | 0:11010100000100 | 2:001000000010101 | 2:0100010011110010 | "
    "2:00001010100101001 | 3:011010000010101000 | 3:0110000000001100001 | 0:10010110001000001100 | "
    "3:010110010110110100100 | 0:1010100000000101001000 | 0:11000111010001010011000"
)
