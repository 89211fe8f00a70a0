from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset, IterableDataset, TensorDataset

from archwright.data.images import ImageData
from archwright.data.memory import read_memory
from archwright.data.sources import load
from archwright.errors import DataError

RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (40, 6, 6), dtype=np.uint8)
Y = np.arange(40) % 2


class Items(Dataset[Any]):
    def __init__(self, items: list[Any]) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Any:
        return self.items[index]


class Endless(IterableDataset[Any]):
    def __iter__(self) -> Iterator[Any]:
        yield torch.zeros(1, 6, 6), 0


@pytest.mark.parametrize(
    "source",
    [
        (X, Y),
        [X, Y],
        (torch.from_numpy(X), torch.from_numpy(Y)),
        (X.tolist(), Y.tolist()),
        ([torch.from_numpy(x) for x in X], [torch.tensor(y) for y in Y]),
        ([Image.fromarray(x) for x in X], Y),
        {"x": X, "y": Y},
        {"x_train": torch.from_numpy(X), "y_train": Y.tolist()},
        {"train": (X, Y)},
        TensorDataset(torch.from_numpy(X)[:, None], torch.from_numpy(Y)),
        Items([(x, y) for x, y in zip(X, Y, strict=True)]),
        Items([(x[..., None], torch.tensor(y)) for x, y in zip(X, Y, strict=True)]),
        Items([(Image.fromarray(x), int(y)) for x, y in zip(X, Y, strict=True)]),
    ],
    ids=lambda source: type(source).__name__,
)
def test_the_same_images_in_any_form_give_the_same_data(source: Any) -> None:
    data = load(source)
    assert data.fingerprint == load((X, Y)).fingerprint
    assert data.train.x.dtype == torch.uint8


TEST = (X[:10], Y[:10])
VALIDATION = (X[:20], Y[:20])


@pytest.mark.parametrize(
    ("source", "sizes"),
    [
        (((X, Y), TEST), {"train": 40, "test": 10}),
        ([(X, Y), TEST], {"train": 40, "test": 10}),
        (((X, Y), VALIDATION, TEST), {"train": 40, "validation": 20, "test": 10}),
        ({"train": (X, Y), "val": VALIDATION}, {"train": 40, "validation": 20}),
        ({"x_train": X, "y_train": Y, "x_test": X[:10], "y_test": Y[:10]}, {"train": 40, "test": 10}),
        ((Items(list(zip(X, Y, strict=True))), Items(list(zip(*TEST, strict=True)))), {"train": 40, "test": 10}),
    ],
)
def test_parts_in_pairs_dicts_and_datasets(source: Any, sizes: dict[str, int]) -> None:
    found = read_memory(source, None, None, None)
    assert {part: len(piece.x) for part, piece in found.parts.items()} == sizes


def test_tensors_that_need_gradients_or_are_bfloat16_are_read() -> None:
    x = torch.rand(40, 6, 6, requires_grad=True)
    assert torch.equal(read_memory((x, Y), None, None, None).parts["train"].x[:, 0], x.detach())
    assert read_memory((x.bfloat16(), Y), None, None, None).parts["train"].x.dtype == torch.float32


def test_later_changes_to_the_arrays_do_not_reach_the_data() -> None:
    x, y = X.copy(), Y.copy()
    data = load(((x, y), (x[:10], y[:10])))
    before = ImageData.fingerprint.func(data)
    x[:], y[:] = 0, 0
    assert ImageData.fingerprint.func(data) == before


def test_pictures_of_different_sizes_are_resized(tmp_path: Path) -> None:
    images = [Image.new("RGB", (6, 6))] * 20 + [Image.new("L", (9, 9))] * 10
    data = load(Items([(image, i % 2) for i, image in enumerate(images)]))
    assert (data.task.channels, data.task.height) == (3, 6)
    assert "10 of 30 images were resized to 6x6 (from 9x9)" in data.notes


def test_reading_a_dataset_reports_progress() -> None:
    seen: list[tuple[int, int]] = []
    load(Items(list(zip(X, Y, strict=True))), progress=lambda done, total: seen.append((done, total)))
    assert seen == [(40, 40)]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (X, "the data is a ndarray; expected"),
        (None, "the data is a NoneType; expected"),
        ((X,), "a tuple of 1 items; expected"),
        ({}, "found no arrays"),
        ({"a": X, "b": Y}, "the dict: found a, b; needed are x and y"),
        ({"train": X}, "the train part is a ndarray; expected a pair"),
        ((X, Y[:-1]), "x has 40 images and y 39 labels"),
        (((X, Y), (X[:3], Y[:2])), "x_test has 3 images and y_test 2 labels"),
        (((X, Y), (X[:3, :5], Y[:3])), r"x_test has images of shape \(5, 6\), the train part \(6, 6\)"),
        (([X[0], X[1, :5]], [0, 1]), r"all of one shape; found \[\(5, 6\), \(6, 6\)\]"),
        (([torch.zeros(6, 6), torch.zeros(6, 5)], [0, 1]), r"all of one shape; found \[\(6, 5\), \(6, 6\)\]"),
        (([Image.new("L", (6, 6)), X[0]], [0, 1]), "x mixes Pillow images with ndarray"),
        ((["a.png", "b.png"], [0, 1]), "x is of type <U5; images must be arrays of numbers"),
        ((X, [None] * 40), "y: the label of image 0 is missing"),
        (Endless(), "Endless has no length"),
        (Items([3, 4]), r"Items: item 0 is a int; expected \(image, label\)"),
        (Items([]), "images of Items: it is empty"),
        ((X[:0], Y[:0]), "x: it is empty"),
    ],
)
def test_what_cannot_be_used_says_why(source: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load(source)
