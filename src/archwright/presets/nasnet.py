"""Learning Transferable Architectures for Scalable Image Recognition (Zoph et al. 2018)."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from typing import TYPE_CHECKING

from archwright.presets.values import PHOTOGRAPH, Preset, Size, SpacePresets, image_recipe, side_of, stem_stride
from archwright.spaces.published import IMAGENET
from archwright.training.recipe import NASNET_FINAL, NASNET_IMAGENET, NASNET_SEARCH

if TYPE_CHECKING:
    from archwright.modalities.protocol import Modality
    from archwright.space import Space


def _small(cls: type[Space], modality: Modality, size: Size) -> Preset:
    """Children of five cells that train in seconds; the best five are trained longer, the best of those to the end."""
    side = side_of(modality.data.task)
    sizes = {"filters": size[0], "repeats": size[1], "stem_stride": stem_stride(side, size)}
    recipe = replace(NASNET_SEARCH, **image_recipe(modality), learning_rate=0.05)  # the paper's rate is for batch 32
    return Preset(
        replace(recipe, epochs=2),
        replace(recipe, epochs=24),
        {"evaluator": "from-scratch", "trials": 40, "trials_per_epoch": 1, "shortlist": 5},
        sizes,
        {**sizes, "drop_path_keep": 0.9, "auxiliary": side >= PHOTOGRAPH},
        {
            "reinforce": {"learning_rate": 3.5e-3, "temperature": None, "tanh_constant": None},
            # The paper's learning rate and minibatch are for 20,000 children.
            "ppo": {"learning_rate": 3.5e-3, "batch": 8},
        },
    )


NASNET = SpacePresets(
    Preset(
        NASNET_SEARCH,
        NASNET_FINAL,
        # Appendix A.1: the best 250 of 20,000 are trained to the end.
        {"evaluator": "from-scratch", "trials": 20_000, "trials_per_epoch": 1, "finalists": 250},
    ),
    _small,
    controller="ppo",
    large=({**IMAGENET, "drop_path_keep": 1.0}, dataclasses.asdict(NASNET_IMAGENET)),  # slim's mobile_imagenet_config
    large_from=128,
)
