"""The networks of final training: of an architecture, or the reference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from archwright.training.child import child_network, child_recipe
from archwright.training.randomness import Stream, seeded

if TYPE_CHECKING:
    from archwright.modalities.protocol import Modality
    from archwright.runs.plan import Plan
    from archwright.space import Architecture
    from archwright.training.recipe import Recipe


def network_of(plan: Plan, modality: Modality, architecture: Architecture | None) -> Any:
    """Return a network of final training with the weights it starts from; None: the plan's reference network."""
    space = plan.final.space
    if architecture is not None:
        return child_network(space, architecture, modality.data.task, plan.seed)
    with seeded(torch.device("cpu"), Stream.WEIGHTS, plan.seed):
        if plan.final.residual is not None:
            shape: Any = space
            stride, dropout = getattr(shape, "stem_stride", 1), getattr(shape, "dropout", 0.0)
            return modality.residual(plan.final.residual, stem_stride=stride, dropout=dropout)
        return space.reference(modality.data.task)


def recipe_of(plan: Plan, architecture: Architecture | None) -> Recipe:
    """Return the recipe of final training, with what the architecture itself says of it."""
    if architecture is None:
        return plan.final.recipe
    return child_recipe(plan.final.space, architecture, plan.final.recipe)
