from __future__ import annotations

import dataclasses
import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from archwright.data.images import ImageData, ImagePart, Preprocessing
from archwright.errors import DataError
from archwright.space import Task


def random_images(count: int, shape: tuple[int, int, int] = (3, 5, 4), seed: int = 0) -> ImagePart:
    rng = torch.Generator().manual_seed(seed)
    x = torch.randint(0, 256, (count, *shape), generator=rng, dtype=torch.uint8)
    return ImagePart(x, torch.randint(0, 2, (count,), generator=rng))


def data_of(train: ImagePart, **changes: object) -> ImageData:
    data = ImageData(
        train, random_images(3, seed=1), random_images(4, seed=2), ("a", "b"), "made", "", Preprocessing.of(train.x)
    )
    return dataclasses.replace(data, **changes)


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (torch.zeros(2, 8, 8), torch.zeros(2, dtype=torch.int64)),
        (torch.zeros(2, 1, 8, 8, dtype=torch.float64), torch.zeros(2, dtype=torch.int64)),
        (torch.zeros(2, 1, 8, 8), torch.zeros(2)),
        (torch.zeros(2, 1, 8, 8), torch.zeros(3, dtype=torch.int64)),
    ],
)
def test_images_refuse_other_shapes_types_and_lengths(x: torch.Tensor, y: torch.Tensor) -> None:
    with pytest.raises(DataError):
        ImagePart(x, y)


def test_a_part_of_images_keeps_images_with_their_labels() -> None:
    images = random_images(10)
    picked = torch.tensor([7, 2, 2])
    assert torch.equal(images[picked].x, images.x[picked])
    assert torch.equal(images[picked].y, images.y[picked])
    assert len(images[4:6]) == 2
    assert images[4:6].x.data_ptr() == images.x[4:].data_ptr()  # a view


@given(st.integers(0, 2**31), st.integers(1, 4), st.booleans())
def test_preprocessed_training_images_have_mean_zero_and_std_one_per_channel(
    seed: int, channels: int, floats: bool
) -> None:
    x = random_images(1100, (channels, 4, 4), seed).x  # more than one chunk
    if floats:
        x = x / 37 - 3
    y = Preprocessing.of(x)(x).double()
    torch.testing.assert_close(y.mean((0, 2, 3)), torch.zeros(channels, dtype=torch.float64), atol=1e-5, rtol=0)
    torch.testing.assert_close(
        y.std((0, 2, 3), correction=0), torch.ones(channels, dtype=torch.float64), atol=1e-5, rtol=0
    )


def test_a_constant_channel_becomes_zero_not_nan() -> None:
    x = random_images(50).x / 255
    x[:, 1] = 0.1
    preprocessing = Preprocessing.of(x)
    assert preprocessing.std[1] == 0
    assert preprocessing(x)[:, 1].abs().max() < 1e-6


def test_preprocessing_takes_one_image_or_many_but_not_other_channels() -> None:
    x = random_images(5).x
    preprocessing = Preprocessing.of(x)
    assert torch.equal(preprocessing(x[0]), preprocessing(x)[0])
    with pytest.raises(DataError, match="1 channels"):
        preprocessing(x[:, :1])


def test_preprocessing_survives_json() -> None:
    preprocessing = Preprocessing.of(random_images(9).x)
    assert Preprocessing.from_json(json.loads(json.dumps(preprocessing.to_json()))) == preprocessing


@pytest.mark.parametrize(
    "broken",
    [
        {},
        [],
        {"mean": [0.0], "std": [1.0], "channels": 3, "height": 4, "width": 4, "file_scale": 1.0},
        {"mean": [float("nan")], "std": [1.0], "channels": 1, "height": 4, "width": 4, "file_scale": 1.0},
        {"mean": [0.0], "std": [-1.0], "channels": 1, "height": 4, "width": 4, "file_scale": 1.0},
        {"mean": [0.0], "std": [1.0], "channels": 1, "height": 4, "width": 4, "file_scale": 1.0, "units": [0, 1]},
    ],
)
def test_broken_preprocessing_is_refused(broken: object) -> None:
    with pytest.raises(DataError):
        Preprocessing.from_json(broken)


@pytest.mark.parametrize(("low", "high", "scale"), [(0, 1, 1 / 255), (0, 255, 1.0), (-1, 1, None), (0, 16, 16 / 255)])
def test_file_scale_follows_the_range_of_float_images(low: float, high: float, scale: float | None) -> None:
    x = torch.linspace(low, high, 64).view(1, 1, 8, 8)
    assert Preprocessing.of(x).file_scale == scale


def test_a_preprocessing_of_an_earlier_version_has_no_units() -> None:
    stored = {"mean": [0.0], "std": [1.0], "channels": 1, "height": 4, "width": 4, "file_scale": 1.0}
    assert Preprocessing.from_json(stored).units is None


def test_the_task_is_the_shape_of_the_images_and_the_number_of_classes() -> None:
    assert data_of(random_images(6)).task == Task(channels=3, height=5, width=4, classes=2)


def test_the_fingerprint_changes_with_any_content_and_not_with_the_name() -> None:
    train = random_images(6)
    data = data_of(train)
    pixel = train.x.clone()
    pixel[5, 2, 4, 3] ^= 1
    label = train.y.clone()
    label[0] = 1 - label[0]
    others = [
        data_of(train, classes=("a", "c")),
        data_of(ImagePart(pixel, train.y)),
        data_of(ImagePart(train.x, label)),
        data_of(train, test=random_images(4, seed=3)),
        data_of(train, validation=data.test, test=data.validation),
        data_of(ImagePart(train.x.transpose(2, 3), train.y)),
    ]
    assert len({data.fingerprint, *(other.fingerprint for other in others)}) == 7
    assert data_of(train, name="other", split="else").fingerprint == data.fingerprint


def test_the_fingerprint_does_not_depend_on_strides() -> None:
    train = random_images(6)
    strided = ImagePart(train.x.contiguous(memory_format=torch.channels_last), train.y)
    assert data_of(strided).fingerprint == data_of(train).fingerprint
