from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from archwright.data.sources import load
from archwright.errors import DataError

RNG = np.random.default_rng(0)


def fill(folder: Path, count: int, suffix: str = "png", size: tuple[int, int] = (6, 6), colour: bool = True) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        shape = (*size, 3) if colour else size
        Image.fromarray(RNG.integers(0, 256, shape, dtype=np.uint8)).save(folder / f"{i}.{suffix}")


def test_class_folders_alone_are_split_by_class(tmp_path: Path) -> None:
    for name in ("dog", "cat"):
        fill(tmp_path / name, 20)
    data = load(tmp_path)
    assert data.classes == ("cat", "dog")
    assert [len(part) for part in data.parts.values()] == [28, 6, 6]
    assert data.task.channels == 3
    assert data.name == str(tmp_path)


def test_images_keep_their_class(tmp_path: Path) -> None:
    for value, name in enumerate(("a", "b", "c")):
        (tmp_path / name).mkdir()
        for i in range(10):
            Image.new("L", (5, 5), 100 * value).save(tmp_path / name / f"{i}.png")
    data = load(tmp_path)
    for part in data.parts.values():
        assert torch.equal(part.x[:, 0, 0, 0].long(), 100 * part.y)


def test_tiny_imagenet_uses_val_as_the_test_part(tmp_path: Path) -> None:
    for name in ("n01", "n02"):
        fill(tmp_path / "train" / name / "images", 20, "JPEG")
        fill(tmp_path / "val" / name, 5, "JPEG", colour=False)
    (tmp_path / "classes.txt").write_text("n01\nn02\n")
    data = load(tmp_path)
    assert [len(part) for part in data.parts.values()] == [36, 4, 10]
    assert "10 test: the data's own val part, as there is no test part" in data.split
    assert data.notes == ("10 grey images were made colour, as the others are",)


def test_all_three_parts_of_the_data_are_used(tmp_path: Path) -> None:
    for part, count in (("training", 9), ("Valid", 4), ("test", 5)):
        for name in ("a", "b"):
            fill(tmp_path / part / name, count)
    assert [len(part) for part in load(tmp_path).parts.values()] == [18, 8, 10]


def test_an_unpacked_archive_may_hold_one_folder_more(tmp_path: Path) -> None:
    for name in ("a", "b"):
        fill(tmp_path / "archive" / name, 10)
    assert load(tmp_path).classes == ("a", "b")


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    for name in ("train", "test", "bus"):
        fill(tmp_path / name, 10)
    assert load(tmp_path).classes == ("bus", "test", "train")


def test_what_is_no_image_or_hidden_is_left_out(tmp_path: Path) -> None:
    for name in ("a", "b", ".cache", "__MACOSX"):
        fill(tmp_path / name, 10)
    (tmp_path / "a" / "notes.txt").write_text("no image")
    (tmp_path / "a" / "._0.png").write_bytes(b"no image either")
    (tmp_path / "scripts").mkdir()
    fill(tmp_path, 2)
    data = load(tmp_path)
    assert data.classes == ("a", "b")
    assert sum(len(part) for part in data.parts.values()) == 20
    assert "scripts holds no images and was left out" in data.notes
    assert any(note.startswith("2 images outside any class folder") for note in data.notes)


def test_sizes_that_differ_are_made_equal(tmp_path: Path) -> None:
    fill(tmp_path / "a", 10, size=(8, 6))
    fill(tmp_path / "b", 9, size=(5, 5))
    data = load(tmp_path)
    assert (data.task.height, data.task.width) == (8, 6)
    assert "9 of 19 images were resized to 8x6 (from 5x5)" in data.notes
    assert load(tmp_path, image_size=7).task.height == 7


def test_the_same_folder_gives_the_same_data(tmp_path: Path) -> None:
    for name in ("a", "b"):
        fill(tmp_path / name, 10)
    assert load(tmp_path).fingerprint == load(tmp_path).fingerprint != load(tmp_path, seed=1).fingerprint


def test_an_unreadable_image_is_named(tmp_path: Path) -> None:
    for name in ("a", "b"):
        fill(tmp_path / name, 10)
    (tmp_path / "b" / "3.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"b/3.png: unreadable image"):
        load(tmp_path)


def test_folders_that_cannot_be_used_say_why(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no images found; expected CLASS"):
        load(tmp_path)
    fill(tmp_path / "loose", 3)
    with pytest.raises(DataError, match="3 images lie there without class folders"):
        load(tmp_path / "loose")
    with pytest.raises(DataError, match="one class only, 'loose'"):
        load(tmp_path)
    for part in ("val", "valid"):
        for name in ("a", "b"):
            fill(tmp_path / "parts" / part / name, 3)
    with pytest.raises(DataError, match="both val and valid could be the validation part"):
        load(tmp_path / "parts")
    (tmp_path / "parts" / "valid").rename(tmp_path / "parts" / "test")
    with pytest.raises(DataError, match="there is test, val but no train folder"):
        load(tmp_path / "parts")


def test_a_class_that_train_lacks_is_named(tmp_path: Path) -> None:
    for name in ("a", "b"):
        fill(tmp_path / "train" / name, 5)
    fill(tmp_path / "val" / "zebra", 2)
    with pytest.raises(
        DataError, match=r"class 'zebra' is in the validation part \(2 images\) but not in the train part"
    ):
        load(tmp_path)
