"""Networks that papers have published, by name: an architecture, the space with its settings, and what it is for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from archwright.space import Architecture, Space, Task, TextTask
from archwright.spaces import known, known_language
from archwright.spaces.darts import Darts
from archwright.spaces.darts_recurrent import DartsRecurrent
from archwright.spaces.grammar import Grammar
from archwright.spaces.grammar.starters import PAPERS as STARTER_PAPERS
from archwright.spaces.nasnet import NasNet
from archwright.spaces.recurrent import Recurrent
from archwright.spaces.stages import Stages

# NASNet-A (Zoph et al. 2018, figure 4) as the official code has it: operations, and the states that they read.
NORMAL = (
    ["sep_5x5", "sep_3x3", "sep_5x5", "sep_3x3", "avg_3x3", "identity", "avg_3x3", "avg_3x3", "sep_3x3", "identity"],
    [0, 1, 1, 1, 0, 1, 1, 1, 0, 0],
)
REDUCTION = (
    ["sep_5x5", "sep_7x7", "max_3x3", "sep_7x7", "avg_3x3", "sep_5x5", "identity", "avg_3x3", "sep_3x3", "max_3x3"],
    [0, 1, 0, 1, 0, 1, 3, 2, 2, 0],
)
NASNET_A = {"normal": NORMAL, "reduction": REDUCTION}
KEPT = ("normal/1", "reduction/3")  # nasnet_utils.py: used_hiddenstates
# slim's mobile_imagenet_config and large_imagenet_config; BatchNorm decay 0.9997, epsilon 1e-3 (nasnet_*_arg_scope).
IMAGENET: dict[str, Any] = {"stem": "imagenet", "dropout": 0.5, "norm_epsilon": 1e-3, "norm_momentum": 0.0003}
MOBILE: dict[str, Any] = {"repeats": 4, "filters": 44, "stem_filters": 32, "drop_path_keep": 1.0, **IMAGENET}
LARGE: dict[str, Any] = {
    **{"repeats": 6, "filters": 168, "stem_filters": 96, "drop_path_keep": 0.7, "skip_reduction": True},
    **IMAGENET,
}

# DARTS (Liu et al. 2019): the cells found on CIFAR-10 with the first- and the second-order approximation, as operations
# and the states that they read, two for each node; of the normal and of the reduction cell (cnn/genotypes.py).
DARTS_V1 = (
    [
        *[("sep_conv_3x3", 1), ("sep_conv_3x3", 0), ("skip_connect", 0), ("sep_conv_3x3", 1)],
        *[("skip_connect", 0), ("sep_conv_3x3", 1), ("sep_conv_3x3", 0), ("skip_connect", 2)],
    ],
    [
        *[("max_pool_3x3", 0), ("max_pool_3x3", 1), ("skip_connect", 2), ("max_pool_3x3", 0)],
        *[("max_pool_3x3", 0), ("skip_connect", 2), ("skip_connect", 2), ("avg_pool_3x3", 0)],
    ],
)
DARTS_V2 = (
    [
        *[("sep_conv_3x3", 0), ("sep_conv_3x3", 1), ("sep_conv_3x3", 0), ("sep_conv_3x3", 1)],
        *[("sep_conv_3x3", 1), ("skip_connect", 0), ("skip_connect", 0), ("dil_conv_3x3", 2)],
    ],
    [
        *[("max_pool_3x3", 0), ("max_pool_3x3", 1), ("skip_connect", 2), ("max_pool_3x3", 1)],
        *[("max_pool_3x3", 0), ("skip_connect", 2), ("skip_connect", 2), ("max_pool_3x3", 1)],
    ],
)
# Its recurrent cells: activations, and the nodes that they read (rnn/genotypes.py).
DARTS_RECURRENT_V1 = [
    *[("relu", 0), ("relu", 1), ("tanh", 2), ("relu", 3), ("relu", 4), ("identity", 1), ("relu", 5), ("relu", 1)],
]
DARTS_RECURRENT_V2 = [
    *[("sigmoid", 0), ("relu", 1), ("relu", 1), ("identity", 1), ("tanh", 2), ("sigmoid", 5), ("tanh", 3), ("relu", 5)],
]
DARTS_CELLS = {"darts-v1": (DARTS_V1, "first order"), "darts-v2": (DARTS_V2, "second order")}
# cnn/train_imagenet.py: 14 cells, no drop path.
DARTS_IMAGENET: dict[str, Any] = {"repeats": 4, "filters": 48, "stem": "imagenet", "drop_path_keep": 1.0}


@dataclass(frozen=True)
class Published:
    """One published network, which `build` makes. `paper` says where it is from."""

    space: Space
    task: Task | TextTask
    paper: str
    build: Callable[[Any], Architecture] = lambda space: space.from_cells(**NASNET_A)

    @cached_property
    def architecture(self) -> Architecture:
        """The architecture, of the space."""
        return self.build(self.space)


def _final(**fields: Any) -> NasNet:
    return NasNet(kept=KEPT).final(**fields)


def _genotype(genotype: Any, space: Any) -> Architecture:
    architecture: Architecture = space.from_genotype(*genotype)
    return architecture


def _darts_recurrent(genotype: Any, order: str) -> Published:
    space = DartsRecurrent().final()
    return Published(space, TextTask(10_000), f"Liu et al. 2019, DARTS, {order}", partial(_genotype, (genotype,)))


def _darts(ending: str, task: Task, **fields: Any) -> dict[str, Published]:
    space = Darts().final(**fields)
    return {
        f"{name}{ending}": Published(space, task, f"Liu et al. 2019, DARTS, {order}", partial(_genotype, cells))
        for name, (cells, order) in DARTS_CELLS.items()
    }


GRAMMAR = Grammar()


def _starter(name: str, space: Any) -> Architecture:
    architecture: Architecture = space.known(1.0)[name]
    return architecture


PUBLISHED = {
    "nasnet-a": Published(_final(), Task(3, 32, 32, 10), "Zoph et al. 2018, NASNet-A (6 @ 768)"),
    "nasnet-a-mobile": Published(_final(**MOBILE), Task(3, 224, 224, 1000), "Zoph et al. 2018, NASNet-A (4 @ 1056)"),
    "nasnet-a-large": Published(_final(**LARGE), Task(3, 331, 331, 1000), "Zoph et al. 2018, NASNet-A (6 @ 4032)"),
    **_darts("", Task(3, 32, 32, 10)),
    **_darts("-imagenet", Task(3, 224, 224, 1000), **DARTS_IMAGENET),
    "darts-recurrent-v1": _darts_recurrent(DARTS_RECURRENT_V1, "first order"),
    "darts-recurrent-v2": _darts_recurrent(DARTS_RECURRENT_V2, "second order"),
    **{
        name: Published(Stages(), Task(3, 32, 32, 10), network.paper, partial(known.known, name))
        for name, network in known.KNOWN.items()
    },
    **{
        name: Published(GRAMMAR, Task(3, 32, 32, 10), paper, partial(_starter, name))
        for name, paper in STARTER_PAPERS.items()
    },
    **{
        name: Published(Recurrent(), TextTask(10_000), network.paper, partial(known_language.known, name))
        for name, network in known_language.KNOWN.items()
    },
}
