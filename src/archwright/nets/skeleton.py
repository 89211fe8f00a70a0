"""The network around the cells: stem, normal and reduction cells, heads (NASNet B6 and ENAS C4)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

from archwright.errors import SpaceError
from archwright.nets.cell import Cell, Operands, Shape, Wiring
from archwright.nets.network import Network, initialise
from archwright.nets.ops import FactorizedReduction
from archwright.nets.state import State
from archwright.space import Architecture, Task

STEM_MULTIPLIER = 3  # the stem has three times the filters of the first cells (ENAS C4, NASNet B6)


class AuxiliaryHead(nn.Module):
    """A classifier on a middle cell, for training only.

    (ReLU,) 5x5 mean at stride 3, 1x1 to 128, whole map to 768, linear (ENAS C4). Smaller maps are pooled whole. The
    official code never trains this head's weights; we do.
    """

    def __init__(self, channels: int, size: tuple[int, int], classes: int) -> None:
        super().__init__()
        kernel = (min(5, size[0]), min(5, size[1]))
        map_size = [(s - k) // 3 + 1 for s, k in zip(size, kernel, strict=True)]
        self.layers = nn.Sequential(
            nn.AvgPool2d(kernel, stride=3),
            nn.Conv2d(channels, 128, 1, bias=False),
            nn.BatchNorm2d(128),
            nn.ReLU(inplace=True),
            nn.ZeroPad2d((0, map_size[1] - 1, 0, map_size[0] - 1)),  # SAME for a kernel as large as the map
            nn.Conv2d(128, 768, (map_size[0], map_size[1]), bias=False),
            nn.BatchNorm2d(768),
            nn.ReLU(inplace=True),
        )
        self.classify = nn.Linear(768, classes, bias=False)

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch classes"]:
        """Auxiliary logits of a cell's output after ReLU."""
        logits: Tensor = self.classify(self.layers(x).mean(dim=(2, 3)))
        return logits


class CellNetwork(Network):
    """`repeats` normal cells, a reduction cell, and so on, three groups in all; each reduction doubles the channels.

    `operands` and `fixed` tell for each kind of cell ("normal", "reduction") what is open and, for a child, its wiring;
    `wire` reads an architecture's wiring. The stem is a 3x3 convolution (5x5 at `stem_stride` 4). `reduction`: "before"
    halves by a factorised reduction and runs the reduction cell at stride 1 (ENAS's search), "strided" runs it at
    stride 2 (final networks).
    """

    def __init__(
        self,
        operands: Mapping[str, Sequence[tuple[Operands, ...]]],
        fixed: Mapping[str, Wiring] | None,
        wire: Callable[[Architecture], Mapping[str, Wiring]],
        task: Task,
        *,
        repeats: int,
        filters: int,
        stem_stride: int,
        ends: Literal["project", "concatenate"],
        reduction: Literal["before", "strided"],
        base: bool,
        auxiliary: bool,
        dropout: float,
        drop_path_keep: float,
    ) -> None:
        super().__init__()
        self._wire, self.fixed = wire, fixed is not None
        stem, kernel = STEM_MULTIPLIER * filters, 3 if stem_stride < 4 else 5
        self.stem = nn.Sequential(
            nn.Conv2d(task.channels, stem, kernel, stem_stride, padding=kernel // 2, bias=False),
            nn.BatchNorm2d(stem),
        )
        kinds = (["normal"] * repeats + ["reduction"]) * 2 + ["normal"] * repeats
        self.kinds = tuple(kinds)
        # The head reads the cell after the second reduction (ENAS C4).
        last_reduction = max(i for i, kind in enumerate(kinds) if kind == "reduction")
        self.auxiliary_after = min(last_reduction + 1, len(kinds) - 1)
        self.cells, self.reductions = nn.ModuleList(), nn.ModuleDict()
        shapes = [Shape(stem, 0), Shape(stem, 0)]
        channels = filters
        auxiliary_shape = shapes[-1]
        for index, kind in enumerate(kinds):
            older, newer = shapes[-2], shapes[-1]
            if kind == "reduction":
                channels *= 2
                if reduction == "before":
                    self.reductions[str(index)] = FactorizedReduction(newer.channels, channels)
                    older, newer = newer, Shape(channels, newer.halvings + 1)
            cell = Cell(
                operands[kind],
                inputs=(older, newer),
                channels=channels,
                stride=2 if kind == "reduction" and reduction == "strided" else 1,
                ends=ends,
                base=base,
                keep=1 - (index + 1) / len(kinds) * (1 - drop_path_keep),
                wiring=fixed[kind] if fixed is not None else None,
            )
            self.cells.append(cell)
            shapes += [newer, cell.shape] if kind == "reduction" and reduction == "before" else [cell.shape]
            if index == self.auxiliary_after:
                auxiliary_shape = cell.shape
        size = (-(-task.height // stem_stride), -(-task.width // stem_stride))
        for _ in range(auxiliary_shape.halvings):
            size = ((size[0] + 1) // 2, (size[1] + 1) // 2)
        self.auxiliary = AuxiliaryHead(auxiliary_shape.channels, size, task.classes) if auxiliary else None
        self.dropout = nn.Dropout(dropout)
        self.classify = nn.Linear(shapes[-1].channels, task.classes, bias=False)  # no bias (ENAS C3, C4)
        initialise(self)

    def with_auxiliary(
        self, x: Float[Tensor, "batch channels height width"], architecture: Architecture | None = None
    ) -> tuple[Float[Tensor, "batch classes"], Float[Tensor, "batch classes"] | None]:
        """Logits, and in training those of the auxiliary head."""
        wiring = self._wiring(architecture)
        older = newer = State(self.stem(x))
        auxiliary = None
        for index, (kind, cell) in enumerate(zip(self.kinds, self.cells, strict=True)):
            if str(index) in self.reductions:
                older, newer = newer, State(self.reductions[str(index)](newer.tensor))
            older, newer = newer, State(cell(older, newer, None if wiring is None else wiring[kind]))
            if index == self.auxiliary_after and self.auxiliary is not None and self.training:
                auxiliary = self.auxiliary(newer.relu())
        pooled = newer.relu().mean(dim=(2, 3))
        return self.classify(self.dropout(pooled)), auxiliary

    def _wiring(self, architecture: Architecture | None) -> Mapping[str, Wiring] | None:
        if self.fixed:
            return None
        if architecture is None:
            raise SpaceError("a network with shared weights needs an architecture to run")
        return self._wire(architecture)
