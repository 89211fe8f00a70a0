"""NAS-Bench-201 (Dong & Yang 2020): the gradient search of its comparison, and the training of its table."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from archwright.presets.darts import EPOCHS, SMALL, small_search
from archwright.presets.values import Preset, Size, SpacePresets, image_recipe, side_of, stem_stride
from archwright.training.recipe import DARTS_SEARCH, NAS_BENCH_201

if TYPE_CHECKING:
    from archwright.modalities.protocol import Modality
    from archwright.space import Space


def small(cls: type[Space], modality: Modality, size: Size) -> Preset:
    """Return a search with the narrowest network for a CPU; what is found is trained at `size`."""
    stride = stem_stride(side_of(modality.data.task), size)
    common = image_recipe(modality)
    recipe = replace(DARTS_SEARCH, **common, epochs=EPOCHS)
    return Preset(
        recipe,
        replace(NAS_BENCH_201, **common, epochs=36),
        small_search(modality, recipe),
        {"filters": 16, "repeats": 1, "stem_stride": stride},
        {"filters": size[0], "repeats": size[1], "stem_stride": stride},
        {"gradient": SMALL},
    )


SPACE = SpacePresets(
    Preset(
        # configs/nas-benchmark/algos/DARTS.config of the authors' code; 25,000 images are 391 batches.
        replace(DARTS_SEARCH, nesterov=True, weight_decay=5e-4),
        NAS_BENCH_201,
        {"evaluator": "gradient", "trials": 50 * 391},
    ),
    small,
)
