"""Language models: a race of known and new ones, trained for minutes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from archwright.presets.values import Preset, Size, SpacePresets
from archwright.training.recipe import TEXT_MINUTES

if TYPE_CHECKING:
    from archwright.modalities.protocol import Modality
    from archwright.space import Space

SEEN = 1_000_000  # tokens that a counted training sees, within limits
EPOCHS = (2.0, 20.0)  # those limits
SIZE = 0.16  # of the known networks of a counted run: 128 units
SAMPLED = 800  # words of a step, beside those that follow (docs/value.md)
# In equal time larger models that read a text less often are better than for images (docs/value.md).
RACE: Mapping[str, Any] = {"evaluator": "race", "objective": "inverse-perplexity", "balance": 5.0}
LOOKED_AT = 20_000  # validation tokens of a look


def small(cls: type[Space], modality: Modality, size: Size) -> Preset:
    """Return a race for a CPU. In a timed run `RaceMethod.planned` sizes the networks instead."""
    data = modality.data
    vocabulary = data.task.vocabulary
    recipe = replace(
        TEXT_MINUTES,
        sampled=SAMPLED / vocabulary if vocabulary > 2 * SAMPLED else 1.0,
        epochs=min(EPOCHS[1], max(EPOCHS[0], SEEN / len(data.train))),
        validation_limit=LOOKED_AT if len(data.validation) > LOOKED_AT else None,
    )
    starters = {name: known.to_json() for name, known in cls().known(SIZE, recipe, len(data.train)).items()}
    controllers = {"guided": {"random": 0, "parents": 2, "climb": 0, "near": 0}}
    return Preset(recipe, recipe, {**RACE, "trials": 9, "starters": starters}, controllers=controllers)


RECURRENT = SpacePresets(Preset(TEXT_MINUTES, TEXT_MINUTES, {**RACE, "trials": 36}), small, controller="guided")
