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
    """Return the changes to try: factors of learning rate and weight decay, and the epochs of decay.

    A recipe whose rate falls otherwise is tried as it is, and with the first of these epochs.
    """
    decays = DECAYS if recipe.weight_decay else (1.0,)
    steps = DECAY_AT if recipe.decay_at else ((), DECAY_AT[0])
    return [
        {"times_learning_rate": rate, "times_weight_decay": decay, "decay_at": at}
        for rate, decay, at in itertools.product(RATES, decays, steps)
    ]


def changed(recipe: Recipe, change: dict[str, Any]) -> Recipe:
    """Return the recipe, which has the rate that an architecture itself sets, with one of the changes (or its JSON)."""
    rate = recipe.learning_rate * change["times_learning_rate"]
    return replace(
        recipe,
        learning_rate=rate,
        learning_rate_min=min(recipe.learning_rate_min, rate),
        weight_decay=recipe.weight_decay * change["times_weight_decay"],
        decay_at=tuple(change["decay_at"]),
        decay=None if change["decay_at"] else recipe.decay,
    )


def described(recipe: Recipe) -> dict[str, Any]:
    """Return what the grid varies, as a recipe has it."""
    return {name: getattr(recipe, name) for name in ("learning_rate", "weight_decay", "decay_at")}
