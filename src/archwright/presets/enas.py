"""Efficient Neural Architecture Search via Parameter Sharing (Pham et al. 2018)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from archwright.controllers.reinforce import ENAS_MACRO
from archwright.presets.text import small_recipe, small_space, units_of
from archwright.presets.values import (
    FEW_IMAGES,
    SMALL_ROUNDS,
    Preset,
    Size,
    SpacePresets,
    image_recipe,
    known_fields,
    side_of,
    stem_stride,
)
from archwright.training.recipe import (
    ENAS_MACRO_FINAL,
    ENAS_MACRO_SEARCH,
    ENAS_MICRO_SEARCH,
    ENAS_RECURRENT,
    Recipe,
)

if TYPE_CHECKING:
    from archwright.modalities.protocol import Modality
    from archwright.space import Space

# What orders architectures best (docs/enas.md): losses, and in the macro space the number of parameters with them.
RANKING: Mapping[str, Any] = {"objective": "likelihood"}
# The official micro script's; the paper's 3.5e-4 is for 2,000 steps an epoch.
LEARNING_RATE = {"learning_rate": 3.5e-3}


def small_images(cls: type[Space], modality: Modality, size: Size, *, published: Preset, macro: bool = False) -> Preset:
    """Return networks of a size for a CPU; what differs from the paper differs for speed."""
    stride = stem_stride(side_of(modality.data.task), size)
    sizes = {"filters": size[0], "repeats": size[1], "stem_stride": stride}
    final = {**sizes, "drop_path_keep": 0.9, "dropout": 0.1}
    controller: dict[str, Any] = dict(LEARNING_RATE)
    if macro:
        sizes["layers"] = 8
        controller |= {name: ENAS_MACRO[name] for name in ("skip_weight", "skip_target")}
    common = image_recipe(modality)
    few = len(modality.data.train) < FEW_IMAGES  # five times the paper's decay, which is for 45,000 images
    return Preset(
        replace(published.search_recipe, **common, epochs=20),
        replace(
            published.final_recipe,
            **common,
            epochs=36,
            weight_decay=2e-3 if few else published.final_recipe.weight_decay,
        ),
        {**SMALL_ROUNDS, "evaluation_batch": 256, **RANKING, **({"proxy": "parameters"} if macro else {})},
        known_fields(cls, sizes),
        known_fields(cls, final),
        {"reinforce": controller},
    )


def small_text(cls: type[Space], modality: Modality, size: Size) -> Preset:
    """Return models that a CPU trains in seconds."""
    final = small_recipe()
    units = units_of(modality)
    space = small_space(cls, nodes=8, units=units, recurrent_dropout=0.1, apart=True)
    # The largest singular value of a matrix is about 1, so that chains of ReLUs and identities do not begin to explode;
    # shared weights are normalised.
    gentle = round(math.sqrt(3 / units) / 2, 3)
    return Preset(
        replace(final, warmup=0.0, learning_rate_min=1e-3, length=20, epochs=20),
        replace(final, epochs=5),
        {**SMALL_ROUNDS, "steps_per_epoch": 50, "objective": "inverse-perplexity", "evaluation_batch": 64},
        space,
        {**space, "init": gentle},
        {"reinforce": LEARNING_RATE},
    )


PUBLISHED_MICRO = Preset(ENAS_MICRO_SEARCH, Recipe(), {"trials": 150 * 300, "trials_per_epoch": 300, "samples": 10})
PUBLISHED_MACRO = Preset(
    ENAS_MACRO_SEARCH,
    ENAS_MACRO_FINAL,
    {"trials": 310 * 1000, "trials_per_epoch": 1000, "samples": 10},
    controllers={"reinforce": ENAS_MACRO},
)
MICRO = SpacePresets(PUBLISHED_MICRO, partial(small_images, published=PUBLISHED_MICRO))
MACRO = SpacePresets(PUBLISHED_MACRO, partial(small_images, published=PUBLISHED_MACRO, macro=True))
RECURRENT = SpacePresets(
    Preset(
        ENAS_RECURRENT,
        ENAS_RECURRENT,
        # 2,000 steps of the controller an epoch, of one architecture each; the official cell is trained as enas_lm's.
        {"objective": "inverse-perplexity", "trials": 150 * 2000, "trials_per_epoch": 2000, "samples": 10},
        controllers={"reinforce": {"batch": 1}},
    ),
    small_text,
)
