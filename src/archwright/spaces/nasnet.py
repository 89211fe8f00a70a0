"""The NASNet space (Zoph et al. 2018): a normal and a reduction cell, searched small and transferred large."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from archwright.errors import SpaceError
from archwright.graph import Graph
from archwright.space import Architecture, Choice, Open, Option, Program, Space, Task, replay
from archwright.spaces import cells
from archwright.spaces.cells import CELLS, SIDES
from archwright.spaces.settings import check_fields, only, settings

if TYPE_CHECKING:
    from torch import nn

    from archwright.nets.wiring import Wiring
OPERATIONS = (  # in the order of the paper's table
    *("identity", "conv_1x3_3x1", "conv_1x7_7x1", "dil_3x3", "avg_3x3", "max_3x3", "max_5x5", "max_7x7"),
    *("conv_1x1", "conv_3x3", "sep_3x3", "sep_5x5", "sep_7x7"),
)
COMBINES = ("add", "concat")
LARGE = 128  # pixels from which a stem is that for ImageNet, if nobody says


@dataclass(frozen=True)
class NasNet(Space):
    """Cells of `blocks` blocks: two hidden states, an operation on each, and how the two are combined.

    Asked per block in the paper's order: state A, state B, operation for A, operation for B, combination; all of the
    normal cell, then all of the reduction cell (section 3): 50 decisions for 5 blocks. States are numbered as in the
    official code: 0 is h[i], the output of the cell before, 1 is h[i-1], that of the one before it, 2 and up are the
    blocks. The softmax over states has 2 to 6 options; whether they are one masked head or several is not published,
    here each number of options has a head of its own.

    The network is that of the official code (TensorFlow slim, `nasnet.py`), so that the published architecture has the
    published number of parameters: padding is TensorFlow's SAME, an input that no block reads is a part of the output
    too, the first cell's h[i-1] is the stem's output at the stem's width. The paper's 1x1 convolutions "as necessary"
    are the code's; what reads a concatenated state brings it to the cell's width. `final()` has the settings of the
    official CIFAR-10 network, 6 @ 768; `archwright.spaces.published` has those of the other published ones.

    Args:
        blocks: per cell; the paper's B.
        operations: names in `archwright.nets.ops.OPERATIONS`.
        combines: "add" and "concat", or one of them.
        kept: states that a cell's output has although a block reads them ("normal/1"). The paper's rule knows none, but
            the official code of NASNet-A has two: the normal cell's h[i-1], and block 3 of the reduction cell.
        repeats: normal cells before, between and after the two reduction cells of the body; the paper's N.
        filters: channels of the first cells.
        stem: "cifar" is a 3x3 convolution; "imagenet" one at stride 2 and two reduction cells, which leave an eighth of
            height and width; "auto" is "imagenet" from 128 pixels.
        stem_filters: of the stem's convolution; None is three times `filters` ("cifar") or 32 ("imagenet").
        stem_stride: of the "cifar" stem, 1, 2 or 4: the cells see the image at that fraction of its size.
        skip_reduction: the older input of the cell after a reduction is one cell older than that reduction's input.
        auxiliary: an auxiliary head in training.
        dropout: before the classifier.
        drop_path_keep: of scheduled drop path, at the last cell at the end of training.
        norm_epsilon, norm_momentum: of BatchNorm; TensorFlow's decay d is a momentum of 1 - d here.
    """

    name: ClassVar[str] = "nasnet"
    reads: ClassVar[tuple[str, ...]] = ("blocks", "operations", "combines", "kept")
    delivered: ClassVar[Mapping[str, Any]] = {  # slim's cifar_config: 18 normal cells
        **{"repeats": 6, "filters": 32, "auxiliary": True, "dropout": 0.0, "drop_path_keep": 0.6}
    }

    blocks: int = 5  # section 3
    operations: tuple[str, ...] = OPERATIONS
    combines: tuple[str, ...] = COMBINES
    kept: tuple[str, ...] = ()
    repeats: int = 2  # appendix A.1: N = 2 in the search
    filters: int = 32  # that of 6 @ 768; the paper does not say it of the search
    stem: Literal["auto", "cifar", "imagenet"] = "auto"
    stem_filters: int | None = None
    stem_stride: int = 1
    skip_reduction: bool = False
    auxiliary: bool = False  # not stated of the search; twenty epochs need none
    dropout: float = 0.0
    drop_path_keep: float = 1.0
    norm_epsilon: float = 1e-5  # nasnet_cifar_arg_scope
    norm_momentum: float = 0.1  # nasnet_cifar_arg_scope: decay 0.9

    def __post_init__(self) -> None:
        check_fields(self, positive=("blocks", "repeats", "filters"), different=("operations", "combines"))
        object.__setattr__(self, "kept", tuple(self.kept))
        states = {f"{cell}/{state}" for cell in CELLS for state in range(self.blocks + 2)}
        self.require("kept", set(self.kept) <= states, "states such as 'normal/1' or 'reduction/3'")
        self.require("combines", set(self.combines) <= set(COMBINES), "'add', 'concat', or both")
        self.require("norm_epsilon", self.norm_epsilon > 0, "greater than zero")
        self.require("stem", self.stem in ("auto", "cifar", "imagenet"), "'auto', 'cifar' or 'imagenet'")
        self.require("stem_filters", self.stem_filters is None or self.stem_filters > 0, "None or at least 1")
        self.require("norm_momentum", 0 < self.norm_momentum <= 1, "above 0, and 1 at most")

    @property
    def vocabularies(self) -> Mapping[str, tuple[Option, ...]]:
        states = {f"state of {count}": tuple(range(count)) for count in range(2, self.blocks + 2)}
        return {"op": self.operations, "combine": self.combines, **states}

    def decide(self) -> Program:
        for cell in CELLS:
            for block in range(2, self.blocks + 2):
                for side in SIDES:
                    yield Choice(f"{cell}/{block}/{side}", tuple(range(block)), vocabulary=f"state of {block}")
                for side in SIDES:
                    yield Choice(f"{cell}/{block}/{side}/op", self.operations, vocabulary="op")
                yield Choice(f"{cell}/{block}/combine", self.combines, vocabulary="combine")

    def network(self, open: Open, task: Task) -> nn.Module:
        from archwright.nets.cell import NASNET
        from archwright.nets.network import set_norms
        from archwright.nets.skeleton import CellNetwork, SkeletonConfig

        architecture = only(self, open)  # the width of a cell depends on it
        large = self.stem == "imagenet" or (self.stem == "auto" and min(task.height, task.width) >= LARGE)
        network = CellNetwork(
            cells.operands(open, self.blocks, _swapped),
            wiring(architecture, self.blocks),
            functools.partial(wiring, blocks=self.blocks),
            task,
            **settings(self, "repeats", "filters", "stem_stride", "auxiliary", "dropout", "drop_path_keep"),
            ends="concatenate",
            reduction="strided",
            base=False,
            joins={cell: joins(architecture, cell, self.blocks) for cell in CELLS},
            kept={cell: tuple(map(_swapped, self.kept_of(cell))) for cell in CELLS},
            variant=NASNET,
            config=SkeletonConfig(
                stem="cells" if large else "convolution",
                stem_filters=32 if large and self.stem_filters is None else self.stem_filters,
                first_older=False,
                skip_reduction=self.skip_reduction,
                auxiliary_after=-1,
                valid_auxiliary=True,
                bias=True,
                start="truncated",
            ),
        )
        set_norms(network, epsilon=self.norm_epsilon, momentum=self.norm_momentum)
        return network

    def from_cells(self, **lists: tuple[Sequence[str], Sequence[int]]) -> Architecture:
        """Read the official code's lists: for each cell ("normal", "reduction") operations and hidden state indices.

        Both have two entries a block; every block adds.
        """
        answers: dict[str, Any] = {}
        for cell in CELLS:
            operations, indices = lists[cell]
            if not len(operations) == len(indices) == 2 * self.blocks:
                raise SpaceError(f"the {cell} cell must have {2 * self.blocks} operations and as many states")
            for index, (operation, state) in enumerate(zip(operations, indices, strict=True)):
                block = f"{cell}/{index // 2 + 2}"
                side = f"{block}/{SIDES[index % 2]}"
                answers |= {side: state, f"{side}/op": operation, f"{block}/combine": "add"}
        return replay(self, answers)

    def graphs(self, architecture: Architecture) -> tuple[Graph, ...]:
        inputs = ("h[i]", "h[i-1]")
        return tuple(
            cells.cell_graph(cell, blocks, joins(architecture, cell, self.blocks), self.kept_of(cell), inputs)
            for cell, blocks in cells.wiring(architecture, self.blocks).items()
        )

    def kept_of(self, cell: str) -> tuple[int, ...]:
        """Return the numbers of the states in `kept` of one cell."""
        return tuple(int(name.split("/")[1]) for name in self.kept if name.startswith(f"{cell}/"))


def joins(architecture: Architecture, cell: str, blocks: int) -> tuple[str, ...]:
    """Return how each block of a cell combines its two operands."""
    return tuple(str(architecture[f"{cell}/{block}/combine"]) for block in range(2, blocks + 2))


@functools.lru_cache(maxsize=1024)
def wiring(architecture: Architecture, blocks: int) -> dict[str, Wiring]:
    """Return each cell's operands with states numbered as in `archwright.nets.wiring`: there 0 is the older input."""
    return {
        cell: tuple(tuple((_swapped(state), op) for state, op in block) for block in nodes)
        for cell, nodes in cells.wiring(architecture, blocks).items()
    }


def _swapped(state: int) -> int:
    return 1 - state if state < 2 else state
