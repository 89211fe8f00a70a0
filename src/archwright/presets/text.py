"""What all small presets of language models share."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from archwright.presets.values import known_fields
from archwright.training.recipe import NAS_RECURRENT, Recipe

if TYPE_CHECKING:
    from archwright.modalities.protocol import Modality
    from archwright.space import Space


def units_of(modality: Modality) -> int:
    """Return the units of a cell, by the vocabulary."""
    return 64 if modality.data.task.vocabulary < 4000 else 96


def small_space(cls: type[Space], **fields: Any) -> dict[str, Any]:
    """Return fields of the space; Adam learns faster from wide weights."""
    return known_fields(cls, {"init": 0.2, "input_dropout": 0.1, "output_dropout": 0.1, **fields})


def small_recipe() -> Recipe:
    """Return a recipe for models that a CPU trains in seconds.

    Adam from wide weights learns in a hundred steps what SGD at a rate of 20 learns in thousands, and more kinds of
    cell survive it. Its first steps move all weights alike, which chains of ReLUs and identities do not survive at the
    full rate: it rises (docs/enas.md).
    """
    return replace(
        NAS_RECURRENT,
        optimizer="adam",
        momentum=0.9,
        restart_period=1000,
        decay_every=None,
        learning_rate=5e-3,
        learning_rate_min=1e-4,
        warmup=0.15,
        weight_decay=0.0,
        batch=32,
        epochs=10,
    )
