"""DARTS: Differentiable Architecture Search (Liu et al. 2019)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from archwright.presets.enas import small_images, small_text
from archwright.presets.values import Preset, Size, SpacePresets
from archwright.spaces.published import DARTS_IMAGENET as IMAGENET_NETWORK
from archwright.training.recipe import (
    DARTS_FINAL,
    DARTS_IMAGENET,
    DARTS_RECURRENT,
    DARTS_RECURRENT_SEARCH,
    DARTS_SEARCH,
    Recipe,
)

if TYPE_CHECKING:
    from archwright.modalities.protocol import Modality
    from archwright.space import Space

EPOCHS = 12.0  # of a small counted search
# Short searches go as far as published ones, and beta-decay keeps skip connections from taking over (docs/darts.md).
SMALL: Mapping[str, Any] = {"travel": 5.9, "beta_decay": 50.0}


def small_search(modality: Modality, recipe: Recipe) -> dict[str, Any]:
    """Return the settings of a counted gradient search of `recipe.epochs` over half of the training part."""
    steps = len(modality.data.train) / 2 / modality.per_step(recipe)
    return {"evaluator": "gradient", "trials": max(1, round(recipe.epochs * steps))}


def small(cls: type[Space], modality: Modality, size: Size) -> Preset:
    """Return a search with the smallest network and partial channels; what it finds is trained at `size`."""
    usual = small_images(cls, modality, size, published=PUBLISHED)
    recipe = replace(usual.search_recipe, epochs=EPOCHS)
    search = {**usual.space, "filters": 16, "repeats": 1, "partial": 4}
    return replace(
        usual,
        search_recipe=recipe,
        # Squares of 16 pixels are for images of 32 and hundreds of passes, and so is the paper's rate.
        final_recipe=replace(usual.final_recipe, cutout=0, learning_rate=0.1),
        settings=small_search(modality, recipe),
        space=search,
        controllers={"gradient": SMALL},
    )


def small_recurrent(cls: type[Space], modality: Modality, size: Size) -> Preset:
    """Return a search with cells that a CPU trains in seconds."""
    usual = small_text(cls, modality, size)
    recipe = replace(usual.search_recipe, epochs=4.0)
    settings = {**small_search(modality, recipe), "objective": "inverse-perplexity"}
    return replace(usual, search_recipe=recipe, settings=settings, controllers={"gradient": SMALL})


PUBLISHED = Preset(DARTS_SEARCH, DARTS_FINAL, {"evaluator": "gradient", "trials": 50 * 391})  # 25,000 images
CELLS = SpacePresets(
    PUBLISHED,
    small,
    large=(IMAGENET_NETWORK, dataclasses.asdict(DARTS_IMAGENET)),
    large_from=128,
)
RECURRENT = SpacePresets(
    Preset(
        DARTS_RECURRENT_SEARCH,
        DARTS_RECURRENT,
        # Penn Treebank: 929,589 words in rows of 256 are 104 pieces of 35. Adam's own betas (rnn/architect.py).
        {"evaluator": "gradient", "objective": "inverse-perplexity", "trials": 50 * 104},
        controllers={"gradient": {"learning_rate": 3e-3, "betas": (0.9, 0.999)}},
    ),
    small_recurrent,
)
