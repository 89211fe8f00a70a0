"""Networks in stages: a race of known and new ones, trained for minutes."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from archwright.presets.values import Preset, Size, SpacePresets, image_recipe, side_of
from archwright.training.recipe import MINUTES
from archwright.training.weight_decay import usual_weight_decay

if TYPE_CHECKING:
    from archwright.modalities.protocol import Modality
    from archwright.space import Space

LARGE, LARGER = 48, 128  # pixels from which a stem halves, or quarters
SEEN = 600_000  # images that a counted training sees, within limits
EPOCHS = (10.0, 60.0)  # those limits
SIZE = 0.25  # of the known networks of a counted run: a ResNet-9 of width 16
# Known networks are sized to see the root of so many times the images that the first one would see at START_SIZE,
# however many images there are: few are read more often (docs/value.md).
BALANCED = 600_000
LOOKED_AT = 2500  # validation images of a look: its standard error is a point at most


def small(cls: type[Space], modality: Modality, size: Size) -> Preset:
    """Return a race for a CPU. In a timed run `RaceMethod.planned` sizes the networks instead."""
    task, count = modality.data.task, len(modality.data.train)
    side = side_of(task)
    usual = image_recipe(modality)
    rate, epochs = MINUTES.learning_rate * usual["batch"] / MINUTES.batch, min(EPOCHS[1], max(EPOCHS[0], SEEN / count))
    recipe = replace(
        MINUTES,
        **usual,
        learning_rate=rate,
        epochs=epochs,
        weight_decay=usual_weight_decay(rate, math.ceil(count / usual["batch"]), epochs),
        validation_limit=LOOKED_AT if len(modality.data.validation) > LOOKED_AT else None,
    )
    space: dict[str, Any] = {"stem_stride": 1 if side < LARGE else 2 if side < LARGER else 4}
    starters = {name: known.to_json() for name, known in cls(**space).known(SIZE, recipe).items()}
    controllers = {"guided": {"random": 0, "parents": 2, "climb": 0, "near": 0}}
    race = {"evaluator": "race", "trials": 10, "starters": starters, "balance": BALANCED / count}
    return Preset(recipe, recipe, race, space, space, controllers, follows={"mirror": "flip"})


STAGES = SpacePresets(Preset(MINUTES, MINUTES, {"evaluator": "race", "trials": 36}), small, controller="guided")
