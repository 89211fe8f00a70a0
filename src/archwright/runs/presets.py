"""What a run does where the user says nothing: as published ("paper"), or sized for a CPU ("small")."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from archwright.controllers.reinforce import NAS
from archwright.data.text import TextData
from archwright.training.recipe import ENAS_MICRO_SEARCH, NAS_CONV, NAS_RECURRENT, Recipe

if TYPE_CHECKING:
    from archwright.runs.timing import Data
    from archwright.space import Space

PRESETS = ("small", "paper")
# Filters, repeats and, for photographs, the stem's stride to try, the cheapest first. Multiples of 16 channels: others
# are slow on CPUs in channels_last.
SIZES = ((16, 1, 2), (32, 1, 2), (32, 2, 2), (48, 2, 2), (32, 2, 1), (48, 3, 1), (64, 4, 1), (64, 5, 1))
PHOTOGRAPH, LARGE = 24, 48  # pixels from which a stem halves, or halves once more, what is left
Size = tuple[int, int, int]


@dataclass(frozen=True)
class Preset:
    """Fields of the space in the search and in final training, recipes, fields of `Plan`, arguments of `Reinforce`."""

    search_recipe: Recipe
    final_recipe: Recipe
    settings: Mapping[str, Any]
    space: Mapping[str, Any] = field(default_factory=dict)
    final_space: Mapping[str, Any] = field(default_factory=dict)
    reinforce: Mapping[str, Any] = field(default_factory=dict)


NAS_REWARD: Mapping[str, Any] = {"evaluator": "from-scratch", "objective": "accuracy-cubed", "last_epochs": 5}
NAS_TEXT_REWARD: Mapping[str, Any] = {"evaluator": "from-scratch", "objective": "inverse-perplexity-squared"}


def published(cls: type[Space]) -> Preset:
    """The papers' settings."""
    if cls.name == "nas-conv":
        settings = {**NAS_REWARD, "trials": 12_800, "trials_per_epoch": 1}
        final = replace(NAS_CONV, epochs=300, decay_at=(0.5, 0.75))  # trained "until convergence"; DenseNet's length
        return Preset(NAS_CONV, final, settings, reinforce=NAS)
    if cls.data == "text":
        settings = {**NAS_TEXT_REWARD, "trials": 15_000, "trials_per_epoch": 1}
        # Zoph & Le 2017, section 4.2; one child a replica, ten gradients to an update.
        controller = {**NAS, "learning_rate": 5e-4, "batch": 10}
        return Preset(NAS_RECURRENT, NAS_RECURRENT, settings, reinforce=controller)
    settings = {"trials": 150 * 300, "trials_per_epoch": 300, "samples": 10}
    return Preset(ENAS_MICRO_SEARCH, Recipe(), settings)


def small(cls: type[Space], data: Data, size: Size = SIZES[0]) -> Preset:
    """Networks of a size and training of a length for a CPU: what differs from the papers differs for speed."""
    if isinstance(data, TextData):
        return _small_text(data)
    side = min(data.task.height, data.task.width)
    common: dict[str, Any] = {
        "batch": 64 if len(data.train) < 8192 else 128,
        # Crops as far as the paper's 4 of 32 pixels; only colour photographs are mirrored without being told to.
        "pad": max(1, side // 8),
        "flip": data.task.channels == 3,
    }
    if cls.name == "nas-conv":
        return _small_nas(common, side)
    names = {f.name for f in dataclasses.fields(cls)}
    stride = 1 if side < PHOTOGRAPH else size[2] if side < LARGE else 2 * size[2]
    sizes = {"filters": size[0], "repeats": size[1], "stem_stride": stride}
    final = {**sizes, "drop_path_keep": 0.9, "dropout": 0.1}
    rounds, warmup, trials_per_epoch = 20, 12, 30
    few = len(data.train) < 8192  # little data takes more decay: five times the papers', which are for 45,000 images
    return Preset(
        replace(ENAS_MICRO_SEARCH, **common, epochs=rounds),
        replace(Recipe(), **common, epochs=36, weight_decay=2e-3 if few else Recipe().weight_decay),
        {
            "trials": (rounds - warmup) * trials_per_epoch,
            "trials_per_epoch": trials_per_epoch,
            "warmup": warmup,
            "evaluation_batch": 256,
            "samples": 30,
            "shortlist": 5,
        },
        {k: v for k, v in sizes.items() if k in names},
        {k: v for k, v in final.items() if k in names},
        {"learning_rate": 3.5e-3},  # the official micro script's; the paper's 3.5e-4 is for 2,000 steps an epoch
    )


def _small_nas(common: Mapping[str, Any], side: int) -> Preset:
    """Children that train in seconds: fewer and narrower layers, a stride where the images are photographs."""
    space: dict[str, Any] = {
        "layers": 7,
        "first_layers": 3,
        "more_layers": 1,
        "every": 20,
        "filter_heights": (1, 3, 5),
        "filter_widths": (1, 3, 5),
        "filter_counts": (8, 16, 24, 32),
        "pool_after": (1, 3) if side >= PHOTOGRAPH else (3,),
    }
    recipe = replace(NAS_CONV, **common, decay_at=(), restart_period=1000, learning_rate=0.05)
    settings = {**NAS_REWARD, "trials": 100, "trials_per_epoch": 1}
    # The paper's learning rate is for 12,800 children; ten times that for a hundred.
    return Preset(
        replace(recipe, epochs=10),
        replace(recipe, epochs=40),
        settings,
        space,
        {},
        {**NAS, "learning_rate": 6e-3},
    )


def _small_text(data: TextData) -> Preset:
    """Models of which half is the vocabulary's, that a CPU trains in seconds."""
    vocabulary = len(data.vocabulary)
    units = 64 if vocabulary < 1000 else 128
    space = {
        "parameters": vocabulary + 2 * vocabulary * units + 2 * 16 * units * units,
        "input_dropout": 0.1,
        "output_dropout": 0.1,
    }
    recipe = replace(NAS_RECURRENT, batch=32)
    settings = {**NAS_TEXT_REWARD, "trials": 60, "trials_per_epoch": 1}
    controller = {**NAS, "learning_rate": 5e-3, "batch": 10}
    search = replace(recipe, epochs=2, validation_limit=10_000)
    return Preset(search, replace(recipe, epochs=10), settings, space, {}, controller)
