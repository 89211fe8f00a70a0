"""DARTS: Differentiable Architecture Search (Liu et al. 2019)."""

from __future__ import annotations

import dataclasses
from functools import partial

from archwright.presets.enas import RECURRENT as ENAS_RECURRENT
from archwright.presets.enas import small_images, small_text
from archwright.presets.values import Preset, SpacePresets
from archwright.spaces.published import DARTS_IMAGENET as IMAGENET_NETWORK
from archwright.training.recipe import (
    DARTS_FINAL,
    DARTS_IMAGENET,
    DARTS_RECURRENT,
    DARTS_RECURRENT_SEARCH,
    DARTS_SEARCH,
)

# The search with shared weights has ENAS's rounds: DARTS's own has no trials.
PUBLISHED = Preset(DARTS_SEARCH, DARTS_FINAL, {"trials": 50 * 300, "trials_per_epoch": 300, "samples": 10})
CELLS = SpacePresets(
    PUBLISHED,
    partial(small_images, published=PUBLISHED),
    large=(IMAGENET_NETWORK, dataclasses.asdict(DARTS_IMAGENET)),
    large_from=128,
)
RECURRENT = SpacePresets(
    dataclasses.replace(ENAS_RECURRENT.published, search_recipe=DARTS_RECURRENT_SEARCH, final_recipe=DARTS_RECURRENT),
    small_text,
)
