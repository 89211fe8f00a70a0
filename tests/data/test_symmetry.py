"""Whether images are photographs whose mirror images have the same class."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from archwright.data import symmetry
from archwright.data.images import ImageData, ImagePart, Preprocessing
from archwright.data.sources import load
from archwright.modalities import modality
from archwright.presets import preset
from archwright.spaces import SPACES


def alike(part: ImagePart) -> bool:
    return symmetry.is_mirrored_alike(part.x, part.y)


def coloured(x: Tensor, seed: int = 0) -> Tensor:
    """Give each image a bright and a dark colour, not much apart in hue, and noise."""
    generator = torch.Generator().manual_seed(seed)
    shade = [torch.rand(len(x), 1, 1, 1, generator=generator) + 0.2 * torch.rand(len(x), 3, 1, 1, generator=generator)]
    shade.append(torch.rand(len(x), 1, 1, 1, generator=generator))
    share = x.float() / 255
    noise = 10 * torch.randn(len(x), 3, *x.shape[2:], generator=generator)
    return (200 * (share * shade[0] + (1 - share) * shade[1]) + noise).clamp(0, 255).to(torch.uint8)


def blobs(count: int = 600, seed: int = 0) -> ImagePart:
    """Colour images of one blob anywhere; its height is the class, so a mirror image has the same."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(count) % 4
    place = torch.randint(0, 16, (count,), generator=generator)
    x = torch.zeros(count, 1, 16, 16)
    x[torch.arange(count), 0, 4 * y + 1, place] = 255 * 9
    x = functional.avg_pool2d(x, 3, stride=1, padding=1)
    return ImagePart(coloured(x, seed), y)


def test_digits_have_a_side_and_blobs_have_none() -> None:
    digits = load("digits").train
    assert not alike(ImagePart(coloured(digits.x), digits.y))
    assert alike(blobs())


def test_what_varies_by_channel_or_has_one_is_no_photograph() -> None:
    three = [blobs(seed=seed).x[:, :1] for seed in (1, 2, 3)]
    assert not alike(ImagePart(torch.cat(three, 1), blobs().y))
    assert not alike(ImagePart(three[0], blobs().y))


@settings(deadline=None, max_examples=15)
@given(count=st.integers(1, 40), seed=st.integers(0, 99), side=st.sampled_from([1, 5, 33]))
def test_any_images_have_an_answer_the_same_each_time(count: int, seed: int, side: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randint(0, 256, (count, 3, side, side + 2), generator=generator, dtype=torch.uint8)
    part = ImagePart(x, torch.arange(count) % 3)
    assert alike(part) == alike(part)
    constant = ImagePart(torch.zeros_like(x), part.y)
    assert alike(constant) == (count > 1)  # nothing speaks against it


def test_classes_that_are_told_by_their_side_are_found_as_often_as_the_error_says() -> None:
    """Random labels have no side: hits of images and of mirror images differ by chance, rarely by three errors."""
    generator = torch.Generator().manual_seed(3)
    part = blobs(900)
    draws = [ImagePart(part.x, torch.randint(0, 4, (900,), generator=generator)) for _ in range(20)]
    assert sum(map(alike, draws)) >= 19
    assert math.isclose(symmetry.CERTAIN, 3.0)


@pytest.mark.parametrize("space", ["stages", "enas-micro", "grammar"])
def test_presets_mirror_only_what_may_be_mirrored(space: str) -> None:
    digits = load("digits")
    for part, mirrored in ((blobs(), True), (ImagePart(coloured(digits.train.x), digits.train.y), False)):
        classes = tuple(str(label) for label in range(int(part.y.max()) + 1))
        data = ImageData(part, part, part, classes, "made", "made up", Preprocessing.of(part.x))
        found = preset("small", SPACES[space], modality(data))
        assert found.final_recipe.flip == found.search_recipe.flip == mirrored
        notes = [note for note in modality(data).remarks()["notes"] if "mirror" in note]
        assert bool(notes) != mirrored


def test_gray_images_have_no_note() -> None:
    data = load((np.zeros((60, 8, 8), dtype=np.uint8), np.arange(60) % 2), seed=0)
    assert not any("mirror" in note for note in modality(data).remarks()["notes"])
