"""A preset: what a run does where the user says nothing, as published or sized for a CPU."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from archwright.training.recipe import Recipe

if TYPE_CHECKING:
    from archwright.modalities.protocol import Modality
    from archwright.space import Space

# Filters, repeats and, for photographs, the stem's stride to try, the cheapest first. Multiples of 16 channels: others
# are slow on CPUs in channels_last.
SIZES = ((16, 1, 2), (32, 1, 2), (32, 2, 2), (48, 2, 2), (32, 2, 1), (48, 3, 1), (64, 4, 1), (64, 5, 1))
PHOTOGRAPH, LARGE = 24, 48  # pixels from which a stem halves, or halves once more, what is left
FEW_IMAGES = 8192  # below, batches are smaller and weight decay is larger
Size = tuple[int, int, int]

# ENAS's two phases in a few minutes: rounds of shared training alone, then rounds of trials too.
SMALL_ROUNDS: Mapping[str, Any] = {
    "trials": 8 * 30,
    "trials_per_epoch": 30,
    "warmup": 12,
    "sampling": "uniform",  # as measured (docs/enas.md)
    "samples": 30,
    "shortlist": 5,
}


@dataclass(frozen=True)
class Preset:
    """Recipes of the search and of final training, settings of the plan, and fields of what the plan configures.

    Args:
        search_recipe: how shared weights or children are trained.
        final_recipe: how finalists are trained.
        settings: settings of the plan by name; without "evaluator" the preset is for shared weights.
        space: fields of the space in the search.
        final_space: fields of the space in final training.
        controllers: arguments by the controller's name.
        follows: fields of both spaces that are what a field of the final recipe is, unless the user sets them.
    """

    search_recipe: Recipe
    final_recipe: Recipe
    settings: Mapping[str, Any]
    space: Mapping[str, Any] = field(default_factory=dict)
    final_space: Mapping[str, Any] = field(default_factory=dict)
    controllers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    follows: Mapping[str, str] = field(default_factory=dict)

    def following(self, recipe: Recipe) -> dict[str, Any]:
        """Return the fields of spaces that follow a final recipe, with their values."""
        return {name: getattr(recipe, source) for name, source in self.follows.items()}


@dataclass(frozen=True)
class SpacePresets:
    """The presets of one space.

    Args:
        published: the paper's settings.
        small: the settings of networks of a size and training of a length for a CPU, for the data at hand.
        controller: the paper's controller.
        large: fields of the final space and of the final recipe, as published, for images of at least `large_from`
            pixels.
        large_from: that size.
    """

    published: Preset
    small: Callable[[type[Space], Modality, Size], Preset]
    controller: str = "reinforce"
    large: tuple[Mapping[str, Any], Mapping[str, Any]] = ({}, {})
    large_from: int = 0


def image_recipe(modality: Modality) -> dict[str, Any]:
    """Return fields of every small recipe for images, by their number and size."""
    task = modality.data.task
    return {
        "batch": 64 if len(modality.data.train) < FEW_IMAGES else 128,
        # Crops as far as the paper's 4 of 32 pixels; only colour photographs are mirrored without being told to.
        "pad": max(1, side_of(task) // 8),
        "flip": modality.data.mirrored_alike,
    }


def side_of(task: Any) -> int:
    """Return the shorter side of the images in pixels."""
    return int(min(task.height, task.width))


def stem_stride(side: int, size: Size) -> int:
    """Return the stride of the stem: photographs are halved, or quartered."""
    return 1 if side < PHOTOGRAPH else size[2] if side < LARGE else 2 * size[2]


def known_fields(cls: type[Space], fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that the space has."""
    names = {f.name for f in dataclasses.fields(cls)}
    return {name: value for name, value in fields.items() if name in names}
