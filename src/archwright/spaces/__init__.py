"""The spaces that come with archwright, one file each, and the registry of their names."""

from __future__ import annotations

from archwright.space import Space
from archwright.spaces.darts import Darts
from archwright.spaces.darts_recurrent import DartsRecurrent
from archwright.spaces.enas_macro import EnasMacro
from archwright.spaces.enas_micro import EnasMicro
from archwright.spaces.enas_recurrent import EnasRecurrent
from archwright.spaces.grammar import Grammar
from archwright.spaces.nas_bench_201 import NasBench201
from archwright.spaces.nas_conv import NasConv
from archwright.spaces.nas_recurrent import NasRecurrent
from archwright.spaces.nasnet import NasNet
from archwright.spaces.recipe import Recipe
from archwright.spaces.recurrent import Recurrent
from archwright.spaces.stages import Stages

SPACES: dict[str, type[Space]] = {
    cls.name: cls
    for cls in (
        *(Darts, DartsRecurrent, EnasMacro, EnasMicro, EnasRecurrent, Grammar, NasBench201, NasConv, NasNet),
        *(NasRecurrent, Recipe, Recurrent, Stages),
    )
}

__all__ = [
    "SPACES",
    "Darts",
    "DartsRecurrent",
    "EnasMacro",
    "EnasMicro",
    "EnasRecurrent",
    "Grammar",
    "NasBench201",
    "NasConv",
    "NasNet",
    "NasRecurrent",
    "Recipe",
    "Recurrent",
    "Stages",
]
