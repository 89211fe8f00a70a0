"""The small grid of recipes after a search."""

from __future__ import annotations

import json

import pytest

from archwright.runs.grid import changed, described, grid
from archwright.space import sample
from archwright.spaces import NasConv
from archwright.training.child import child_recipe
from archwright.training.recipe import NAS_CONV, NAS_RECURRENT, Recipe

RECIPES = [NAS_CONV, NAS_RECURRENT, Recipe(weight_decay=0.0), Recipe(learning_rate=1e-4), Recipe(warmup=0.1, decay=0.4)]


@pytest.mark.parametrize("recipe", RECIPES)
def test_it_varies_learning_rate_weight_decay_and_the_epochs_of_decay(recipe: Recipe) -> None:
    tried = [changed(recipe, json.loads(json.dumps(change))) for change in grid(recipe)]
    assert len(set(tried)) == len(tried)
    rates, decays, epochs = (
        {r for _, r in pairs} for pairs in zip(*(described(t).items() for t in tried), strict=True)
    )
    assert rates == {recipe.learning_rate * factor for factor in (0.5, 1, 2)}
    assert decays == ({recipe.weight_decay * factor for factor in (0.5, 2)} if recipe.weight_decay else {0.0})
    assert len(epochs) == 2
    assert recipe.decay_at in epochs
    assert len(tried) == len(rates) * len(decays) * len(epochs)


def test_a_learning_rate_that_an_architecture_says_is_varied_too() -> None:
    space = NasConv(layers=1, learning_rates=(0.3,))
    own = child_recipe(space, sample(space, 0), NAS_CONV)
    assert {changed(own, change).learning_rate for change in grid(NAS_CONV)} == {0.15, 0.3, 0.6}
