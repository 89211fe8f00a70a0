"""A cell: nodes that join operands, each an operation on an earlier state; and how its loose ends become the output.

The same class is the shared cell (several operations and sources open) and the child's (one each); a parameter is
named by node, side, operation and source, so that a child's names are among the supernet's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from archwright.nets.feature_map import FeatureMap, apply, concatenate
from archwright.nets.ops import DropPath, FactorizedReduction, Pointwise, operation, pad_same
from archwright.nets.wiring import SIDES, Operands, Wiring, loose_ends


@dataclass(frozen=True)
class Shape:
    """Channels, and how often height and width have been halved."""

    channels: int
    halvings: int


@dataclass(frozen=True)
class CellVariant:
    """Where NASNet's cells differ from ENAS's, whose are the defaults.

    Args:
        always_project: the newer input is always brought to the cell's width by ReLU-1x1-BatchNorm, whatever its width.
        strided_identity: the identity at stride 2 is ReLU-1x1-BatchNorm at that stride, not a factorised reduction.
        same_padding: what strides pads as TensorFlow's SAME.
    """

    always_project: bool = False
    strided_identity: bool = False
    same_padding: bool = False


ENAS = CellVariant()
NASNET = CellVariant(always_project=True, strided_identity=True, same_padding=True)  # papers: B5


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
        x = torch.relu_(concatenate(ends, training=self.training))
        weight = torch.cat([self.weights[str(state)] for state in states], dim=1)
        joined: Tensor = self.norm(functional.conv2d(x, weight))
        return joined


class Cell(nn.Module):
    """Matches its two inputs to `channels`, computes the nodes, joins the loose ends.

    Without an older input the newer one stands in for it, as it is, whatever its width (NASNet B5). `size`: height and
    width of the newer input. `joins`: how each node joins its operands, "add" (all, if not given) or "concat"; what
    reads a node of twice the width brings it to `channels`. `kept`: states that the output has although a node reads
    them.
    `stride` 2 makes a reduction cell: operations on the inputs halve, and loose inputs are halved before being joined.
    `ends`: "project" gives `channels`, "concatenate" gives `channels` for each loose end (so it needs a fixed wiring).
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
        ends: Literal["project", "concatenate"],
        base: bool,
        keep: float,
        wiring: Wiring | None,
        joins: Sequence[str] | None = None,
        kept: Sequence[int] = (),
        variant: CellVariant = ENAS,
    ) -> None:
        super().__init__()
        self.kept = tuple(kept)
        self.joins = ("add",) * len(nodes) if joins is None else tuple(joins)
        older, newer = inputs
        self.older = nn.Identity() if older is None else _match(older, channels, halve=older.halvings < newer.halvings)
        self.newer = Pointwise(newer.channels, channels) if variant.always_project else _match(newer, channels)
        widths = [newer.channels if older is None else channels, channels]
        widths += [channels if join == "add" else 2 * channels for join in self.joins]
        self.base = Pointwise(channels, channels) if base else nn.Identity()

        def make(name: str, state: int) -> nn.Module:
            step = stride if state < 2 else 1
            if name == "identity" and variant.strided_identity and (step > 1 or widths[state] != channels):
                return Pointwise(widths[state], channels, step)
            return operation(name, channels, step, inputs=widths[state])

        self.nodes = nn.ModuleList(
            nn.ModuleDict({side: Side(operands, make, keep) for side, operands in zip(SIDES, node, strict=True)})
            for node in nodes
        )
        loose = loose_ends(wiring, kept) if wiring is not None else tuple(range(len(nodes) + 2))
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

    def forward(
        self, older: FeatureMap, newer: FeatureMap, wiring: Wiring
    ) -> Float[Tensor, "batch channels height width"]:
        newest = apply(self.base, FeatureMap(apply(self.newer, newer)))
        states = [FeatureMap(apply(self.older, older)), FeatureMap(newest)]
        for node, join, ((left, left_op), (right, right_op)) in zip(self.nodes, self.joins, wiring, strict=True):
            sides: nn.ModuleDict = node  # type: ignore[assignment]
            first, second = sides["left"](states, left, left_op), sides["right"](states, right, right_op)
            joined = first + second if join == "add" else concatenate([first, second], training=self.training)
            states.append(FeatureMap(joined))
        loose = loose_ends(wiring, self.kept)
        ends = [self.halve[str(s)](states[s].tensor) if str(s) in self.halve else states[s].tensor for s in loose]
        output: Tensor = concatenate(ends, training=self.training) if self.join is None else self.join(ends, loose)
        return output


def _match(shape: Shape, channels: int, *, halve: bool = False) -> nn.Module:
    """Build what brings an input to `channels` at the newer input's size (ENAS's `_maybe_calibrate_size`)."""
    if halve:
        return FactorizedReduction(shape.channels, channels, after_relu=True)
    return nn.Identity() if shape.channels == channels else Pointwise(shape.channels, channels)
