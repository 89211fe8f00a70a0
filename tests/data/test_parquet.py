from __future__ import annotations

import io
import json
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from archwright.data.sources import load
from archwright.errors import DataError


def png(value: int, size: tuple[int, int] = (6, 5)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, (value, 0, 0)).save(file, "png")
    return file.getvalue()


def table(
    labels: list[Any],
    image: str = "image",
    label: str = "label",
    features: dict[str, Any] | None = None,
    **more: list[Any],
) -> pa.Table:
    """Images whose red value is ten times the row number."""
    images = [{"bytes": png(10 * row % 256), "path": f"{row}.png"} for row in range(len(labels))]
    made = pa.table({image: images, label: labels, **more})
    if features is not None:
        made = made.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    return made


def class_label(*names: str) -> dict[str, Any]:
    return {"_type": "ClassLabel", "names": list(names)}


@pytest.mark.parametrize("image", ["image", "img", "picture"])
@pytest.mark.parametrize("label", ["label", "target"])
def test_one_file_is_split_and_rows_keep_their_labels(tmp_path: Path, image: str, label: str) -> None:
    pq.write_table(table([0, 1] * 12, image, label), tmp_path / "a.parquet", row_group_size=5)
    data = load(tmp_path / "a.parquet")
    assert sum(len(part) for part in data.parts.values()) == 24
    assert data.task == load(tmp_path).task
    assert (data.task.channels, data.task.height, data.task.width) == (3, 5, 6)
    for part in data.parts.values():
        assert torch.equal(part.x[:, 0, 0, 0] // 10 % 2, part.y)


def test_class_names_come_from_the_metadata_in_its_order(tmp_path: Path) -> None:
    features = {"image": {"_type": "Image"}, "label": class_label("zebra", "ant")}
    pq.write_table(table([0, 1] * 10, features=features), tmp_path / "a.parquet")
    assert load(tmp_path / "a.parquet").classes == ("zebra", "ant")
    features["label"]["names"] = {"0": "zebra", "1": "ant"}
    pq.write_table(table([0, 1] * 10, features=features), tmp_path / "a.parquet")
    assert load(tmp_path / "a.parquet").classes == ("zebra", "ant")


@pytest.mark.parametrize("metadata", [None, b"", b"{}", b"[1]", b'{"info": {"features": {"label": 3}}}', b"\xff"])
def test_metadata_of_other_kinds_is_ignored(tmp_path: Path, metadata: bytes | None) -> None:
    made = table([5, 7] * 10).replace_schema_metadata(None if metadata is None else {b"huggingface": metadata})
    pq.write_table(made, tmp_path / "a.parquet")
    assert load(tmp_path / "a.parquet").classes == ("5", "7")


def test_string_labels_and_their_sorted_order(tmp_path: Path) -> None:
    pq.write_table(table(["b", "a"] * 10), tmp_path / "a.parquet")
    assert load(tmp_path / "a.parquet").classes == ("a", "b")


def test_cifar100_takes_the_fine_labels_and_says_so(tmp_path: Path) -> None:
    features = {"fine_label": class_label("a", "b"), "coarse_label": class_label("all")}
    pq.write_table(
        table([0, 1] * 10, "img", "fine_label", features=features, coarse_label=[0] * 20), tmp_path / "train.parquet"
    )
    data = load(tmp_path)
    assert data.classes == ("a", "b")
    assert "labels are column fine_label, not coarse_label" in data.notes


def test_shards_below_a_data_folder_are_joined(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for shard in range(2):
        pq.write_table(table([0, 1] * 10), tmp_path / "data" / f"train-{shard:05}-of-00002.parquet")
    pq.write_table(table([0, 1] * 3), tmp_path / "data" / "test-00000-of-00001.parquet")
    data = load(tmp_path)
    assert [len(part) for part in data.parts.values()] == [36, 4, 6]
    (tmp_path / "data" / "train-00001-of-00002.parquet").unlink()
    with pytest.raises(DataError, match=r"the train part is incomplete or there twice: train-00000-of-00002.parquet"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("train-00000-of-00001-0a1b2c3d4e5f6071.parquet", "test-00000-of-00001-b16b00b5deadbeef.parquet"),
        ("train/0000.parquet", "test/0000.parquet"),
        ("default/train/0000.parquet", "default/test/0000.parquet"),
        ("mnist_train.parquet", "mnist_test.parquet"),
        ("train_1.parquet", "test_1.parquet"),
    ],
)
def test_official_test_images_are_never_trained_on(tmp_path: Path, train: str, test: str) -> None:
    for name, count in ((train, 20), (test, 6)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table([0, 1] * (count // 2)), tmp_path / name)
    (tmp_path / "README.md").write_text("about")
    data = load(tmp_path)
    assert [len(part) for part in data.parts.values()] == [18, 2, 6]
    assert "6 test: the data's own test part" in data.split
    assert "not used: 1 files that are no parquet (1 .md)" in data.notes


def test_files_that_differ_in_a_number_are_one_part_and_others_are_there_twice(tmp_path: Path) -> None:
    for number in (1, 2):
        pq.write_table(table([0, 1] * 10), tmp_path / f"train_{number}.parquet")
    assert sum(len(part) for part in load(tmp_path).parts.values()) == 40
    (tmp_path / "train_2.parquet").rename(tmp_path / "training.parquet")
    with pytest.raises(DataError, match="incomplete or there twice"):
        load(tmp_path)


def test_a_parquet_file_is_recognised_under_any_name(tmp_path: Path) -> None:
    pq.write_table(table([0, 1] * 10), tmp_path / "data.bin")
    assert sum(len(part) for part in load(tmp_path / "data.bin").parts.values()) == 20


def test_train_and_validation_alone(tmp_path: Path) -> None:
    pq.write_table(table([0, 1] * 10), tmp_path / "train.parquet")
    pq.write_table(table([0, 1] * 4), tmp_path / "validation.parquet")
    data = load(tmp_path)
    assert len(data.test) == 8
    assert "the data's own validation part, as there is no test part" in data.split


def test_a_test_part_with_withheld_labels_is_left_out(tmp_path: Path) -> None:
    pq.write_table(table([0, 1] * 10), tmp_path / "train.parquet")
    pq.write_table(table([0, 1] * 4), tmp_path / "validation.parquet")
    pq.write_table(table([-1] * 4), tmp_path / "test.parquet")
    data = load(tmp_path)
    assert len(data.test) == 8
    assert "the test part has no labels (all 4 are -1) and was left out" in data.notes


def test_files_of_unknown_name_are_the_data_or_left_out(tmp_path: Path) -> None:
    pq.write_table(table([0, 1] * 10), tmp_path / "0000.parquet")
    assert sum(len(part) for part in load(tmp_path).parts.values()) == 20
    pq.write_table(table([0, 1] * 8), tmp_path / "train.parquet")
    data = load(tmp_path)
    assert sum(len(part) for part in data.parts.values()) == 16
    assert "not used: 1 parquet files of no part (0000.parquet)" in data.notes


def test_parquet_that_cannot_be_used_says_why(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"

    def refused(made: pa.Table, message: str) -> None:
        pq.write_table(made, file)
        with pytest.raises(DataError, match=message):
            load(file)

    refused(pa.table({"text": ["a"], "label": [0]}), "image column .* is needed; found none among text, label")
    refused(table([0], "a", b=[{"bytes": b"", "path": ""}]), r"several \(a, b\) and none is called image")
    refused(table([0], label="kind"), "no label column found among image, kind")
    refused(table([0, None] * 5), "a.parquet, label: the label of image 1 is missing")
    refused(table([0, 1])[:0], "there are no rows")
    refused(table([0, 0]), "one class only, '0'")
    refused(table([0, 3] * 5, features={"label": class_label("a", "b")}), "label 3 has no class name; the data names 2")
    refused(pa.table({"image": [{"bytes": None, "path": "a.png"}], "label": [0]}), "row 0 has no image in it")
    refused(pa.table({"image": [{"bytes": b"no image", "path": "a.png"}], "label": [0]}), "row 0: unreadable image")
    two = tmp_path / "two"
    for name in ("one", "other"):
        (two / name).mkdir(parents=True)
        pq.write_table(table([0, 1]), two / name / "train.parquet")
    with pytest.raises(DataError, match="parquet files in one, other; name one"):
        load(two)


def test_corrupt_files_are_one_clear_line(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    pq.write_table(table([0, 1] * 40), file)
    whole = file.read_bytes()
    noise = np.random.default_rng(0).integers(0, 256, len(whole), dtype=np.uint8).tobytes()
    for damaged in (
        b"",
        b"PAR1",
        whole[:-30],
        whole[:4] + noise[4:2000] + whole[2000:],
        whole[: len(whole) // 2] + b"PAR1",
    ):
        file.write_bytes(damaged)
        with pytest.raises(DataError, match=r"^[^\n]*a\.parquet[^\n]*$"):
            load(file)


OBJECTS = {
    "lists": [[0], [1, 2]],
    "lists of one length": [[0, 1], [1, 0]],
    "a list and nothing": [None, [1]],
    "structs": [{"a": 1}, {"a": 2}],
    "times": [datetime(2020, 1, 1), datetime(2021, 1, 1)],
    "durations": [timedelta(1), timedelta(2)],
    "fractions": [Decimal("1.5"), Decimal("2.5")],
    "maps": pa.array([[("a", 1)], [("b", 2)]] * 10, pa.map_(pa.string(), pa.int64())),
}


@pytest.mark.parametrize("labels", OBJECTS.values(), ids=OBJECTS)
def test_labels_that_are_no_numbers_or_strings_are_one_clear_line(labels: Any, tmp_path: Path) -> None:
    pq.write_table(table(labels * 10 if isinstance(labels, list) else labels), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"^[^\n]*a\.parquet, label[^\n]*$"):
        load(tmp_path / "a.parquet")
