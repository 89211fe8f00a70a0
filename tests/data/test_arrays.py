from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from archwright.data.arrays import Layout, convert, recognised, resize
from archwright.errors import ConfigError, DataError

RNG = np.random.default_rng(0)


def converted(array: Any, layout: Layout | None = None, size: tuple[int, int] | None = None) -> torch.Tensor:
    return convert({"x": array}, layout, size)[0]["x"]


@pytest.mark.parametrize(
    ("shape", "layout"),
    [
        ((9, 28, 28), "NHW"),
        ((9, 8, 8, 1), "NHWC"),
        ((9, 32, 32, 3), "NHWC"),
        ((9, 3, 32, 32), "NCHW"),
        ((9, 1, 8, 8), "NCHW"),
        ((9, 4, 32, 32), "NCHW"),
        ((9, 64, 48, 3), "NHWC"),
        ((9, 3, 48, 64), "NCHW"),
        ((9, 5, 5, 200), "NHWC"),  # bands of a patch, more than its pixels a side
        ((9, 200, 5, 5), "NCHW"),
    ],
)
def test_layouts_are_recognised(shape: tuple[int, ...], layout: str) -> None:
    assert recognised(shape, "x") == layout


@pytest.mark.parametrize(("layout", "axes"), [("NCHW", (0, 1, 2, 3)), ("NHWC", (0, 2, 3, 1))])
def test_layouts_hold_the_same_images(layout: Layout, axes: tuple[int, ...]) -> None:
    images = RNG.integers(0, 256, (5, 3, 6, 7), dtype=np.uint8)
    tensors, notes = convert({"x": images.transpose(axes)}, None, None)
    assert torch.equal(tensors["x"], torch.from_numpy(images))
    assert f"read as {layout}: 6x7 pixels" in notes[0]


@pytest.mark.parametrize("shape", [(9, 8, 8, 8), (9, 64, 48, 12), (9, 12, 48, 64), (9, 3, 20, 4)])
def test_shapes_that_do_not_show_their_channels_need_a_layout(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match=r"x has shape .*--layout.*: NCHW for \d+ channels of \d+x\d+ pixels"):
        recognised(shape, "x")
    assert converted(np.zeros(shape), "NCHW").shape == shape


def test_a_layout_given_overrides_what_the_shape_suggests() -> None:
    patches = RNG.random((5, 9, 9, 200), dtype=np.float32)  # more bands than pixels a side
    assert converted(patches).shape == (5, 200, 9, 9)
    assert converted(patches, "NCHW").shape == (5, 9, 9, 200)
    with pytest.raises(ConfigError, match="'HWC' is unknown"):
        converted(patches, "HWC")
    with pytest.raises(DataError, match=r"is not NHW$"):
        converted(patches, "NHW")


@pytest.mark.parametrize(
    ("dtype", "low", "high", "kept"),
    [
        ("u1", 0, 256, torch.uint8),
        ("i8", 0, 256, torch.uint8),
        (">u2", 0, 256, torch.uint8),
        ("u2", 0, 4096, torch.float32),
        ("i1", -100, 100, torch.float32),
        ("f4", 0, 9, torch.float32),
        (">f8", 0, 9, torch.float32),
        ("f2", 0, 9, torch.float32),
    ],
)
def test_bytes_stay_bytes_and_other_numbers_become_float32_of_the_same_value(
    dtype: str, low: int, high: int, kept: torch.dtype
) -> None:
    array = RNG.integers(low, high, (5, 6, 6)).astype(dtype)
    array[0, 0, :2] = low, high - 1
    x = converted(array)
    assert x.dtype == kept
    assert np.array_equal(x[:, 0].numpy().astype(np.float64), array.astype(np.float64))


def test_all_parts_get_the_same_type() -> None:
    small, large = np.full((2, 5, 5), 7, np.int32), np.full((2, 5, 5), 300, np.int32)
    tensors, notes = convert({"x_train": small, "x_test": large}, None, None)
    assert {x.dtype for x in tensors.values()} == {torch.float32}
    assert "int32 of 7 to 300 became float32" in notes


def test_truth_values_become_black_and_white() -> None:
    assert converted(RNG.random((5, 6, 6)) > 0.5).unique().tolist() == [0, 255]


def test_read_only_and_reversed_arrays_are_copied() -> None:
    array = RNG.integers(0, 256, (5, 6, 6), dtype=np.uint8)
    array.flags.writeable = False
    assert torch.equal(converted(array[:, ::-1])[:, 0], torch.from_numpy(array[:, ::-1].copy()))
    assert torch.equal(converted(array)[:, 0], torch.from_numpy(array.copy()))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_the_first_image_that_is_not_finite_is_named(value: float) -> None:
    array = np.zeros((1500, 4, 4))
    array[1200, 1, 2] = value
    with pytest.raises(DataError, match="x: image 1200 contains NaN or infinite values"):
        converted(array)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((5, 784)), r"reshape it to \(5, 28, 28\)"),
        (np.zeros((5, 10)), r"images have shape \(n, h, w\)"),
        (np.zeros(5), "images have shape"),
        (np.zeros((5, 4, 4, 3, 2)), "images have shape"),
        (np.zeros((5, 3, 3)), "3x3 pixels; the least is 4x4"),
        (np.zeros((0, 8, 8)), "it is empty"),
        (np.zeros((5, 8, 8), complex), "complex128"),
        (np.full((5, 8, 8), "a"), "arrays of numbers"),
        (np.full((5, 8, 8), None), "object"),
    ],
)
def test_arrays_that_are_no_images_say_why(array: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        converted(array)


def test_parts_of_different_shape_are_refused() -> None:
    with pytest.raises(DataError, match=r"x_test has images of shape \(9, 8\), the train part \(8, 8\)"):
        convert({"x_train": np.zeros((5, 8, 8)), "x_test": np.zeros((5, 9, 8))}, None, None)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_resizing_keeps_type_and_flat_images(dtype: torch.dtype) -> None:
    x = torch.arange(1100, dtype=torch.float32).div(5).to(dtype).view(-1, 1, 1, 1).expand(-1, 2, 8, 6)
    y = resize(x, (5, 9))
    assert y.dtype == dtype
    torch.testing.assert_close(y, x[:, :, :1, :1].expand(-1, 2, 5, 9))


def test_resizing_is_noted() -> None:
    tensors, notes = convert({"x": np.zeros((5, 8, 8))}, None, (6, 6))
    assert tensors["x"].shape == (5, 1, 6, 6)
    assert "all images were resized from 8x8 to 6x6" in notes
