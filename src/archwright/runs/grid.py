"""The small grid of recipes that NAS tries once the architecture is found (Zoph & Le 2017, section 4.1)."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

from archwright.training.recipe import Recipe

RATES = (0.5, 1.0, 2.0)  # times the recipe's learning rate; the paper names what it varies, not the values
DECAYS = (0.5, 2.0)  # times its weight decay
DECAY_AT = ((0.5, 0.75), (0.35, 0.7))  # the epochs at which the rate falls, as shares
GRID_SHARE = 0.25  # of final training, for each


def grid(recipe: Recipe) -> list[dict[str, Any]]:
    """The changes to try: learning rate, weight decay, and where the recipe has steps, the epochs of decay."""
    rates = [recipe.learning_rate * factor for factor in RATES]
    decays = [recipe.weight_decay * factor for factor in DECAYS] if recipe.weight_decay else [0.0]
    steps = DECAY_AT if recipe.decay_at else ((),)
    return [
        {"learning_rate": rate, "weight_decay": decay, "decay_at": at}
        for rate, decay, at in itertools.product(rates, decays, steps)
    ]


def changed(recipe: Recipe, change: dict[str, Any]) -> Recipe:
    """The recipe with one of the changes, from JSON too."""
    return replace(recipe, **{**change, "decay_at": tuple(change["decay_at"])})
