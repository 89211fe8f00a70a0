"""Nodes of a cell that are sums of edges, one operation on each earlier state (DARTS: Liu et al. 2019, section 2.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from jaxtyping import Float
from torch import Tensor, nn

from archwright.nets.feature_map import FeatureMap
from archwright.nets.fused import mixed_together
from archwright.nets.mixture import MixedOperation
from archwright.nets.ops import DropPath, operation
from archwright.nets.wiring import Operands

# The weights of an edge's operations and, with partial channels, that of the edge, by (node, state it reads).
EdgeWeights: TypeAlias = "tuple[Float[Tensor, ' options'], Float[Tensor, ''] | None]"
SoftWiring: TypeAlias = "Mapping[tuple[int, int], EdgeWeights]"


class Edges(nn.Module):
    """A node of edges, each from one of the `sources`; an edge from an input of the cell has the cell's `stride`.

    `normed_pools`: BatchNorm without scale follows poolings, so that what is weighed against each other has one scale
    (DARTS's search). `partial`: see `MixedOperation`. `keep` of drop path, which spares the identity.
    """

    def __init__(
        self,
        edges: Sequence[Operands],
        channels: int,
        *,
        stride: int,
        keep: float,
        normed_pools: bool,
        partial: int,
    ) -> None:
        super().__init__()

        def make(name: str, width: int, step: int) -> nn.Module:
            made = operation(name, width, step)
            if normed_pools and isinstance(made, (nn.MaxPool2d, nn.AvgPool2d)):
                return nn.Sequential(made, nn.BatchNorm2d(width, affine=False))
            return made

        self.edges = nn.ModuleDict()
        for edge in edges:
            (source,) = edge.sources
            step = stride if source < 2 else 1
            self.edges[str(source)] = MixedOperation(edge.operations, make, channels, stride=step, partial=partial)
        self.drop_path = DropPath(keep) if keep < 1 else None

    def forward(
        self, states: Sequence[FeatureMap], operands: Sequence[tuple[int, str]]
    ) -> Float[Tensor, "batch channels height width"]:
        """Return the sum of the `operands`, each the state that an edge reads and the operation on it."""
        terms = [self._term(source, name, states[source]) for source, name in operands]
        return sum(terms[1:], start=terms[0])

    def _term(self, source: int, name: str, features: FeatureMap) -> Tensor:
        edge: MixedOperation = self.edges[str(source)]  # type: ignore[assignment]
        term = edge.single(features, name)
        if self.drop_path is None or isinstance(edge.operations[name], nn.Identity):
            return term
        dropped: Tensor = self.drop_path(term)
        return dropped


def mixed_states(nodes: Sequence[Edges], inputs: Sequence[FeatureMap], weights: SoftWiring) -> list[FeatureMap]:
    """Return the inputs of a cell and its nodes, every edge of which is the weighted sum of its operations."""
    states, sums = list(inputs), dict[int, Tensor]()
    last = len(inputs) + len(nodes) - 1
    for source in range(last):
        reading = [(n, node.edges[str(source)]) for n, node in enumerate(nodes, start=len(inputs)) if source < n]
        options = [weights[number, source][0] for number, _ in reading]
        terms = mixed_together([edge for _, edge in reading], states[source], options)  # type: ignore[misc]
        for (number, _), term in zip(reading, terms, strict=True):
            whole = weights[number, source][1]
            term = term if whole is None else whole * term
            sums[number] = sums[number] + term if number in sums else term
        if source + 1 >= len(inputs):  # the next state has all of its edges now
            states.append(FeatureMap(sums[source + 1]))
    return states
