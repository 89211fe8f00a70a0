"""Sentences of a grammar: a race of known and composed networks, or children from scratch (Ericsson et al. 2024)."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from archwright.presets.stages import BALANCED, EPOCHS, LOOKED_AT, SEEN
from archwright.presets.values import Preset, Size, SpacePresets, image_recipe
from archwright.training.recipe import MINUTES

if TYPE_CHECKING:
    from archwright.modalities.protocol import Modality
    from archwright.space import Architecture, Space

# Sentences with attention, or without any norm, do not train at a rate that suits residual networks with SGD.
ANYTHING = replace(MINUTES, optimizer="adam", learning_rate=2e-3, weight_decay=0.0, clip_norm=1.0)
# What is a variation of a network trained before goes on from three quarters of that one's first heat.
HEIRS = 0.75
# Widths of known networks in a counted run: each starts with the largest that computes no more than this.
SIZES, WORK = (0.5, 0.25, 0.125, 0.0625), 10_000_000


def small(cls: type[Space], modality: Modality, size: Size) -> Preset:
    """Return a race for a CPU; what is composed is composed for the shape of these images."""
    task, count = modality.data.task, len(modality.data.train)
    recipe = replace(
        ANYTHING,
        **image_recipe(modality),
        epochs=min(EPOCHS[1], max(EPOCHS[0], SEEN / count)),
        validation_limit=LOOKED_AT if len(modality.data.validation) > LOOKED_AT else None,
    )
    space: dict[str, Any] = {"channels": task.channels, "height": task.height, "width": task.width}
    starters = {name: known.to_json() for name, known in affordable(cls(**space)).items()}
    race = {"evaluator": "race", "trials": 9, "starters": starters, "balance": BALANCED / count}
    race |= {"heirs": HEIRS, "favourite": False}
    controllers: dict[str, dict[str, Any]] = {
        "evolution": {"first": "varied"},
        "guided": {"start": 4, "random": 0, "mutants": 16, "parents": 4, "climb": 0, "near": 0},
    }
    return Preset(replace(recipe, epochs=recipe.epochs / 5), recipe, race, space, space, controllers)


def affordable(space: Any, work: int = WORK) -> dict[str, Architecture]:
    """Return the known networks, each as wide as so many multiply-adds allow, or as narrow as there is."""
    found: dict[str, Architecture] = {}
    for size in SIZES:
        for name, one in space.known(size).items():
            if name not in found or space.magnitudes(found[name])["multiply_adds"] > math.log2(work):
                found[name] = one
    return found


GRAMMAR = SpacePresets(Preset(ANYTHING, ANYTHING, {"evaluator": "race", "trials": 36}), small, controller="evolution")
