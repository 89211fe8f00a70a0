from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from archwright.data.sources import load
from archwright.data.text import is_text
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
    assert data.notes == (
        "not used: 1 files that are no images (1 .txt)",
        "10 grey images were made colour, as the others are",
    )


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
    data = load(tmp_path)
    assert data.classes == ("bus", "test", "train")
    assert "the folders test, train are read as classes, as bus beside them" in data.warnings


def test_what_is_no_image_or_hidden_is_left_out(tmp_path: Path) -> None:
    for name in ("a", "b", ".cache", "__MACOSX"):
        fill(tmp_path / name, 10)
    (tmp_path / "a" / "notes.txt").write_text("no image")
    (tmp_path / "a" / "._0.png").write_bytes(b"no image either")
    (tmp_path / "scripts").mkdir()
    fill(tmp_path, 2)
    fill(tmp_path / "a" / "@eaDir" / "0.png", 1)
    fill(tmp_path / "b" / ".ipynb_checkpoints", 1)
    (tmp_path / "b" / "gone.png").symlink_to(tmp_path / "nowhere")
    (tmp_path / "b" / "itself.png").symlink_to(tmp_path / "b" / "itself.png")
    os.mkfifo(tmp_path / "b" / "pipe.png")
    data = load(tmp_path)
    assert data.classes == ("a", "b")
    assert sum(len(part) for part in data.parts.values()) == 20
    assert data.notes == (
        f"not used: 2 images outside any class folder of {tmp_path.name}",
        f"not used: 1 folders without images in {tmp_path.name} (scripts)",
        "not used: 1 files that are no images (1 .txt)",
        "not used: 1 hidden files",
        "not used: 3 pipes, devices or links to nothing",
        "not used: 4 folders (.cache, .ipynb_checkpoints, @eaDir, __MACOSX)",
    )


def test_contents_decide_what_is_an_image(tmp_path: Path) -> None:
    for name in ("a", "b"):
        fill(tmp_path / name, 10)
        for i, form in enumerate(("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM")):
            Image.new("RGB", (6, 6), (20 * i, 0, 0)).save(tmp_path / name / f"{form}.jfif", form)
            (tmp_path / name / f"{form}.jfif").rename(tmp_path / name / (form if i % 2 else f"{form}.jfif"))
        (tmp_path / name / "BMWs").write_text("BMWs are cars, and this is a text")
    data = load(tmp_path)
    assert sum(len(part) for part in data.parts.values()) == 34
    assert data.notes == ("not used: 2 files that are no images (2 without a suffix)",)


def test_linked_folders_are_followed_and_circles_end(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    fill(elsewhere / "cats", 10)
    fill(tmp_path / "data" / "dog", 10)
    fill(tmp_path / "data" / "cat", 2)
    (tmp_path / "data" / "cat" / "more").symlink_to(elsewhere / "cats")
    (tmp_path / "data" / "dog" / "around").symlink_to(tmp_path / "data")
    data = load(tmp_path / "data")
    assert sum(len(part) for part in data.parts.values()) == 22
    assert data.notes == ("not used: 1 folders (around)",)


@pytest.mark.parametrize(
    ("train", "test"), [("train2017", "test2017"), ("seg_train/seg_train", "seg_test/seg_test"), ("Training", "test-1")]
)
def test_names_that_are_parts_with_numbers_or_words_are_parts(tmp_path: Path, train: str, test: str) -> None:
    for name in ("a", "b"):
        fill(tmp_path / train / name, 10)
        fill(tmp_path / test / name, 3)
    fill(tmp_path / "prediction", 7)
    data = load(tmp_path)
    assert data.classes == ("a", "b")
    assert len(data.test) == 6
    assert "not used: 7 images in prediction, which is no part with class folders" in data.notes


def test_parts_without_class_folders_are_no_classes(tmp_path: Path) -> None:
    for part in ("train", "test"):
        fill(tmp_path / part, 10)
    with pytest.raises(DataError, match="test, train hold images without class folders; expected CLASS"):
        load(tmp_path)
    for name in ("a", "b"):
        fill(tmp_path / "train" / name, 10)
    data = load(tmp_path)
    assert data.classes == ("a", "b")
    assert "not used: 10 images in test, which is no part with class folders" in data.notes
    assert "not used: 10 images outside any class folder of train" in data.notes


def test_a_list_of_files_does_not_make_a_folder_of_images_a_text(tmp_path: Path) -> None:
    for part in ("train", "test"):
        (tmp_path / f"{part}.txt").write_text("a/0.png\n")
        for name in ("a", "b"):
            fill(tmp_path / part / name, 10)
    assert not is_text(tmp_path)
    assert "not used: 2 files that are no images (2 .txt)" in load(tmp_path).notes


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
    with pytest.raises(DataError, match=r"no images found; expected CLASS.*; there are no files"):
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
