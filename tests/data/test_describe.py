from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from archwright.data.describe import as_lines, describe
from archwright.data.images import ImageData
from archwright.data.sources import load

RNG = np.random.default_rng(0)


def made(count: int, classes: int = 2, **changes: Any) -> Any:
    x = RNG.integers(0, 256, (count, 6, 6, 3), dtype=np.uint8)
    y = np.arange(count) % classes
    return x, y


def test_a_description_counts_every_image_and_is_plain_data() -> None:
    data = load((made(200), made(100)))
    found = describe(data)
    assert json.loads(json.dumps(found)) == found
    assert found["task"] == {"channels": 3, "height": 6, "width": 6, "classes": 2}
    for name, part in data.parts.items():
        assert found["parts"][name]["images"] == len(part) == sum(found["parts"][name]["per_class"].values())
    assert (found["dtype"], found["range"]) == ("uint8", [0, 255])
    assert found["split"] == data.split
    assert found["warnings"] == []


def test_the_lines_say_what_is_in_the_description() -> None:
    text = "\n".join(as_lines(describe(load((made(200), made(100))))))
    for piece in (
        "pixels    0 to 255 (black to white), as in image files",
        "6x6 pixels, colour, uint8 from 0 to 255",
        "split by class from the 200 images",
        "read as NHWC",
    ):
        assert piece in text
    rows = [line.split() for line in text.splitlines()]
    assert ["0", "90", "10", "50"] in rows
    assert ["all", "180", "20", "100"] in rows


def test_of_many_classes_the_rarest_and_the_most_frequent_are_listed() -> None:
    x, y = made(1000, 50)
    extra = RNG.integers(0, 256, (30, 6, 6, 3), dtype=np.uint8)
    lines = as_lines(describe(load((np.concatenate([x, extra]), np.concatenate([y, np.full(30, 49)])))))
    assert "... 30 classes between" in lines
    assert lines[lines.index("... 30 classes between") - 10].startswith("49 ")


def warnings(source: Any) -> str:
    data: ImageData = load(source)
    return "\n".join(describe(data)["warnings"])


def test_shared_images_are_found() -> None:
    train, validation, test = made(200), made(40), made(100)
    test[0][:3] = train[0][:3]
    test[0][3] = validation[0][0]
    validation[0][5:7] = train[0][10:12]
    found = warnings((train, validation, test))
    assert "3 of 100 test images are in the training part too" in found
    assert "1 of 100 test images are in the validation part too" in found
    assert "2 of 40 validation images are in the training part too" in found


def test_the_same_image_with_two_labels_is_found() -> None:
    train = made(200)
    train[0][1] = train[0][0]
    assert "1 training images are there with two different labels" in warnings((train, made(40), made(100)))


def test_images_in_other_units_than_their_like_are_found() -> None:
    x, y = made(200)
    x = x.astype(np.float32)
    x[:50] /= 255
    found = load(((x, y), made(100)))
    moved = int((found.train.x.amax((1, 2, 3)) <= 1).sum())
    assert f"{moved} training images have no value above 1" in "\n".join(found.warnings)


@pytest.mark.parametrize(("frequent", "warned"), [(89, False), (90, True)])
def test_uneven_classes_are_found(frequent: int, warned: bool) -> None:
    x, _ = made(frequent + 9)
    train = (x, np.array(["often"] * frequent + ["rare"] * 9))
    rest = (made(100)[0], np.array(["often", "rare"] * 50))
    assert ("classes are uneven" in warnings((train, rest, rest))) == warned


def test_missing_classes_few_images_and_constant_channels_are_found() -> None:
    train, test = made(200), made(20)
    train[0][..., 1] = 7
    test[1][:] = 0
    found = warnings((train, test))
    assert "the test part has no image of 1 classes: '1'" in found
    assert "20 test images measure accuracy coarsely" in found
    assert "channel 1 is constant" in found
