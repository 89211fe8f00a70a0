"""Three parts from whatever parts there are: stratified, deterministic, and described in one sentence."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import torch

from archwright.data.found import Found
from archwright.data.images import ImageData, ImagePart, Preprocessing
from archwright.data.labels import number
from archwright.errors import ConfigError, DataError
from archwright.space import generator

TEST_FRACTION = 0.15
VALIDATION_FRACTION = 0.15
VALIDATION_OF_TRAIN = 0.1  # where a test part is given: CIFAR-10's 45,000 + 5,000 of Zoph & Le 2017, section 4.1

Integers: TypeAlias = "np.ndarray[Any, np.dtype[np.int64]]"


def assemble(
    found: Found, *, name: str, seed: int, validation: float | None, test: float | None, limit: int | None
) -> ImageData:
    """Return the data in three parts with class numbers and statistics, by the rules of `archwright.data.sources.load`.

    Training and validation images come in random order, so that any stretch of them is a fair sample; a test part that
    the source has keeps its order.
    """
    for piece in found.parts.values():
        if not len(piece.y):
            raise DataError(f"the {piece.called} part is empty")
    labels, classes = number({part: found.parts[part].y for part in found.parts}, found.classes)
    own = _own_parts(found, test)
    fractions = _fractions(found, own, validation, test)
    _enough(labels["train"], classes, fractions)
    where = {part: ("train", index) for part, index in stratified(labels["train"], fractions, seed).items()}
    for part, origin in own.items():
        everything = np.arange(len(labels[origin]))
        where[part] = (origin, everything if part == "test" else generator((seed, 1)).permutation(everything))
    images = {}
    for part, (origin, index) in where.items():
        x, y = found.parts[origin].x, torch.from_numpy(labels[origin])
        images[part] = ImagePart(x, y)[torch.from_numpy(index)]
    units = found.units or Preprocessing.of(images["train"].x).units
    others = {part: images[part].x for part in ("validation", "test")}
    remarks = [units.remark(x, f"the {part} part") for part, x in others.items()] if units is not None else []
    train, limitation = limited(images["train"], limit, seed)
    sentence = _sentence(found, own, images, seed) + limitation
    own_parts = train, images["validation"], images["test"]
    return ImageData(
        *own_parts,
        classes,
        name,
        sentence,
        Preprocessing.of(train.x, units),
        tuple(found.notes),
        (*found.warnings, *filter(None, remarks)),
    )


def stratified(y: Integers, fractions: dict[str, float], seed: int) -> dict[str, Integers]:
    """Choose positions for "train" and for each part in `fractions` (shares of all of `y`), each in random order.

    `y` [n] numbers classes from 0. Every class is in every part, so it must have more images than `fractions` entries;
    beyond that, each class's share is as near to the fraction as whole images allow, and so is the part's size.
    """
    counts = np.bincount(y)
    rng = generator((seed, 0))
    grouped = np.split(np.argsort(y, kind="stable"), counts.cumsum()[:-1])
    by_class = [rng.permutation(positions) for positions in grouped]
    begin = np.zeros_like(counts)
    parts = {}
    for later, (part, fraction) in zip(range(len(fractions), 0, -1), fractions.items(), strict=True):
        end = begin + allotted(counts, round(fraction * len(y)), counts - begin - later)
        parts[part] = np.concatenate([p[b:e] for p, b, e in zip(by_class, begin, end, strict=True)])
        begin = end
    parts["train"] = np.concatenate([p[b:] for p, b in zip(by_class, begin, strict=True)])
    return {part: rng.permutation(positions) for part, positions in parts.items()}


def allotted(counts: Integers, total: int, most: Integers) -> Integers:
    """Return whole numbers that sum to `total`, proportional to `counts` as nearly as 1 <= each <= `most` allows."""
    quota = counts * (total / counts.sum())
    share: Integers = np.clip(np.floor(quota).astype(np.int64), 1, most)
    total = int(np.clip(total, len(counts), most.sum()))
    while (missing := total - int(share.sum())) != 0:
        step = 1 if missing > 0 else -1
        can = share < most if missing > 0 else share > 1
        share[np.argmax(np.where(can, (quota - share) * step, -np.inf))] += step
    return share


def limited(images: ImagePart, limit: int | None, seed: int) -> tuple[ImagePart, str]:
    """Return at most `limit` images with the class shares of all, every class among them, in order; and a note."""
    if limit is None or limit >= len(images):
        return images, ""
    y = images.y.numpy()
    counts = np.bincount(y)
    if limit < len(counts):
        raise ConfigError(f"limit={limit}: at least {len(counts)} training images are needed, one per class")
    rng = generator((seed, 2))
    share = allotted(counts, limit, counts)
    kept = [rng.permutation(np.flatnonzero(y == c))[: share[c]] for c in range(len(counts))]
    chosen = images[torch.from_numpy(np.sort(np.concatenate(kept)))]
    return chosen, f"; of these train images {limit:,} are used, a limit that was asked for"


def _own_parts(found: Found, test: float | None) -> dict[str, str]:
    """Return {"test": the found part that serves as test, ...} for the parts that need not be split off train."""
    own: dict[str, str] = {part: part for part in ("validation", "test") if part in found.parts}
    if own == {"validation": "validation"} and test is None:
        return {"test": "validation"}  # as in ImageNet, where the labels of the test part are withheld
    return own


def _fractions(found: Found, own: dict[str, str], validation: float | None, test: float | None) -> dict[str, float]:
    fractions = {}
    defaults = {"test": TEST_FRACTION, "validation": VALIDATION_OF_TRAIN if "test" in own else VALIDATION_FRACTION}
    for part, given in (("test", test), ("validation", validation)):
        if given is not None and part in own:
            called = found.parts[own[part]].called
            raise ConfigError(f"{part}={given}: the {part} part is the data's own {called} part; leave {part} out")
        if given is not None and not 0 < given < 1:
            raise ConfigError(f"{part}={given}: a fraction of the images, between 0 and 1, is needed")
        if part not in own:
            fractions[part] = defaults[part] if given is None else given
    if sum(fractions.values()) >= 1:
        shares = " and ".join(f"{part}={fraction}" for part, fraction in fractions.items())
        raise ConfigError(f"{shares} leave nothing to train on")
    return fractions


def _enough(y: Integers, classes: tuple[str, ...], fractions: dict[str, float]) -> None:
    counts = np.bincount(y, minlength=len(classes))
    rarest = int(counts.argmin())
    if counts[rarest] <= len(fractions):
        parts = " and ".join(("train", *fractions))
        raise DataError(
            f"class {classes[rarest]!r} has {counts[rarest]} images; at least {len(fractions) + 1} are needed, "
            f"to have it in {parts} (labels that are measurements, not classes, do not work)"
        )


def _sentence(found: Found, own: dict[str, str], images: dict[str, ImagePart], seed: int) -> str:
    apart = [part for part in ("train", "validation", "test") if part not in own]
    sizes = {part: f"{len(images[part]):,} {part}" for part in images}
    if apart == ["train"]:
        text = f"{sizes['train']} images"
    else:
        whole = sum(len(images[part]) for part in apart)
        pool = f"the {found.parts['train'].called} part" if own else "the data"
        split = ", ".join(sizes[part] for part in apart)
        text = f"{split}: split by class from the {whole:,} images of {pool}, seed {seed}"
    for part, origin in own.items():
        called = found.parts[origin].called
        why = ", as there is no test part" if part != origin else ""
        text += f"; {sizes[part]}: the data's own {called} part{why}"
    return text
