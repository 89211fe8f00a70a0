"""The cell of NAS-Bench-201 (Dong & Yang 2020), the topology space of NATS-Bench: 15,625 architectures, all trained."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from archwright.errors import SpaceError
from archwright.graph import Edge, Graph, Node
from archwright.space import Architecture, Choice, Open, Option, Program, Space, Task, replay
from archwright.spaces.magnitudes import live, magnitude, of_ways, weights
from archwright.spaces.paths import Path, paths, used
from archwright.spaces.settings import check_fields, settings

if TYPE_CHECKING:
    from torch import nn

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")  # in the official order
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))  # (source, target), in the order of an arch string
NAMES = tuple(f"{target}<-{source}" for source, target in EDGES)  # as in the official code


@dataclass(frozen=True)
class NasBench201(Space):
    """A cell of 4 nodes, 0 the input and 3 the output, with one of 5 operations on each of its 6 edges.

    A node is the sum of its edges. The network has the published sizes (`nets.nas_bench_201`); in the search the
    BatchNorms of its cells have no scale, as in DARTS, and all use the statistics of their minibatch. Sampled
    architectures share its weights (ENAS), or a gradient search descends in the weights of its operations.

    Args:
        repeats: cells of each of the three stages; the paper's N.
        filters: channels of the first stage; each of the others has twice as many as the one before.
        stem_stride: 1, 2 or 4: the cells see the image at that fraction of its size.
        partial: K of partial channels (PC-DARTS: Xu et al. 2020); 1: off.
        affine: BatchNorms of the cells have scale and shift.
        statistics: of BatchNorm: "batch" in the search, "running" in a delivered model.
    """

    name: ClassVar[str] = "nas-bench-201"
    delivered: ClassVar[Mapping[str, Any]] = {"partial": 1, "affine": True, "statistics": "running"}

    repeats: int = 5  # Dong & Yang 2020, section 2.1, in the search too
    filters: int = 16
    stem_stride: int = 1
    partial: int = 1
    affine: bool = False
    statistics: Literal["batch", "running"] = "batch"

    def __post_init__(self) -> None:
        check_fields(self, positive=("repeats", "filters", "partial"))
        self.require("partial", self.filters % self.partial == 0, f"a divisor of filters, {self.filters}")

    @property
    def vocabularies(self) -> Mapping[str, tuple[Option, ...]]:
        return {"op": OPERATIONS}

    def decide(self) -> Program:
        for name in NAMES:
            yield Choice(name, OPERATIONS, vocabulary="op")

    @property
    def shares_weights(self) -> bool:
        return True

    @property
    def mixes(self) -> bool:
        return True

    def network(self, open: Open, task: Task) -> nn.Module:
        from archwright.nets.nas_bench_201 import NasBench201Network, answers_of
        from archwright.nets.network import remove_scales, use_batch_statistics

        fixed = None if open.architecture is None else answers_of(open.architecture)
        edges = {edge: (name, open[name]) for edge, name in zip(EDGES, NAMES, strict=True)}
        sizes = settings(self, "filters", "repeats", "stem_stride", "partial")
        network = NasBench201Network(edges, task, mixed=open.mixed, fixed=fixed, **sizes)
        if not self.affine:
            remove_scales(network.cells)
        if self.statistics == "batch":
            use_batch_statistics(network)
        return network

    def features(self, architecture: Architecture) -> Mapping[str, Mapping[Any, float]]:
        """Return its operation paths, and how often each operation is used."""
        operations = operations_on(architecture)
        return {"paths": _ways(operations), "operations": used({"cell": operations})}

    def magnitudes(self, architecture: Architecture) -> Mapping[str, float]:
        """Return its weights, those on some way from input to output, and what lies on the ways."""
        from archwright.nets.nas_bench_201 import NAMES as NAMED

        operations = operations_on(architecture)
        size = {operation: weights(NAMED.get(operation, operation), self.filters) for operation in OPERATIONS}
        edges = [(*edge, operation) for edge, operation in zip(EDGES, operations, strict=True)]
        weighted = [operation for operation in OPERATIONS if size[operation]]
        others = [operation for operation in OPERATIONS if not size[operation]]
        return {
            "weights": magnitude(sum(size[operation] for operation in operations)),
            "live weights": magnitude(sum(size[operation] for _, _, operation in live(edges, 0, 3))),
            **of_ways(_ways(operations), weighted, others),
        }

    def from_arch(self, text: str) -> Architecture:
        """Read an official arch string: `|op~0|+|op~0|op~1|+|op~0|op~1|op~2|`."""
        found = [re.findall(r"([^|~+]+)~(\d)", node) for node in text.split("+")]
        sources = [[int(source) for _, source in edges] for edges in found]
        if sources != [[0], [0, 1], [0, 1, 2]]:
            raise SpaceError(
                f"{text!r} is not an arch string of {self.name}: expected |op~0|+|op~0|op~1|+|op~0|op~1|op~2|"
            )
        operations = [operation for edges in found for operation, _ in edges]
        return replay(self, dict(zip(NAMES, operations, strict=True)))

    def to_arch(self, architecture: Architecture) -> str:
        """Write the official arch string that `from_arch` reads."""
        nodes = [[f"{architecture[f'{t}<-{s}']}~{s}" for s, t in EDGES if t == target] for target in (1, 2, 3)]
        return "+".join(f"|{'|'.join(edges)}|" for edges in nodes)

    def graphs(self, architecture: Architecture) -> tuple[Graph, ...]:
        """Draw the cell without the edges whose operation is `none`."""
        nodes = [Node("0", "input", "input"), Node("1", "add", "combine"), Node("2", "add", "combine")]
        nodes.append(Node("3", "output", "output"))
        edges: list[Edge] = []
        for (source, target), name in zip(EDGES, NAMES, strict=True):
            operation = str(architecture[name])
            if operation != "none":
                nodes.append(Node(f"{source}{target}", operation.replace("_", " "), "operation"))
                edges += [Edge(f"{source}", f"{source}{target}"), Edge(f"{source}{target}", f"{target}")]
        return (Graph("cell", tuple(nodes), tuple(edges)),)


def operations_on(architecture: Architecture) -> tuple[str, ...]:
    """Return the operations on `EDGES`."""
    return tuple([str(answer) for _, answer in architecture.answers])


@functools.lru_cache(maxsize=4096)
def _ways(operations: tuple[str, ...]) -> dict[Path, int]:
    into: dict[int, list[tuple[int, str]]] = {1: [], 2: [], 3: []}
    for (source, target), operation in zip(EDGES, operations, strict=True):
        into[target].append((source, operation))
    return paths([0], into.items(), [3])
