"""Neural Architecture Search with Reinforcement Learning (Zoph & Le 2017)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from archwright.controllers.reinforce import NAS
from archwright.presets.text import small_recipe, small_space, units_of
from archwright.presets.values import PHOTOGRAPH, Preset, Size, SpacePresets, image_recipe, side_of
from archwright.training.recipe import NAS_CONV, NAS_RECURRENT

if TYPE_CHECKING:
    from archwright.modalities.protocol import Modality
    from archwright.space import Space

REWARD: Mapping[str, Any] = {"evaluator": "from-scratch", "objective": "accuracy-cubed", "last_epochs": 5}
TEXT_REWARD: Mapping[str, Any] = {"evaluator": "from-scratch", "objective": "inverse-perplexity-squared"}


def _small_conv(cls: type[Space], modality: Modality, size: Size) -> Preset:
    """Children that train in seconds: fewer and narrower layers, a stride where the images are photographs."""
    space: dict[str, Any] = {
        "layers": 7,
        "first_layers": 3,
        "more_layers": 1,
        "every": 20,
        "filter_heights": (1, 3, 5),
        "filter_widths": (1, 3, 5),
        "filter_counts": (8, 16, 24, 32),
        "pool_after": (1, 3) if side_of(modality.data.task) >= PHOTOGRAPH else (3,),
    }
    recipe = replace(NAS_CONV, **image_recipe(modality), decay_at=(), restart_period=1000, learning_rate=0.05)
    return Preset(
        replace(recipe, epochs=10),
        replace(recipe, epochs=40),
        {**REWARD, "trials": 100},
        space,
        # The paper's learning rate is for 12,800 children; ten times that for a hundred.
        controllers={"reinforce": {**NAS, "learning_rate": 6e-3}},
    )


def _small_recurrent(cls: type[Space], modality: Modality, size: Size) -> Preset:
    units, vocabulary = units_of(modality), modality.data.task.vocabulary
    final = small_recipe()
    return Preset(
        replace(final, learning_rate=1e-2, batch=64, length=10, epochs=1, validation_limit=10_000),
        final,
        {**TEXT_REWARD, "trials": 60},
        {**small_space(cls), "parameters": vocabulary + 2 * vocabulary * units + 2 * 16 * units * units},
        controllers={"reinforce": {**NAS, "learning_rate": 5e-3, "batch": 10}},
    )


CONV = SpacePresets(
    Preset(
        NAS_CONV,
        replace(NAS_CONV, epochs=300, decay_at=(0.5, 0.75)),  # trained "until convergence"; DenseNet's length
        {**REWARD, "trials": 12_800},
        controllers={"reinforce": NAS},
    ),
    _small_conv,
)
RECURRENT = SpacePresets(
    Preset(
        NAS_RECURRENT,
        NAS_RECURRENT,
        {**TEXT_REWARD, "trials": 15_000},
        # Section 4.2; one child a replica, ten gradients to an update.
        controllers={"reinforce": {**NAS, "learning_rate": 5e-4, "batch": 10}},
    ),
    _small_recurrent,
)
