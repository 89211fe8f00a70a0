"""The micro space of ENAS (Pham et al. 2018, section 2.4): a normal and a reduction cell, repeated."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from archwright.errors import SpaceError
from archwright.graph import Graph
from archwright.space import (
    Anchor,
    Architecture,
    Choice,
    Link,
    Open,
    Option,
    Program,
    Space,
    Task,
    replay,
)
from archwright.spaces.cell_graph import SIDES, cell_graph
from archwright.spaces.paths import paths, used
from archwright.spaces.settings import check_fields, settings

if TYPE_CHECKING:
    from torch import nn

    from archwright.nets.cell import Operands, Wiring
CELLS = ("normal", "reduction")
OPERATIONS = ("sep_3x3", "sep_5x5", "avg_3x3", "max_3x3", "identity")  # in the order of the official code's numbers


@dataclass(frozen=True)
class EnasMicro(Space):
    """Cells of `nodes` nodes: each adds two operations, each applied to one earlier node or one of the two inputs.

    Asked per node: left and right link, left and right operation, then an anchor step; the two inputs are given
    anchors (official code; the paper does not say in which order). The defaults are the official search's;
    `final()` gives the settings of the official final network.

    Counting: 5 nodes give (25^5 * (2*3*4*5*6)^2)^2 = 2.56e25 answer lists. The paper's 1.3e11 is (5 * 5!)^4, which
    counts other things: papers that quote it are not wrong about this space, they count fewer of its answers.

    Args:
        nodes: computed nodes per cell; the paper's B counts the two inputs too, so its B = 7 is 5 here.
        operations: names in `archwright.nets.ops.OPERATIONS`.
        repeats: normal cells before, between and after the two reduction cells; the official `num_layers` is 3 x this.
        filters: channels of the first cells.
        stem_stride: 1, 2 or 4: the cells see the image at that fraction of its size, at a fraction of the cost.
        ends: how loose ends are joined: "project" (fixed width, needed to share weights) or "concatenate".
        reduction: "before" (a factorised reduction, then the cell at stride 1) or "strided".
        base: one more 1x1 convolution on the newer input of each cell, as in the official final network.
        statistics: of BatchNorm: "batch" while weights are shared, "running" in a delivered model.
        auxiliary: an auxiliary head in training.
        dropout: before the classifier.
        drop_path_keep: of scheduled drop path, at the last cell at the end of training.
    """

    name: ClassVar[str] = "enas-micro"
    reads: ClassVar[tuple[str, ...]] = ("nodes", "operations")

    nodes: int = 5  # ENAS 2018, section 2.4: B = 7 with the two inputs
    operations: tuple[str, ...] = OPERATIONS
    repeats: int = 2  # cifar10_micro_search.sh: num_layers 6
    filters: int = 20  # cifar10_micro_search.sh
    stem_stride: int = 1
    ends: Literal["project", "concatenate"] = "project"
    reduction: Literal["before", "strided"] = "before"
    base: bool = False
    statistics: Literal["batch", "running"] = "batch"
    auxiliary: bool = True
    dropout: float = 0.1  # cifar10_micro_search.sh: keep 0.9
    drop_path_keep: float = 1.0  # the official code applies drop path in fixed networks only

    def __post_init__(self) -> None:
        check_fields(self, positive=("nodes", "repeats", "filters"), different=("operations",))

    @property
    def vocabularies(self) -> Mapping[str, tuple[Option, ...]]:
        """One vocabulary: the operations."""
        return {"op": self.operations}

    @property
    def shares_weights(self) -> bool:
        """Only projected ends have a width that does not depend on the architecture."""
        return self.ends == "project"

    def decide(self) -> Program:
        """Per cell: two given anchors, then per node two links, two operations and an anchor (C4)."""
        for cell in CELLS:
            anchors: tuple[str, ...] = (f"{cell}/0", f"{cell}/1")
            for anchor in anchors:
                yield Anchor(anchor, given=True)
            for node in range(2, self.nodes + 2):
                for side in SIDES:
                    yield Link(f"{cell}/{node}/{side}", among=anchors)
                for side in SIDES:
                    yield Choice(f"{cell}/{node}/{side}/op", self.operations, vocabulary="op")
                yield Anchor(f"{cell}/{node}")
                anchors = (*anchors, f"{cell}/{node}")

    def final(self, **changes: Any) -> EnasMicro:
        """Return the official final network's space (cifar10_micro_final.sh): 17 cells, 36 filters, concatenated."""
        published = {
            "repeats": 5,
            "filters": 36,
            "ends": "concatenate",
            "reduction": "strided",
            "base": True,
            "statistics": "running",
            "dropout": 0.2,  # keep 0.8
            "drop_path_keep": 0.6,
        }
        return dataclasses.replace(self, **{**published, **changes})

    def features(self, architecture: Architecture) -> Mapping[str, Mapping[Any, float]]:
        """Return the operation paths of each cell, to its loose ends, and how often each operation is used."""
        cells = wiring(architecture, self.nodes)
        found: dict[str, Mapping[Any, float]] = {}
        for cell, nodes in cells.items():
            used_states = {source for node in nodes for source, _ in node}
            ends = [state for state in range(self.nodes + 2) if state not in used_states]
            found[f"{cell} paths"] = paths((0, 1), enumerate(nodes, start=2), ends)
        found["operations"] = used({cell: [op for node in nodes for _, op in node] for cell, nodes in cells.items()})
        return found

    def network(self, open: Open, task: Task) -> nn.Module:
        """Build the supernet, or the child of the only architecture that is open. See `archwright.nets.skeleton`."""
        from archwright.nets.network import use_batch_statistics
        from archwright.nets.skeleton import CellNetwork

        fixed = wiring(open.architecture, self.nodes) if open.architecture is not None else None
        if fixed is None and not self.shares_weights:
            raise SpaceError(
                f"{self.name}: with ends={self.ends!r} the width of a cell depends on the architecture, so weights "
                "cannot be shared; use ends='project'"
            )
        network = CellNetwork(
            {cell: [self._operands(open, cell, node) for node in range(2, self.nodes + 2)] for cell in CELLS},
            fixed,
            functools.partial(wiring, nodes=self.nodes),
            task,
            **settings(self, "repeats", "filters", "stem_stride", "ends", "reduction", "base", "auxiliary"),
            **settings(self, "dropout", "drop_path_keep"),
        )
        if self.statistics == "batch":
            use_batch_statistics(network)
        return network

    def _operands(self, open: Open, cell: str, node: int) -> tuple[Operands, ...]:
        from archwright.nets.cell import Operands

        return tuple(
            Operands(
                tuple(_state(anchor) for anchor in open[f"{cell}/{node}/{side}"]), open[f"{cell}/{node}/{side}/op"]
            )
            for side in SIDES
        )

    def from_arc(self, normal: str, reduction: str) -> Architecture:
        """Read the official code's arc strings: per node, `index operation index operation` (input 0 is the older)."""
        answers: dict[str, Any] = {}
        for cell, text in zip(CELLS, (normal, reduction), strict=True):
            numbers = _numbers(text, 4 * self.nodes, f"the {cell} arc")
            for node in range(self.nodes):
                for position, side in enumerate(SIDES):
                    source, op = numbers[4 * node + 2 * position :][:2]
                    if op >= len(self.operations):
                        raise SpaceError(
                            f"the {cell} arc has operation {op}; there are 0 to {len(self.operations) - 1}"
                        )
                    answers[f"{cell}/{node + 2}/{side}"] = f"{cell}/{source}"
                    answers[f"{cell}/{node + 2}/{side}/op"] = self.operations[op]
        return replay(self, answers)

    def to_arc(self, architecture: Architecture) -> tuple[str, str]:
        """Write the arc strings (normal, reduction) that `from_arc` reads."""
        cells = wiring(architecture, self.nodes)
        normal, reduction = (
            " ".join(f"{source} {self.operations.index(op)}" for node in cells[cell] for source, op in node)
            for cell in CELLS
        )
        return normal, reduction

    def graphs(self, architecture: Architecture) -> tuple[Graph, ...]:
        """One drawing per cell."""
        return tuple(cell_graph(cell, nodes) for cell, nodes in wiring(architecture, self.nodes).items())


@functools.lru_cache(maxsize=256)
def _state(anchor: str) -> int:
    return int(anchor.rsplit("/", 1)[1])


def _numbers(text: str, length: int, what: str) -> list[int]:
    try:
        numbers = [int(part) for part in text.split()]
    except ValueError:
        raise SpaceError(f"{what} must be whole numbers, not {text!r}") from None
    if len(numbers) != length or min(numbers) < 0:
        raise SpaceError(f"{what} must have {length} numbers from 0 up, not {text!r}")
    return numbers


@functools.lru_cache(maxsize=1024)
def wiring(architecture: Architecture, nodes: int) -> dict[str, Wiring]:
    """For each cell, the operands (source state, operation) of each node."""
    return {
        cell: tuple(
            [
                tuple([(_state(str(architecture[link])), str(architecture[op])) for link, op in operands])
                for operands in node_names
            ]
        )
        for cell, node_names in _names(nodes).items()
    }


@functools.lru_cache(maxsize=16)
def _names(nodes: int) -> dict[str, list[list[tuple[str, str]]]]:
    """For each cell and node, the names of the link and of the operation on each side."""
    return {
        cell: [
            [(f"{cell}/{node}/{side}", f"{cell}/{node}/{side}/op") for side in SIDES] for node in range(2, nodes + 2)
        ]
        for cell in CELLS
    }
