"""What may be wrong with images in three parts: the same image in two of them, uneven classes, different units."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Protocol

from torch import Tensor

IMBALANCE = 10.0  # the largest class over the smallest from where it is worth a warning
FEW_TEST_IMAGES = 100  # fewer give an accuracy with a 95 % interval wider than about 10 points either way


class Labelled(Protocol):
    """Images and their labels."""

    @property
    def x(self) -> Tensor:
        """Images [n, channels, height, width]."""

    @property
    def y(self) -> Tensor:
        """Class numbers [n]."""


def doubts(parts: Mapping[str, Labelled], counts: Mapping[str, Mapping[str, int]], std: Sequence[float]) -> list[str]:
    """Return what the images of the three parts show to be wrong, in sentences.

    `counts` are images by part and class, `std` is that of each channel of the training part.
    """
    warnings = _duplicates(parts)
    train = counts["train"]
    most, least = max(train, key=train.__getitem__), min(train, key=train.__getitem__)
    if train[most] >= IMBALANCE * train[least]:
        warnings.append(
            f"classes are uneven: {train[most]:,} training images of {most!r}, {train[least]:,} of {least!r}; "
            "accuracy favours the frequent ones"
        )
    for name in ("validation", "test"):
        if missing := [label for label, count in counts[name].items() if count == 0]:
            listed = ", ".join(map(repr, missing[:3])) + (" and others" if len(missing) > 3 else "")
            warnings.append(f"the {name} part has no image of {len(missing)} classes: {listed}")
    if len(parts["test"].y) < FEW_TEST_IMAGES:
        warnings.append(
            f"{len(parts['test'].y)} test images measure accuracy coarsely; {FEW_TEST_IMAGES} or more are better"
        )
    if constant := [str(channel) for channel, std in enumerate(std) if std == 0]:
        warnings.append(f"channel {', '.join(constant)} is constant in the training part")
    return warnings


def _duplicates(parts: Mapping[str, Labelled]) -> list[str]:
    """Warn of identical images in two parts, or with two labels within the training part."""
    labels: dict[bytes, set[int]] = {}
    for key, label in zip(_keys(parts["train"].x), parts["train"].y.tolist(), strict=True):
        labels.setdefault(key, set()).add(label)
    validation, test = set(_keys(parts["validation"].x)), _keys(parts["test"].x)
    tested, validated = f"of {len(test):,} test", f"of {len(parts['validation'].y):,} validation"
    found = (
        (
            sum(key in labels for key in test),
            f"{tested} images are in the training part too; test accuracy will be too high",
        ),
        (sum(key in validation for key in test), f"{tested} images are in the validation part too"),
        (len(validation & labels.keys()), f"{validated} images are in the training part too; rewards will be too high"),
        (sum(len(given) > 1 for given in labels.values()), "training images are there with two different labels"),
        (
            _unlike(parts["train"].x),
            "training images have no value above 1, and others reach 255: are they in other units?",
        ),
    )
    return [f"{count:,} {what}" for count, what in found if count]


def _unlike(x: Tensor) -> int:
    """Count the training images that seem to be in units of 0 to 1 among others of 0 to 255."""
    highest = x.amax((1, 2, 3))
    return int(((highest > 0) & (highest <= 1)).sum()) if float(highest.max()) > 128 else 0


def _keys(x: Tensor) -> list[bytes]:
    return [hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in x.contiguous().numpy()]
