"""Data of Hugging Face's `datasets`: folders as `save_to_disk` leaves them, its cache, and what is in memory."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image

from archwright.__main__ import main
from archwright.data.images import ImageData
from archwright.data.sources import load
from archwright.data.text import TextData, is_text, load_text
from archwright.errors import DataError
from archwright.modalities import read

FEATURES = {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": ["zebra", "ant"]}}
SAVED = Path(__file__).parent / "saved_by_datasets"  # 24 images by `DatasetDict.save_to_disk` of datasets 5.2


def png(value: int) -> bytes:
    file = io.BytesIO()
    Image.new("L", (6, 5), value).save(file, "png")
    return file.getvalue()


def images(count: int, first: int = 0) -> pa.Table:
    """Images whose value is ten times the row number, and labels that take turns."""
    rows = range(first, first + count)
    made = pa.table(
        {
            "image": [{"bytes": png(10 * row % 256), "path": None} for row in rows],
            "label": [row % 2 for row in rows],
        }
    )
    return made.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": FEATURES}})})


def write_stream(table: pa.Table, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=5)


def save(folder: Path, *shards: pa.Table, **state: Any) -> None:
    """Write a Dataset as `save_to_disk` does."""
    names = [f"data-{index:05d}-of-{len(shards):05d}.arrow" for index in range(len(shards))]
    for name, shard in zip(names, shards, strict=True):
        write_stream(shard, folder / name)
    (folder / "dataset_info.json").write_text(json.dumps({"features": FEATURES}))
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": n} for n in names], **state}))


def agree(data: ImageData) -> None:
    for part in data.parts.values():
        assert torch.equal(part.x[:, 0, 0, 0] // 10 % 2, part.y)


def test_a_saved_dict_of_parts_loads(tmp_path: Path) -> None:
    save(tmp_path / "d/train", images(12), images(8, 12))
    save(tmp_path / "d/test", images(6))
    write_stream(images(99), tmp_path / "d/train/cache-0123456789abcdef.arrow")  # what `map` leaves
    (tmp_path / "d/dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    data = load(tmp_path / "d")
    assert {name: len(part) for name, part in data.parts.items()} == {"train": 18, "validation": 2, "test": 6}
    assert data.classes == ("zebra", "ant")
    assert data.notes[0] == "not used: 1 cached files (cache-0123456789abcdef.arrow)"
    agree(data)


def test_one_saved_part_is_split(tmp_path: Path) -> None:
    save(tmp_path / "d", images(24))
    data = load(tmp_path / "d")
    assert sum(map(len, data.parts.values())) == 24
    agree(data)
    assert load(tmp_path / "d/data-00000-of-00001.arrow").fingerprint == data.fingerprint


def test_the_cache_of_a_download_loads(tmp_path: Path) -> None:
    write_stream(images(20), tmp_path / "toys-train.arrow")
    write_stream(images(6), tmp_path / "toys-test.arrow")
    (tmp_path / "dataset_info.json").write_text("{}")
    data = load(tmp_path)
    assert (len(data.train) + len(data.validation), len(data.test)) == (20, 6)


def test_what_the_library_itself_saved_loads() -> None:
    data = load(SAVED)
    assert {name: len(part) for name, part in data.parts.items()} == {"train": 14, "validation": 2, "test": 8}
    assert data.classes == ("cat", "dog")
    for part in data.parts.values():
        assert torch.equal((part.x.flatten(1).float().mean(1) > 100).long(), part.y)


def test_arrows_other_format_loads(tmp_path: Path) -> None:
    with pa.OSFile(str(tmp_path / "x.arrow"), "wb") as file, pa.ipc.new_file(file, images(20).schema) as writer:
        writer.write_table(images(20))
    agree(load(tmp_path / "x.arrow"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: (d / "data-00001-of-00002.arrow").unlink(), "incomplete"),
        (lambda d: (d / "state.json").write_text("{"), r"state\.json is damaged"),
        (lambda d: (d / "data-00000-of-00002.arrow").write_bytes(b"no"), "not a readable arrow file"),
        (lambda d: save(d, images(4), images(4), _indices_data_files=["indices.arrow"]), "save_to_disk"),
    ],
)
def test_what_is_wrong_on_disk_is_told(tmp_path: Path, change: Any, message: str) -> None:
    save(tmp_path, images(12), images(12))
    change(tmp_path)
    with pytest.raises(DataError, match=message):
        load(tmp_path)


def test_a_path_in_a_file_is_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(png(3))
    rows = [{"bytes": None, "path": str(secret)}] * 12
    write_stream(pa.table({"image": rows, "label": [0, 1] * 6}), tmp_path / "d/x.arrow")
    with pytest.raises(DataError, match="row 0 has no image in it"):
        load(tmp_path / "d")


class Held:
    """What archwright uses of a `datasets.Dataset`: its features, and batches of Arrow in the order of its rows."""

    def __init__(self, table: pa.Table, columns: Sequence[str] | None = None) -> None:
        self.table, self._columns = table, list(columns or table.column_names)
        self.features = self

    @property
    def arrow_schema(self) -> pa.Schema:
        return self.table.schema

    def __len__(self) -> int:
        return len(self.table)

    def with_format(self, kind: str, columns: Sequence[str]) -> Held:
        assert kind == "arrow"
        return Held(self.table, columns)

    def iter(self, batch_size: int) -> Iterator[pa.Table]:
        for first in range(0, len(self.table), batch_size):
            yield self.table.select(self._columns).slice(first, batch_size)


def test_a_dataset_in_memory_loads(tmp_path: Path) -> None:
    data = load(Held(images(40)))
    assert (sum(map(len, data.parts.values())), data.name) == (40, "Held in memory")
    agree(data)
    parts = load({"train": Held(images(20)), "test": Held(images(8)), "unsupervised": Held(images(3))})
    assert (len(parts.test), parts.notes[0]) == (8, "not used: the parts unsupervised")
    with pytest.raises(DataError, match="the parts a, b; expected a Dataset, or a DatasetDict"):
        load({"a": Held(images(4)), "b": Held(images(4))})
    (tmp_path / "x.png").write_bytes(png(7))
    rows = [{"bytes": None, "path": str(tmp_path / "x.png")}] * 20  # as `load_dataset("imagefolder")` holds them
    assert int(load(Held(pa.table({"image": rows, "label": [0, 1] * 10}))).train.x.max()) == 7


def test_arrays_in_columns_load(tmp_path: Path) -> None:
    x = np.random.default_rng(0).integers(0, 255, (24, 5, 4), dtype=np.uint8)
    table = pa.table({"pixels": pa.array(x.tolist(), pa.list_(pa.list_(pa.uint8()))), "label": ["b", "a"] * 12})
    for source in (Held(table), tmp_path / "x.arrow"):
        if isinstance(source, Path):
            write_stream(table, source)
        data = load(source)
        assert (data.task.height, data.task.width, data.train.x.dtype) == (5, 4, torch.uint8)
    ragged = pa.table({"pixels": [[[1, 2]], [[1, 2, 3]]], "label": [0, 1]})
    with pytest.raises(DataError, match="the train part: images must be numbers, all of one shape"):
        load(Held(ragged))


def test_texts_load(tmp_path: Path) -> None:
    def text(rows: int) -> pa.Table:
        return pa.table({"text": ["a b c\n" if row % 2 else "d e" for row in range(rows)], "id": list(range(rows))})

    save(tmp_path / "d", text(900))
    for source in (tmp_path / "d", Held(text(900))):
        assert is_text(source)
        data = read(source, seed=0)
        assert isinstance(data, TextData)
        assert (set(data.vocabulary), sum(map(len, data.parts.values()))) == ({*"abcde", "<eos>"}, 900 // 2 * 7)
        assert data.notes == ("not used: columns id; a language model reads text",)
    both = load_text({"train": Held(text(900)), "test": Held(text(60))})
    assert (len(both.test), len(both.train) + len(both.validation)) == (210, 3150)
    assert not is_text(Held(images(4)))


def test_the_command_says_what_it_understands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(tmp_path / "toys", images(24))
    assert main(["check", str(tmp_path / "toys")]) == 0
    assert "zebra" in capsys.readouterr().out
