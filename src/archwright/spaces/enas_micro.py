"""The micro space of ENAS (Pham et al. 2018, section 2.4): a normal and a reduction cell, repeated."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from archwright.errors import SpaceError
from archwright.graph import Graph
from archwright.space import Anchor, Architecture, Choice, Link, Open, Option, Program, Space, Task, replay
from archwright.spaces.cells import CELLS, SIDES, cell_graph, operands, soft_sides, wiring
from archwright.spaces.magnitudes import of_cells
from archwright.spaces.paths import Path, chosen, paths, used
from archwright.spaces.settings import check_fields, settings, whole_numbers

if TYPE_CHECKING:
    from torch import nn
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
    # cifar10_micro_final.sh: 17 cells
    delivered: ClassVar[Mapping[str, Any]] = {
        **{"repeats": 5, "filters": 36, "ends": "concatenate", "reduction": "strided", "base": True},
        **{"statistics": "running", "dropout": 0.2, "drop_path_keep": 0.6},  # dropout: keep 0.8
    }

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
        return {"op": self.operations}

    @property
    def shares_weights(self) -> bool:
        return self.ends == "project"  # then no width depends on the architecture

    @property
    def mixes(self) -> bool:
        return self.shares_weights

    def decide(self) -> Program:
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

    def features(self, architecture: Architecture) -> Mapping[str, Mapping[Any, float]]:
        """Return the operation paths of each cell, to its loose ends, and how often each operation is used."""
        ways = _ways(architecture, self.nodes)
        found: dict[str, Mapping[Any, float]] = {f"{cell} paths": own for cell, own in ways.items()}
        found["operations"] = used(chosen(wiring(architecture, self.nodes)))
        return found

    def magnitudes(self, architecture: Architecture) -> Mapping[str, float]:
        """Return the weights of its cells, and what lies on the ways through each."""
        return of_cells(_ways(architecture, self.nodes), chosen(wiring(architecture, self.nodes)), self.filters)

    def network(self, open: Open, task: Task) -> nn.Module:
        from archwright.nets.network import use_batch_statistics
        from archwright.nets.skeleton import CellNetwork

        wire: Any = functools.partial(soft_sides if open.mixed else wiring, nodes=self.nodes)
        fixed = wire(open.architecture) if open.architecture is not None else None
        if fixed is None and not self.shares_weights:
            raise SpaceError(
                f"{self.name}: with ends={self.ends!r} the width of a cell depends on the architecture, so weights "
                "cannot be shared; use ends='project'"
            )
        network = CellNetwork(
            operands(open, self.nodes),
            fixed,
            wire,
            task,
            **settings(self, "repeats", "filters", "stem_stride", "ends", "reduction", "base", "auxiliary"),
            **settings(self, "dropout", "drop_path_keep"),
        )
        if self.statistics == "batch":
            use_batch_statistics(network)
        return network

    def from_arc(self, normal: str, reduction: str) -> Architecture:
        """Read the official code's arc strings: per node, `index operation index operation` (input 0 is the older)."""
        answers: dict[str, Any] = {}
        for cell, text in zip(CELLS, (normal, reduction), strict=True):
            numbers = iter(whole_numbers(text, 4 * self.nodes, f"the {cell} arc"))
            for name in [f"{cell}/{node}/{side}" for node in range(2, self.nodes + 2) for side in SIDES]:
                source, op = next(numbers), next(numbers)
                if op >= len(self.operations):
                    raise SpaceError(f"the {cell} arc has operation {op}; there are 0 to {len(self.operations) - 1}")
                answers |= {name: f"{cell}/{source}", f"{name}/op": self.operations[op]}
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
        return tuple(cell_graph(cell, nodes) for cell, nodes in wiring(architecture, self.nodes).items())


@functools.lru_cache(maxsize=4096)
def _ways(architecture: Architecture, nodes: int) -> dict[str, dict[Path, int]]:
    from archwright.nets.wiring import loose_ends

    cells = wiring(architecture, nodes)
    return {cell: paths((0, 1), enumerate(own, start=2), loose_ends(own)) for cell, own in cells.items()}
