"""The convolutional space of DARTS (Liu et al. 2019): cells whose nodes read two earlier states each."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from archwright.errors import SpaceError
from archwright.graph import Graph
from archwright.space import Architecture, Choice, Decision, Open, Option, Program, Space, Task, check, replay
from archwright.spaces.cells import CELLS, SIDES, cell_graph
from archwright.spaces.edges import NONE, kept_edges, one_hot, operands, pairs, wiring
from archwright.spaces.magnitudes import of_cells
from archwright.spaces.nasnet import LARGE
from archwright.spaces.paths import Path, chosen, paths, used
from archwright.spaces.settings import check_fields, settings

if TYPE_CHECKING:
    from torch import nn

    from archwright.nets.edges import SoftWiring
OPERATIONS = (  # in the order of the official genotypes.py, where `none` is before them
    *("max_pool_3x3", "avg_pool_3x3", "skip_connect", "sep_conv_3x3", "sep_conv_5x5", "dil_conv_3x3", "dil_conv_5x5"),
)
# An official genotype: operation and state read, two for each node; of the normal cell, then of the reduction cell.
Genes = Sequence["tuple[str, int]"]


@dataclass(frozen=True)
class Darts(Space):
    """Cells of `nodes` nodes: each is the sum of two edges, from two different earlier states, with an operation each.

    Asked per node: which two states, then the operation on the lower and on the higher one; states 0 and 1 are the
    outputs of the cell before the last and of the last one. The cell's output is all nodes together.

    A gradient search weighs the operations of every edge, `none` among them, whose weights are called CELL/NODE/STATE;
    a node keeps its two strongest edges. With `partial` channels an edge has a weight, too, under CELL/NODE
    (PC-DARTS's edge normalisation). Weights can be shared by sampled architectures as well.

    The defaults are the official search's network, and `final()` gives the official one for CIFAR-10. The
    official `layers` is 3 x `repeats` + 2: 8 cells in the search, 20 in the end, 14 for ImageNet.

    Args:
        nodes: per cell.
        operations: names in `archwright.nets.ops.OPERATIONS`.
        repeats: normal cells before, between and after the two reduction cells.
        filters: channels of the first cells; a cell's output has `nodes` times as many as its nodes.
        stem: "cifar" is a 3x3 convolution; "imagenet" three of them at stride 2; "auto" is "imagenet" from 128 pixels.
        stem_stride: of the "cifar" stem, 1, 2 or 4: the cells see the image at that fraction of its size.
        affine: BatchNorm in cells has scale and shift. Without them (the search), BatchNorm follows poolings, too.
        statistics: of BatchNorm: "batch" in the search, "running" in a delivered model.
        partial: the share 1 / `partial` of the channels passes through operations, the others pass by (PC-DARTS).
        checkpointed: the backward pass computes each cell again: less memory, a third more time.
        auxiliary: an auxiliary head in training.
        dropout: before the classifier.
        drop_path_keep: of scheduled drop path at the end of training, in all cells.
    """

    name: ClassVar[str] = "darts"
    reads: ClassVar[tuple[str, ...]] = ("nodes", "operations")
    delivered: ClassVar[Mapping[str, Any]] = {  # cnn/train.py: 20 cells
        **{"repeats": 6, "filters": 36, "affine": True, "statistics": "running", "auxiliary": True},
        **{"drop_path_keep": 0.8, "partial": 1, "checkpointed": False},
    }

    nodes: int = 4  # section 3.1: 7 with the two inputs and the output
    operations: tuple[str, ...] = OPERATIONS
    repeats: int = 2  # cnn/train_search.py: 8 layers
    filters: int = 16  # the same
    stem: Literal["auto", "cifar", "imagenet"] = "auto"
    stem_stride: int = 1
    affine: bool = False  # appendix A.1.1
    statistics: Literal["batch", "running"] = "batch"  # appendix A.1.1; the official code validates with running ones
    partial: int = 1
    checkpointed: bool = False
    auxiliary: bool = False
    dropout: float = 0.0
    drop_path_keep: float = 1.0

    def __post_init__(self) -> None:
        positive = ("nodes", "repeats", "filters", "partial")
        check_fields(self, positive=positive, different=("operations",))
        self.require("operations", NONE not in self.operations, "without 'none', which gradient search adds")
        self.require("stem", self.stem in ("auto", "cifar", "imagenet"), "'auto', 'cifar' or 'imagenet'")
        self.require("statistics", self.statistics in ("batch", "running"), "'batch' or 'running'")
        self.require("filters", self.filters % self.partial == 0, f"a multiple of partial, {self.partial}")
        twice = self.checkpointed and self.statistics == "running"  # which a pass would change twice
        self.require("checkpointed", not twice, "False with running statistics")

    @property
    def vocabularies(self) -> Mapping[str, tuple[Option, ...]]:
        return {"op": self.operations, **{f"inputs of {node}": pairs(node) for node in self._numbers}}

    @property
    def _numbers(self) -> range:
        return range(2, self.nodes + 2)

    @property
    def shares_weights(self) -> bool:
        return True

    @property
    def mixes(self) -> bool:
        return True

    @property
    def mixture(self) -> Mapping[str, tuple[Option, ...]]:
        """The soft weights: the operations of each edge and, with partial channels, the edges of each node."""
        weighed: dict[str, tuple[Option, ...]] = {}
        for cell, node in itertools.product(CELLS, self._numbers):
            if self.partial > 1:
                weighed[f"{cell}/{node}"] = tuple(map(str, range(node)))
            weighed |= {f"{cell}/{node}/{source}": (NONE, *self.operations) for source in range(node)}
        return weighed

    def decide(self) -> Program:
        for cell in CELLS:
            for node in range(2, self.nodes + 2):
                yield Choice(f"{cell}/{node}/inputs", pairs(node), vocabulary=f"inputs of {node}")
                for side in SIDES:
                    yield Choice(f"{cell}/{node}/{side}/op", self.operations, vocabulary="op")

    def role(self, question: Decision) -> str:
        return "link" if question.name.endswith("/inputs") else super().role(question)

    def discrete(self, soft: Mapping[str, Sequence[float]]) -> Architecture:
        """Return what soft weights stand for: the two strongest edges of each node, `none` left out (section 2.4)."""
        names = (NONE, *self.operations)
        cells = {
            cell: [kept_edges(self._strengths(soft, cell, node), names, keep=2) for node in self._numbers]
            for cell in CELLS
        }
        return self._wired(cells)

    def _strengths(self, soft: Mapping[str, Sequence[float]], cell: str, node: int) -> dict[int, list[float]]:
        whole = soft[f"{cell}/{node}"] if self.partial > 1 else [1.0] * node
        return {
            source: [float(whole[source]) * float(weight) for weight in soft[f"{cell}/{node}/{source}"]]
            for source in range(node)
        }

    def one_hot(self, architecture: Architecture) -> Mapping[str, tuple[float, ...]]:
        """Return weights of 1 for the operations of an architecture's edges, and for `none` on the others."""
        check(self, architecture)
        soft: dict[str, tuple[float, ...]] = {}
        for cell, nodes in wiring(architecture, self.nodes).items():
            for node, edges in enumerate(nodes, start=2):
                chosen = dict(edges)
                soft[f"{cell}/{node}"] = tuple(float(source in chosen) for source in range(node))
                for source in range(node):
                    name = chosen.get(source, NONE)
                    soft[f"{cell}/{node}/{source}"] = one_hot(name, (NONE, *self.operations))
        return {name: soft[name] for name in self.mixture}

    def features(self, architecture: Architecture) -> Mapping[str, Mapping[Any, float]]:
        """Return the operation paths of each cell to its nodes, and how often each operation is used."""
        ways = _ways(architecture, self.nodes)
        found: dict[str, Mapping[Any, float]] = {f"{cell} paths": own for cell, own in ways.items()}
        found["operations"] = used(chosen(wiring(architecture, self.nodes)))
        return found

    def magnitudes(self, architecture: Architecture) -> Mapping[str, float]:
        """Return the weights of its cells, and what lies on the ways through each."""
        return of_cells(_ways(architecture, self.nodes), chosen(wiring(architecture, self.nodes)), self.filters)

    def network(self, open: Open, task: Task) -> nn.Module:
        from archwright.nets.cell import DARTS
        from archwright.nets.network import remove_scales, use_batch_statistics
        from archwright.nets.skeleton import CellNetwork, SkeletonConfig

        large = self.stem == "imagenet" or (self.stem == "auto" and min(task.height, task.width) >= LARGE)
        wire: Any = self._soft_wiring if open.mixed else functools.partial(wiring, nodes=self.nodes)
        network = CellNetwork(
            {cell: [operands(open, f"{cell}/{node}", node) for node in self._numbers] for cell in CELLS},
            wiring(open.architecture, self.nodes) if open.architecture is not None else None,
            wire,
            task,
            **settings(self, "repeats", "filters", "stem_stride", "auxiliary", "dropout", "drop_path_keep"),
            ends="nodes",
            reduction="strided",
            base=False,
            variant=replace(DARTS, normed_pools=not self.affine, partial=self.partial),
            config=SkeletonConfig(
                stem="convolutions" if large else "convolution",
                auxiliary_after=0,
                valid_auxiliary=True,
                auxiliary_stride=2 if large else 3,
                auxiliary_norm=not large,  # left out by mistake, and kept for the published results (cnn/model.py)
                last_relu=False,
                depth_scaled=False,
                bias=True,
                start="torch",
            ),
            checkpointed=self.checkpointed,
        )
        if not self.affine:
            remove_scales(network.cells)
        if self.statistics == "batch":
            use_batch_statistics(network)
        return network

    def _soft_wiring(self, soft: Mapping[str, Any]) -> dict[str, SoftWiring]:
        return {
            cell: {
                (node, source): (
                    soft[f"{cell}/{node}/{source}"],
                    soft[f"{cell}/{node}"][source] if self.partial > 1 else None,
                )
                for node in self._numbers
                for source in range(node)
            }
            for cell in CELLS
        }

    def from_genotype(self, normal: Genes, reduction: Genes) -> Architecture:
        """Read an official genotype: for each cell operations with the states that they read, two for each node."""
        cells = {}
        for cell, genes in zip(CELLS, (normal, reduction), strict=True):
            if len(genes) != 2 * self.nodes:
                raise SpaceError(f"the {cell} cell has {len(genes)} edges; it must have {2 * self.nodes}, two a node")
            read = [(source, operation) for operation, source in genes]
            cells[cell] = [sorted(read[start : start + 2]) for start in range(0, len(read), 2)]
        return self._wired(cells)

    def to_genotype(self, architecture: Architecture) -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
        """Write the edges (normal, reduction) that `from_genotype` reads, a node's lower state first."""
        cells = wiring(architecture, self.nodes)
        normal, reduction = ([(op, source) for node in cells[cell] for source, op in node] for cell in CELLS)
        return normal, reduction

    def _wired(self, cells: Mapping[str, Sequence[Sequence[tuple[int, str]]]]) -> Architecture:
        answers: dict[str, Any] = {}
        for cell, nodes in cells.items():
            for node, edges in enumerate(nodes, start=2):
                answers[f"{cell}/{node}/inputs"] = ",".join(str(source) for source, _ in edges)
                answers |= {f"{cell}/{node}/{side}/op": op for side, (_, op) in zip(SIDES, edges, strict=True)}
        return replay(self, answers)

    def graphs(self, architecture: Architecture) -> tuple[Graph, ...]:
        return tuple(
            cell_graph(cell, nodes, kept=self._numbers, inputs=("c[k-2]", "c[k-1]"))
            for cell, nodes in wiring(architecture, self.nodes).items()
        )


@functools.lru_cache(maxsize=4096)
def _ways(architecture: Architecture, nodes: int) -> dict[str, dict[Path, int]]:
    ends = range(2, nodes + 2)
    return {cell: paths((0, 1), enumerate(own, start=2), ends) for cell, own in wiring(architecture, nodes).items()}
