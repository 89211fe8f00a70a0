"""The network around the cells: stem, normal and reduction cells, heads (NASNet B6 and ENAS C4)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d
from torch.utils.checkpoint import checkpoint

from archwright.nets.cell import ENAS, Cell, CellVariant, Shape
from archwright.nets.feature_map import FeatureMap
from archwright.nets.network import Drawn, Images, Logits, Network, initialise, stem, wired
from archwright.nets.ops import FactorizedReduction
from archwright.nets.wiring import Operands, Wiring
from archwright.space import Architecture, Task

STEM_MULTIPLIER = 3  # the stem has three times the filters of the first cells (ENAS C4, NASNet B6)


@dataclass(frozen=True)
class SkeletonConfig:
    """Where the skeletons of NASNet and DARTS differ from ENAS's, whose are the defaults (papers: B6, C4, D1).

    Args:
        stem: "cells" is a 3x3 convolution at stride 2 without padding and two reduction cells with a quarter and a half
            of the filters (NASNet for ImageNet); "convolution" is a 3x3 convolution (5x5 at `stem_stride` 4);
            "convolutions" are three of 3x3 at stride 2, of which the first cell reads the second and the third (DARTS
            for ImageNet).
        stem_filters: of the stem's convolution; None is three times the filters of the first cells.
        first_older: the stem's output counts as both inputs of the first cell; if not, that cell has no older input.
        skip_reduction: the older input of the cell after a reduction is one cell older than that reduction's input.
        auxiliary_after: the auxiliary head reads the cell so many places after the second reduction.
        valid_auxiliary: the auxiliary head's last convolution sees the whole map once, without padding.
        auxiliary_stride, auxiliary_norm: of that head's first pooling, and whether BatchNorm follows that convolution.
        last_relu: the mean over a map is taken after a ReLU.
        depth_scaled: paths are dropped more the deeper the cell, not in all cells alike.
        bias: of the classifiers.
        start: how weights begin: "he" (He 2015), "truncated" (TF-slim's variance scaling, by fan out), or "torch".
    """

    stem: Literal["convolution", "cells", "convolutions"] = "convolution"
    stem_filters: int | None = None
    first_older: bool = True
    skip_reduction: bool = False
    auxiliary_after: int = 1
    valid_auxiliary: bool = False
    auxiliary_stride: int = 3
    auxiliary_norm: bool = True
    last_relu: bool = True
    depth_scaled: bool = True
    bias: bool = False
    start: Literal["he", "truncated", "torch"] = "he"


ENAS_SKELETON = SkeletonConfig()


class AuxiliaryHead(nn.Module):
    """A classifier on a middle cell, for training only.

    (ReLU,) 5x5 mean at stride 3, 1x1 to 128, whole map to 768, linear (ENAS C4). Smaller maps are pooled whole. Of
    training images that grow, a map is brought to `size` first. ENAS's official code never trains this head's weights;
    we do.
    """

    def __init__(self, channels: int, size: tuple[int, int], classes: int, config: SkeletonConfig) -> None:
        super().__init__()
        self._size, stride = size, config.auxiliary_stride
        kernel = (min(5, size[0]), min(5, size[1]))
        map_size = [(s - k) // stride + 1 for s, k in zip(size, kernel, strict=True)]
        around = (0, 0, 0, 0) if config.valid_auxiliary else (0, map_size[1] - 1, 0, map_size[0] - 1)
        self.layers = nn.Sequential(
            nn.AvgPool2d(kernel, stride=stride),
            nn.Conv2d(channels, 128, 1, bias=False),
            nn.BatchNorm2d(128),
            nn.ReLU(inplace=True),
            nn.ZeroPad2d(around),  # SAME for a kernel as large as the map
            nn.Conv2d(128, 768, (map_size[0], map_size[1]), bias=False),
            *[nn.BatchNorm2d(768)] * config.auxiliary_norm,
            nn.ReLU(inplace=True),
        )
        self.classify = nn.Linear(768, classes, bias=config.bias)

    def forward(self, x: Images) -> Logits:
        """Return auxiliary logits of a cell's output after ReLU."""
        if x.shape[2:] != self._size:
            x = adaptive_avg_pool2d(x, self._size)
        logits: Tensor = self.classify(self.layers(x).mean(dim=(2, 3)))
        return logits


class CellNetwork(Network):
    """`repeats` normal cells, a reduction cell, and so on, three groups in all; each reduction doubles the channels.

    `operands` and `fixed` tell for each kind of cell ("normal", "reduction") what is open and, for a child, its wiring;
    `wire` reads an architecture's wiring; `joins` and `kept` are those of each kind's cells. `reduction`:
    "before" halves by a factorised reduction and runs the reduction cell at stride 1 (ENAS's search), "strided" runs it
    at stride 2 (final networks). `checkpointed`: the backward pass computes the insides of
    each cell again, which are not kept.
    """

    def __init__(
        self,
        operands: Mapping[str, Sequence[tuple[Operands, ...]]],
        fixed: Mapping[str, Wiring] | None,
        wire: Callable[[Any], Mapping[str, Any]],
        task: Task,
        *,
        repeats: int,
        filters: int,
        stem_stride: int,
        ends: Literal["project", "concatenate", "nodes"],
        reduction: Literal["before", "strided"],
        base: bool,
        auxiliary: bool,
        dropout: float,
        drop_path_keep: float,
        joins: Mapping[str, Sequence[str]] | None = None,
        kept: Mapping[str, Sequence[int]] | None = None,
        variant: CellVariant = ENAS,
        config: SkeletonConfig = ENAS_SKELETON,
        checkpointed: bool = False,
    ) -> None:
        super().__init__()
        self._wire, self._fixed, self._config, self._checkpointed = wire, fixed, config, checkpointed
        padded, stride = (False, 2) if config.stem == "cells" else (True, stem_stride)
        stem_filters = STEM_MULTIPLIER * filters if config.stem_filters is None else config.stem_filters
        size = task.height, task.width
        self.second_stem: nn.Module | None = None
        if config.stem == "convolutions":
            self.stem, self.second_stem = halving_stems(task.channels, filters)
            stem_filters, size = filters, _halved(size, 2)
        else:
            self.stem = stem(task.channels, stem_filters, stride, padded=padded)
            size = (size[0] - 1) // stride + padded, (size[1] - 1) // stride + padded
        plan = cell_plan(repeats, filters, config)
        self.kinds = tuple(kind for kind, _ in plan)
        reductions = (len(plan) - 2 * repeats - 2, len(plan) - repeats - 1)  # those of the body
        self.auxiliary_after = min(reductions[1] + config.auxiliary_after, len(plan) - 1)
        self._skips = reductions if config.skip_reduction else ()
        self.cells, self.reductions = nn.ModuleList(), nn.ModuleDict()
        newer = read = Shape(stem_filters, int(self.second_stem is not None))
        older = Shape(stem_filters, 0) if config.first_older else None
        for index, (kind, channels) in enumerate(plan):
            if kind == "reduction" and reduction == "before":
                self.reductions[str(index)] = FactorizedReduction(newer.channels, channels)
                older, newer = newer, Shape(channels, newer.halvings + 1)
            cell = Cell(
                operands[kind],
                inputs=(older, newer),
                size=_halved(size, newer.halvings),
                channels=channels,
                stride=2 if kind == "reduction" and reduction == "strided" else 1,
                ends=ends,
                base=base,
                keep=1 - (1 - drop_path_keep) * ((index + 1) / len(plan) if config.depth_scaled else 1),
                wiring=fixed[kind] if fixed is not None else None,
                joins=joins[kind] if joins is not None else None,
                kept=kept[kind] if kept is not None else (),
                variant=variant,
            )
            self.cells.append(cell)
            older, newer = (older if index in self._skips else newer), cell.shape
            if index == self.auxiliary_after:
                read = cell.shape  # by the auxiliary head
        self.auxiliary: AuxiliaryHead | None = None
        if auxiliary:
            self.auxiliary = AuxiliaryHead(read.channels, _halved(size, read.halvings), task.classes, config)
        self.dropout = nn.Dropout(dropout)
        self.classify = nn.Linear(newer.channels, task.classes, bias=config.bias)  # no bias: ENAS C3, C4
        if config.start != "torch":
            initialise(self, truncated=config.start == "truncated")

    def drawn(self) -> Iterator[Drawn]:
        for kind, cell in zip(self.kinds, self.cells, strict=True):
            parts: Iterator[tuple[str, nn.Module]] = cell.drawn((self._fixed or {}).get(kind))  # type: ignore[operator]
            yield from ((kind, node, part) for node, part in parts)

    def with_auxiliary(self, x: Images, architecture: Architecture | None = None) -> tuple[Logits, Logits | None]:
        wiring = wired(self._fixed, self._wire, architecture)
        older = newer = FeatureMap(self.stem(x))  # a cell that has no older input reads the newer one twice
        if self.second_stem is not None:
            newer = FeatureMap(self.second_stem(older.relu()))
        auxiliary = None
        for index, (kind, cell) in enumerate(zip(self.kinds, self.cells, strict=True)):
            if str(index) in self.reductions:
                older, newer = newer, FeatureMap(self.reductions[str(index)](newer.tensor))
            output = FeatureMap(self._run(cell, older, newer, wiring[kind]))
            older, newer = (older if index in self._skips else newer), output
            if index == self.auxiliary_after and self.auxiliary is not None and self.training:
                auxiliary = self.auxiliary(newer.relu())
        last = newer.relu() if self._config.last_relu else newer.tensor
        return self.classify(self.dropout(last.mean(dim=(2, 3)))), auxiliary

    def _run(self, cell: nn.Module, older: FeatureMap, newer: FeatureMap, wiring: Any) -> Tensor:
        def run(*maps: Tensor) -> Tensor:
            output: Tensor = cell(*map(FeatureMap, maps), wiring)
            return output

        if self._checkpointed and torch.is_grad_enabled():
            again: Tensor = checkpoint(run, older.tensor, newer.tensor, use_reentrant=False)
            return again
        output: Tensor = cell(older, newer, wiring)
        return output


def cell_plan(repeats: int, filters: int, config: SkeletonConfig = ENAS_SKELETON) -> list[tuple[str, int]]:
    """Return the cells in order, each with its kind and its channels."""
    plan = [("reduction", max(2, filters // share)) for share in (4, 2)] if config.stem == "cells" else []
    for group in range(3):
        channels = filters * 2**group
        plan += [("reduction", channels)] * (group > 0) + [("normal", channels)] * repeats
    return plan


def halving_stems(inputs: int, filters: int) -> tuple[nn.Sequential, nn.Sequential]:
    """Build three convolutions that halve, as two modules, with BatchNorm and ReLU between them (DARTS's model.py)."""
    half = max(1, filters // 2)
    first = stem(inputs, half, 2).extend([nn.ReLU(inplace=True), *stem(half, filters, 2)])
    return first, stem(filters, filters, 2)


def _halved(size: tuple[int, int], times: int) -> tuple[int, int]:
    for _ in range(times):
        size = ((size[0] + 1) // 2, (size[1] + 1) // 2)
    return size
