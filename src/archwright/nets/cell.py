"""A cell: nodes that join operands, each an operation on an earlier state; and how its loose ends become the output.

The same class is the shared cell (several operations and sources open) and the child's (one each); a parameter is
named by node, side, operation and source, so that a child's names are among the supernet's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from archwright.nets.chain import Link, chained
from archwright.nets.edges import Edges, SoftWiring, mixed_states
from archwright.nets.feature_map import FeatureMap, apply, apply_once, concatenate
from archwright.nets.ops import DropPath, FactorizedReduction, Pointwise, operation, pad_same
from archwright.nets.wiring import SIDES, Operands, SoftSides, Wiring, loose_ends


@dataclass(frozen=True)
class Shape:
    """Channels, and how often height and width have been halved."""

    channels: int
    halvings: int


@dataclass(frozen=True)
class CellVariant:
    """Where the cells of NASNet and DARTS differ from ENAS's, whose are the defaults.

    Args:
        projects: the inputs, "older" and "newer", that are always brought to the cell's width by ReLU-1x1-BatchNorm,
            whatever their width.
        strided_identity: the identity at stride 2 is ReLU-1x1-BatchNorm at that stride, not a factorised reduction.
        same_padding: what strides pads as TensorFlow's SAME.
        edges: a node is the sum of edges, one operation on each state that it reads, and not of two sides.
        normed_pools, partial: of edges, see `archwright.nets.edges`.
        numbers: what a drawing calls the older and the newer input.
    """

    projects: tuple[str, ...] = ()
    strided_identity: bool = False
    same_padding: bool = False
    edges: bool = False
    normed_pools: bool = False
    partial: int = 1
    numbers: tuple[str, str] = ("0", "1")


ENAS = CellVariant()
NASNET = CellVariant(projects=("newer",), strided_identity=True, same_padding=True, numbers=("1", "0"))  # papers: B5
DARTS = CellVariant(projects=("older", "newer"), edges=True)  # papers: D1; cnn/model.py


class Side(nn.Module):
    """One operand of a node: runs the operation that is asked for, on the state that is asked for."""

    def __init__(self, operands: Operands, make: Callable[[str, int], nn.Module], keep: float) -> None:
        super().__init__()
        self.operations = nn.ModuleDict()
        for name in operands.operations:
            self.operations[name] = nn.ModuleDict({str(state): make(name, state) for state in operands.sources})
        self.drop_path = DropPath(keep) if keep < 1 else None

    def forward(self, states: Sequence[FeatureMap], source: int, name: str) -> Tensor:
        chosen: nn.ModuleDict = self.operations[name]  # type: ignore[assignment]
        x = apply(chosen[str(source)], states[source])
        # Drop path spares the identity, the only way round (NASNet B5, ENAS C4).
        return x if self.drop_path is None or name == "identity" else self.drop_path(x)

    def mixed(
        self, states: Sequence[FeatureMap], links: Float[Tensor, " states"], weights: Float[Tensor, " operations"]
    ) -> Float[Tensor, "batch channels height width"]:
        """Return the sum of all operations on all states, each times the weight of its link and its own."""
        total: Tensor | None = None
        for weight, (name, chosen) in zip(weights, self.operations.items(), strict=True):
            for link, (state, module) in zip(links, chosen.items(), strict=True):  # type: ignore[operator]
                term = link * weight * apply_once(module, states[int(state)], name)
                total = term if total is None else total + term
        assert total is not None
        return total


class Joined(nn.Module):
    """Loose ends joined by ReLU, 1x1 convolution, BatchNorm to a fixed width (ENAS's shared cells).

    The convolution keeps its weights per state and joins them in the forward pass, so it narrows by name.
    """

    def __init__(self, states: Sequence[int], channels: int) -> None:
        super().__init__()
        self.weights = nn.ParameterDict({str(s): nn.Parameter(torch.empty(channels, channels, 1, 1)) for s in states})
        for weight in self.weights.values():
            nn.init.kaiming_normal_(weight, nonlinearity="relu")
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, ends: Sequence[Tensor], states: Sequence[int]) -> Tensor:
        weight = torch.cat([self.weights[str(state)] for state in states], dim=1)
        made = chained(ends, [Link(weight, self.norm)], relu=True) if self.training else None
        if made is not None:
            return made
        x = torch.relu_(concatenate(ends, training=self.training))
        joined: Tensor = self.norm(functional.conv2d(x, weight))
        return joined


class Cell(nn.Module):
    """Matches its two inputs to `channels`, computes the nodes, joins the loose ends.

    Without an older input the newer one stands in for it, as it is, whatever its width (NASNet B5). `size`: height and
    width of the newer input. `joins`: how each node joins its operands, "add" (all, if not given) or "concat"; what
    reads a node of twice the width brings it to `channels`. `kept`: states that the output has although a node reads
    them.
    `stride` 2 makes a reduction cell: operations on the inputs halve, and loose inputs are halved before being joined.
    `ends`: "project" gives `channels`, "concatenate" gives `channels` for each loose end (so it needs a fixed wiring),
    "nodes" for each node, whether it is read or not.
    `base`: one more ReLU-1x1-BatchNorm on the newer input, the official final network's `layer_base`.
    """

    def __init__(
        self,
        nodes: Sequence[tuple[Operands, ...]],
        *,
        inputs: tuple[Shape | None, Shape],
        size: tuple[int, int],
        channels: int,
        stride: int,
        ends: Literal["project", "concatenate", "nodes"],
        base: bool,
        keep: float,
        wiring: Wiring | None,
        joins: Sequence[str] | None = None,
        kept: Sequence[int] = (),
        variant: CellVariant = ENAS,
    ) -> None:
        super().__init__()
        self.kept, self._numbers = tuple(kept), variant.numbers
        self.joins = ("add",) * len(nodes) if joins is None else tuple(joins)
        older, newer = inputs
        self.older: nn.Module = nn.Identity()
        if older is not None:
            halve = older.halvings < newer.halvings
            self.older = _match(older, channels, always="older" in variant.projects, halve=halve)
        self.newer = _match(newer, channels, always="newer" in variant.projects)
        widths = [newer.channels if older is None else channels, channels]
        widths += [channels if join == "add" else 2 * channels for join in self.joins]
        self.base = Pointwise(channels, channels) if base else nn.Identity()

        def make(name: str, state: int) -> nn.Module:
            step = stride if state < 2 else 1
            if name == "identity" and variant.strided_identity and (step > 1 or widths[state] != channels):
                return Pointwise(widths[state], channels, step)
            return operation(name, channels, step, inputs=widths[state])

        def built(node: tuple[Operands, ...]) -> nn.Module:
            if variant.edges:
                pools, partial = variant.normed_pools, variant.partial
                return Edges(node, channels, stride=stride, keep=keep, normed_pools=pools, partial=partial)
            return nn.ModuleDict({side: Side(operands, make, keep) for side, operands in zip(SIDES, node, strict=True)})

        self.nodes = nn.ModuleList(map(built, nodes))
        every = tuple(range(len(nodes) + 2))
        self._nodes = every[2:] if ends == "nodes" else None  # that are the output, whatever reads them
        loose = self._nodes or (every if wiring is None else loose_ends(wiring, kept))
        self.halve = nn.ModuleDict()  # and what else makes loose inputs fit
        for state in loose:
            if state < 2 and stride == 2:
                self.halve[str(state)] = FactorizedReduction(widths[state], channels)
            elif state < 2 and widths[state] != channels:
                self.halve[str(state)] = Pointwise(widths[state], channels, after_relu=False)  # official NASNet code
        self.join = Joined(loose, channels) if ends == "project" else None
        width = channels if ends == "project" else sum(channels if s < 2 else widths[s] for s in loose)
        self.shape = Shape(width, newer.halvings + (stride == 2))
        if variant.same_padding and stride == 2:
            pad_same(self.nodes, size)

    def drawn(self, wiring: Wiring | None) -> Iterator[tuple[str, nn.Module]]:
        """Yield what the nodes of the cell's graph are: the operands of a child, and what is there in any case."""
        yield from zip(self._numbers, (self.older, self.newer), strict=True)
        for number, (node, operands) in enumerate(zip(self.nodes, wiring or (), strict=False), start=2):
            for side, (source, name) in zip(SIDES, operands, strict=True):
                inside: Any = node
                edge = isinstance(node, Edges)
                yield f"{number}/{side}", inside.edges[str(source)].operations[name] if edge else inside[side]
        yield "output", self

    def forward(
        self, older: FeatureMap, newer: FeatureMap, wiring: Wiring | SoftWiring | SoftSides
    ) -> Float[Tensor, "batch channels height width"]:
        """Run the nodes as wired, or all their edges under the weights of a mixture."""
        newest = apply(self.base, FeatureMap(apply(self.newer, newer)))
        states = [FeatureMap(apply(self.older, older)), FeatureMap(newest)]
        if isinstance(wiring, SoftSides):
            return self._mixed_sides(states, wiring)
        if isinstance(wiring, Mapping):
            states, loose = mixed_states(self.nodes, states, wiring), self._nodes or ()  # type: ignore[arg-type]
        else:
            for node, join, operands in zip(self.nodes, self.joins, wiring, strict=True):
                states.append(FeatureMap(self._joined(node, join, states, operands)))
            loose = self._nodes or loose_ends(wiring, self.kept)
        ends = [self.halve[str(s)](states[s].tensor) if str(s) in self.halve else states[s].tensor for s in loose]
        output: Tensor = concatenate(ends, training=self.training) if self.join is None else self.join(ends, loose)
        return output

    def _mixed_sides(self, states: list[FeatureMap], weights: SoftSides) -> Tensor:
        for node, operands in zip(self.nodes, weights.nodes, strict=True):
            sides: Any = node
            left, right = (sides[side].mixed(states, *soft) for side, soft in zip(SIDES, operands, strict=True))
            states.append(FeatureMap(left + right))
        halved = [self.halve[str(s)](x.tensor) if str(s) in self.halve else x.tensor for s, x in enumerate(states)]
        ends = [chance * x for chance, x in zip(weights.looseness(), halved, strict=True)]
        assert self.join is not None
        output: Tensor = self.join(ends, range(len(states)))
        return output

    def _joined(
        self, node: nn.Module, join: str, states: Sequence[FeatureMap], operands: tuple[tuple[int, str], ...]
    ) -> Tensor:
        if isinstance(node, Edges):
            summed: Tensor = node(states, operands)
            return summed
        sides: nn.ModuleDict = node  # type: ignore[assignment]
        first, second = (sides[side](states, *operand) for side, operand in zip(SIDES, operands, strict=True))
        return first + second if join == "add" else concatenate([first, second], training=self.training)


def _match(shape: Shape, channels: int, *, always: bool, halve: bool = False) -> nn.Module:
    """Build what brings an input to `channels` at the newer input's size (ENAS's `_maybe_calibrate_size`)."""
    if halve:
        return FactorizedReduction(shape.channels, channels, after_relu=True)
    return nn.Identity() if shape.channels == channels and not always else Pointwise(shape.channels, channels)
