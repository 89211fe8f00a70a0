"""What a run does where the user says nothing: as published ("paper"), or sized for a CPU ("small")."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from archwright.controllers.reinforce import ENAS_MACRO, NAS
from archwright.training.recipe import (
    ENAS_MACRO_FINAL,
    ENAS_MACRO_SEARCH,
    ENAS_MICRO_SEARCH,
    ENAS_RECURRENT,
    NAS_CONV,
    NAS_RECURRENT,
    NASNET_FINAL,
    NASNET_SEARCH,
    Recipe,
)

if TYPE_CHECKING:
    from archwright.space import Space

PRESETS = ("small", "paper")
# Filters, repeats and, for photographs, the stem's stride to try, the cheapest first. Multiples of 16 channels: others
# are slow on CPUs in channels_last.
SIZES = ((16, 1, 2), (32, 1, 2), (32, 2, 2), (48, 2, 2), (32, 2, 1), (48, 3, 1), (64, 4, 1), (64, 5, 1))
PHOTOGRAPH, LARGE = 24, 48  # pixels from which a stem halves, or halves once more, what is left
Size = tuple[int, int, int]


@dataclass(frozen=True)
class Preset:
    """Fields of the space in the search and in final training, recipes, fields of `Plan`, arguments of controllers."""

    search_recipe: Recipe
    final_recipe: Recipe
    settings: Mapping[str, Any]
    space: Mapping[str, Any] = field(default_factory=dict)
    final_space: Mapping[str, Any] = field(default_factory=dict)
    reinforce: Mapping[str, Any] = field(default_factory=dict)
    ppo: Mapping[str, Any] = field(default_factory=dict)


NAS_REWARD: Mapping[str, Any] = {"evaluator": "from-scratch", "objective": "accuracy-cubed", "last_epochs": 5}
NAS_TEXT_REWARD: Mapping[str, Any] = {"evaluator": "from-scratch", "objective": "inverse-perplexity-squared"}
# ENAS's two phases in a few minutes: rounds of shared training alone, then rounds of trials too.
SMALL_ROUNDS: Mapping[str, Any] = {
    "trials": 8 * 30,
    "trials_per_epoch": 30,
    "warmup": 12,
    "samples": 30,
    "shortlist": 5,
}


def paper_controller(cls: type[Space]) -> str:
    """The controller of the paper that the space is from."""
    return "ppo" if cls.name == "nasnet" else "reinforce"


def published(cls: type[Space]) -> Preset:
    """The papers' settings."""
    if cls.name == "nasnet":
        # Zoph et al. 2018, appendix A.1: the best 250 of 20,000 are trained to the end.
        settings = {"evaluator": "from-scratch", "trials": 20_000, "trials_per_epoch": 1, "finalists": 250}
        return Preset(NASNET_SEARCH, NASNET_FINAL, settings)
    if cls.name == "nas-conv":
        settings = {**NAS_REWARD, "trials": 12_800, "trials_per_epoch": 1}
        final = replace(NAS_CONV, epochs=300, decay_at=(0.5, 0.75))  # trained "until convergence"; DenseNet's length
        return Preset(NAS_CONV, final, settings, reinforce=NAS)
    if cls.name == "enas-recurrent":
        # 2,000 steps of the controller an epoch, of one architecture each; the official cell is trained as enas_lm's.
        settings = {"objective": "inverse-perplexity", "trials": 150 * 2000, "trials_per_epoch": 2000, "samples": 10}
        return Preset(ENAS_RECURRENT, ENAS_RECURRENT, settings, reinforce={"batch": 1})
    if cls.name == "enas-macro":
        settings = {"trials": 310 * 1000, "trials_per_epoch": 1000, "samples": 10}
        return Preset(ENAS_MACRO_SEARCH, ENAS_MACRO_FINAL, settings, reinforce=ENAS_MACRO)
    if cls.data == "text":
        settings = {**NAS_TEXT_REWARD, "trials": 15_000, "trials_per_epoch": 1}
        # Zoph & Le 2017, section 4.2; one child a replica, ten gradients to an update.
        controller = {**NAS, "learning_rate": 5e-4, "batch": 10}
        return Preset(NAS_RECURRENT, NAS_RECURRENT, settings, reinforce=controller)
    settings = {"trials": 150 * 300, "trials_per_epoch": 300, "samples": 10}
    return Preset(ENAS_MICRO_SEARCH, Recipe(), settings)


def small(cls: type[Space], data: Any, size: Size = SIZES[0]) -> Preset:
    """Networks of a size and training of a length for a CPU: what differs from the papers differs for speed."""
    if cls.data == "text":
        return _small_text(cls, data)
    side = min(data.task.height, data.task.width)
    common: dict[str, Any] = {
        "batch": 64 if len(data.train) < 8192 else 128,
        # Crops as far as the paper's 4 of 32 pixels; only colour photographs are mirrored without being told to.
        "pad": max(1, side // 8),
        "flip": data.task.channels == 3,
    }
    if cls.name == "nas-conv":
        return _small_nas(common, side)
    if cls.name == "nasnet":
        return _small_nasnet(common, side, size)
    names = {f.name for f in dataclasses.fields(cls)}
    stride = _stem_stride(side, size)
    sizes = {"filters": size[0], "repeats": size[1], "stem_stride": stride}
    final = {**sizes, "drop_path_keep": 0.9, "dropout": 0.1}
    few = len(data.train) < 8192  # little data takes more decay: five times the papers', which are for 45,000 images
    base = published(cls)
    controller = {
        "learning_rate": 3.5e-3
    }  # the official micro script's; the paper's 3.5e-4 is for 2,000 steps an epoch
    if cls.name == "enas-macro":
        sizes["layers"] = 8
        controller |= {name: ENAS_MACRO[name] for name in ("skip_weight", "skip_target")}
    return Preset(
        replace(base.search_recipe, **common, epochs=20),
        replace(base.final_recipe, **common, epochs=36, weight_decay=2e-3 if few else base.final_recipe.weight_decay),
        {**SMALL_ROUNDS, "evaluation_batch": 256},
        {k: v for k, v in sizes.items() if k in names},
        {k: v for k, v in final.items() if k in names},
        controller,
    )


def _stem_stride(side: int, size: Size) -> int:
    return 1 if side < PHOTOGRAPH else size[2] if side < LARGE else 2 * size[2]


def _small_nasnet(common: Mapping[str, Any], side: int, size: Size) -> Preset:
    """Children of five cells that train in seconds; the best five are trained longer, the best of those to the end."""
    sizes = {"filters": size[0], "repeats": size[1], "stem_stride": _stem_stride(side, size)}
    recipe = replace(NASNET_SEARCH, **common, learning_rate=0.05)  # the papers' rate is for batches of 32
    settings = {"evaluator": "from-scratch", "trials": 40, "trials_per_epoch": 1, "shortlist": 5}
    return Preset(
        replace(recipe, epochs=2),
        replace(recipe, epochs=24),
        settings,
        sizes,
        {**sizes, "drop_path_keep": 0.9, "auxiliary": side >= PHOTOGRAPH},
        {"learning_rate": 3.5e-3, "temperature": None, "tanh_constant": None},
        # The paper's learning rate and minibatch are for 20,000 children.
        {"learning_rate": 3.5e-3, "batch": 8},
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


def _small_text(cls: type[Space], data: Any) -> Preset:
    """Models that a CPU trains in seconds. Adam from wide weights learns in a hundred steps what SGD at a rate of 20
    learns in thousands, and more kinds of cell survive it."""
    vocabulary = len(data.vocabulary)
    units = 64 if vocabulary < 4000 else 96
    adam: dict[str, Any] = {
        "optimizer": "adam",
        "momentum": 0.9,
        "restart_period": 1000,
        "decay_every": None,
        "learning_rate_min": 1e-4,
        "weight_decay": 0.0,
    }
    space: dict[str, Any] = {"init": 0.2, "input_dropout": 0.1, "output_dropout": 0.1}
    final = replace(NAS_RECURRENT, **adam, learning_rate=5e-3, batch=32, epochs=10)
    if cls.name == "nas-recurrent":
        space["parameters"] = vocabulary + 2 * vocabulary * units + 2 * 16 * units * units
        search = replace(final, learning_rate=1e-2, batch=64, length=10, epochs=1, validation_limit=10_000)
        settings = {**NAS_TEXT_REWARD, "trials": 60, "trials_per_epoch": 1}
        return Preset(search, final, settings, space, {}, {**NAS, "learning_rate": 5e-3, "batch": 10})
    space |= {"nodes": 8, "units": units, "recurrent_dropout": 0.1}
    settings = {**SMALL_ROUNDS, "steps_per_epoch": 50, "objective": "inverse-perplexity", "evaluation_batch": 64}
    search = replace(final, learning_rate_min=1e-3, length=20, epochs=20)
    names = {f.name for f in dataclasses.fields(cls)}
    given = {k: v for k, v in space.items() if k in names}
    return Preset(search, replace(final, epochs=5), settings, given, given, {"learning_rate": 3.5e-3})
