"""Image data small enough to train on in a test, with classes that can be told apart."""

from __future__ import annotations

import numpy as np
import torch

from archwright.data.images import ImageData, ImagePart, Preprocessing
from archwright.data.sources import load


def image_data(
    train: int = 25, validation: int = 12, *, size: int = 8, channels: int = 1, classes: int = 3
) -> ImageData:
    """Noise with one bright row per class, uint8. The test part has no values at all: touching it is an error."""
    generator = torch.Generator().manual_seed(1)

    def images(count: int) -> ImagePart:
        y = torch.arange(count) % classes
        x = torch.randint(0, 64, (count, channels, size, size), generator=generator, dtype=torch.uint8)
        x[torch.arange(count), :, 2 * y] += 180
        return ImagePart(x, y)

    parts = images(train), images(validation)
    test = ImagePart(
        torch.empty(9, channels, size, size, dtype=torch.uint8, device="meta"), torch.arange(9, device="meta")
    )
    names = tuple(f"class {index}" for index in range(classes))
    return ImageData(*parts, test, names, "rows", "made up", Preprocessing.of(parts[0].x))


def noise_data(count: int = 60) -> ImageData:
    """Noise in three classes, with a test part that can be read."""
    x = np.random.default_rng(0).integers(0, 255, (count, 8, 8, 1), dtype=np.uint8)
    return load((x, np.arange(count) % 3), seed=0)
