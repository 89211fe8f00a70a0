"""The network of NAS-Bench-201 (Dong & Yang 2020): one cell in three stages, residual blocks of stride 2 between."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from jaxtyping import Float
from torch import Tensor, nn

from archwright.nets.feature_map import FeatureMap, apply
from archwright.nets.mixture import MixedOperation, Soft
from archwright.nets.network import Drawn, Images, Logits, Network, initialise, stem, wired
from archwright.nets.ops import OPERATIONS, Stacked
from archwright.space import Architecture, Task

STAGES = 3  # 16, 32 and 64 channels as published
# What the space's operations are called here: ReLU, convolution, BatchNorm; average pooling without the pixels outside.
NAMES = {"skip_connect": "identity", "nor_conv_1x1": "conv_1x1", "nor_conv_3x3": "conv_3x3", "avg_pool_3x3": "avg_3x3"}

Edge = tuple[int, int]  # source and target node
Chosen: TypeAlias = "Soft | Mapping[str, str]"  # by the edge's name


def make(name: str, channels: int, stride: int) -> nn.Module:
    """Build an operation of the space."""
    return OPERATIONS[NAMES[name]](channels, stride)


def answers_of(architecture: Architecture) -> dict[str, str]:
    """Return the operation of each edge by its name."""
    return {name: str(answer) for name, answer in architecture.answers}


class Reduction(nn.Module):
    """Two 3x3 convolutions, the first at stride 2, and the 2x2 means of the input by a 1x1 convolution.

    The official code's `ResNetBasicblock`: 3x3 convolutions follow a ReLU, and BatchNorm follows them.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = Stacked(inputs, outputs, 2, [(3, 3)])
        self.second = Stacked(outputs, outputs, 1, [(3, 3)])
        self.means = nn.AvgPool2d(2, 2, ceil_mode=True, count_include_pad=False)
        self.shortcut = nn.Conv2d(inputs, outputs, 1, bias=False)

    def forward(self, features: FeatureMap) -> Float[Tensor, "batch outputs half_h half_w"]:
        inner = FeatureMap(apply(self.first, features))
        joined: Tensor = self.shortcut(self.means(features.tensor)) + apply(self.second, inner)
        return joined


class Cell(nn.Module):
    """Nodes that are the sums of their edges; the last is the output.

    What is `chosen` of an edge: the weights of its operations, the name of one, or nothing where it has one.
    """

    def __init__(self, edges: Mapping[Edge, tuple[str, Sequence[str]]], channels: int, partial: int) -> None:
        super().__init__()
        self._edges = [(source, target, name) for (source, target), (name, _) in edges.items()]
        self.edges = nn.ModuleDict(
            {name: MixedOperation(operations, make, channels, partial=partial) for name, operations in edges.values()}
        )

    def drawn(self) -> Iterator[tuple[str, nn.Module]]:
        """Yield the operations of the edges as the cell's graph names these, then the whole cell."""
        for source, target, name in self._edges:
            yield from ((f"{source}{target}", made) for made in self.edges[name].operations.values())  # type: ignore[operator]
        yield "3", self

    def forward(self, features: FeatureMap, chosen: Chosen | None) -> FeatureMap:
        nodes, sums = {0: features}, dict[int, Tensor]()
        for source, target, name in self._edges:  # in the order of their targets
            if source not in nodes:
                nodes[source] = FeatureMap(sums[source])
            edge, given = self.edges[name], None if chosen is None else chosen[name]
            output = edge.single(nodes[source], given) if isinstance(given, str) else edge(nodes[source], given)  # type: ignore[operator]
            sums[target] = sums[target] + output if target in sums else output
        return FeatureMap(sums[target])


class NasBench201Network(Network):
    """Stem, `repeats` cells in each of three stages, a reduction between two of them, BatchNorm, ReLU, linear.

    `edges` has the name and the open operations of each edge. With several of them the network is a mixture if it is
    `mixed`, or else has the shared weights of all; a child has the `fixed` operation of each edge.
    """

    def __init__(
        self,
        edges: Mapping[Edge, tuple[str, Sequence[str]]],
        task: Task,
        *,
        filters: int,
        repeats: int,
        stem_stride: int,
        partial: int,
        mixed: bool,
        fixed: Mapping[str, str] | None,
    ) -> None:
        super().__init__()
        self._mixed, self._fixed, self._repeats = mixed, fixed, repeats
        self.stem = stem(task.channels, filters, stem_stride)
        self.cells, self.reductions = nn.ModuleList(), nn.ModuleList()
        for stage in range(STAGES):
            channels = filters * 2**stage
            if stage:
                self.reductions.append(Reduction(channels // 2, channels))
            self.cells.extend(Cell(edges, channels, partial) for _ in range(repeats))
        self.norm = nn.BatchNorm2d(channels)
        self.classify = nn.Linear(channels, task.classes)
        initialise(self)

    def drawn(self) -> Iterator[Drawn]:
        for cell in self.cells:
            yield from (("cell", node, edge) for node, edge in cell.drawn())  # type: ignore[operator]

    def with_auxiliary(self, x: Images, architecture: Architecture | Soft | None = None) -> tuple[Logits, None]:
        """Return logits and no auxiliary ones; a mixture is given its soft weights, shared weights an architecture."""
        chosen: Any = architecture if self._mixed else wired(self._fixed, answers_of, architecture)  # type: ignore[arg-type]
        features = FeatureMap(self.stem(x))
        for index, cell in enumerate(self.cells):
            if index and index % self._repeats == 0:
                features = FeatureMap(self.reductions[index // self._repeats - 1](features))
            features = cell(features, chosen)
        logits: Tensor = self.classify(self.norm(features.tensor).relu().mean(dim=(2, 3)))
        return logits, None
