"""Image files of 8, 16 and 32 bits per pixel in one data set: common units, found in the training part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from archwright.data.units import Units
from archwright.errors import DataError

Pixels: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"

BYTES = Units(0.0, 255.0)
NARROW = 128  # levels of 256: images of 16 bits per colour that use fewer have lost contrast


@dataclass(frozen=True)
class Look:
    """What the header of an image file says."""

    height: int
    width: int
    colour: bool
    alpha: bool
    deep: bool  # more than 8 bits, all of which are read
    cut: bool  # 16 bits a colour, of which Pillow reads the upper 8
    several: bool  # frames or pages

    def memory(self, channels: int) -> int:
        """Return the bytes that decoding takes: Pillow has four for a pixel, one if it is grey, and converts a copy."""
        if self.alpha:
            return 16 * self.height * self.width  # laid on white it is there four times
        grey = channels == 1 and not (self.colour or self.deep)
        return (2 if grey else 8) * self.height * self.width


def unified(parts: dict[str, Pixels], looks: dict[str, list[Look]]) -> tuple[Units, list[str]]:
    """Bring images of different depth to common units in place; return the units, found in the training part."""
    deep = {part: np.array([look.deep for look in found], bool) for part, found in looks.items()}
    train, ours = parts["train"], deep["train"]
    _check_cut(train, looks["train"])
    if not ours.any():
        return BYTES, []
    units = Units.of_values(float(train[ours].min()), float(train[ours].max()))
    if not all(found.all() for found in deep.values()) and units.file_scale is None:
        raise DataError(
            f"{int(ours.sum()):,} training images have negative values, and others are of 8 bits; use one kind"
        )
    if not ours.all():
        scale = 255 / units.high
        for part, found in deep.items():
            parts[part][found] *= np.float32(scale)
        mixed = f"{int(ours.sum()):,} of {len(ours):,} training images have more than 8 bits per pixel"
        return Units(0.0, 255.0, scale), [f"{mixed}: their {units.range} was brought to the 0 to 255 of the others"]
    warnings = []
    for part, found in deep.items():
        parts[part][~found] *= np.float32(units.high / 255)
        if not found.all():
            shallow = f"{int((~found).sum()):,} of {len(found):,} {part} images have 8 bits per pixel"
            warnings.append(f"{shallow}, all training images more: their 0 to 255 was brought to {units.range}")
    return units, warnings


def _check_cut(images: Pixels, looks: list[Look]) -> None:
    """Refuse training images of 16 bits a colour whose upper 8 bits, which are all that Pillow reads, say little."""
    cut = [look.cut for look in looks]
    if any(cut) and (highest := int(images[cut].max())) < NARROW:
        raise DataError(
            f"{sum(cut):,} images have 16 bits a colour, of which the upper 8 can be read, and use {highest + 1} of "
            "256 levels; save them with 8 bits, or as grey images or arrays"
        )
