"""The network of one architecture, as its training begins."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from archwright.space import Open
from archwright.training.randomness import Stream, seeded
from archwright.training.recipe import Recipe

if TYPE_CHECKING:
    from torch import nn

    from archwright.space import Architecture, Space


def child_network(space: Space, architecture: Architecture, task: Any, seed: int) -> nn.Module:
    """Build the untrained child; its weights depend on the seed alone."""
    space = space.for_architecture(architecture)
    with seeded(torch.device("cpu"), Stream.WEIGHTS, seed):
        return space.network(Open.only(space, architecture), task)


def child_recipe(space: Space, architecture: Architecture, recipe: Recipe) -> Recipe:
    """Return the recipe with the fields that the architecture itself sets.

    A learning rate below the recipe's least one is constant.
    """
    own = dict(space.for_architecture(architecture).recipe(architecture))
    if "learning_rate" in own:
        own.setdefault("learning_rate_min", min(recipe.learning_rate_min, own["learning_rate"]))
    return replace(recipe, **own)
