"""Memory is what the machine, the container and the limits of the process leave."""

from __future__ import annotations

import os
import resource
from concurrent.futures import ThreadPoolExecutor as Pool
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageFile

from archwright.cli.commands import dispatch
from archwright.data import decode as decoding
from archwright.data import limits, text
from archwright.data.decode import preprocess_image
from archwright.data.images import Preprocessing
from archwright.data.sources import load
from archwright.errors import DataError


@pytest.fixture
def limited(monkeypatch: pytest.MonkeyPatch) -> int:
    """A process that may have 10 MB of data."""
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (10**7, resource.RLIM_INFINITY))
    return 10**7


def test_the_least_limit_counts(limited: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert limits.usable_memory() == limited
    (tmp_path / "memory.max").write_text("9000\n")
    monkeypatch.setattr(limits, "CGROUP", tmp_path / "memory.max")
    assert limits.usable_memory() == 9000
    limits.require_room(9000, "x", "less")
    with pytest.raises(DataError, match=r"x would take .* can be had; less"):
        limits.require_room(9001, "x", "less")


@pytest.mark.parametrize("content", ["max\n", "", "x"])
def test_a_container_without_a_limit_has_the_machines(
    content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "CGROUP", tmp_path / "none")
    machine = limits.usable_memory()
    (tmp_path / "memory.max").write_text(content)
    monkeypatch.setattr(limits, "CGROUP", tmp_path / "memory.max")
    assert limits.usable_memory() == machine > 10**7


@pytest.mark.usefixtures("limited")
def test_large_images_under_a_limit_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By their headers: nothing is decoded."""
    for label in "ab":
        (tmp_path / label).mkdir()
        for number in range(3):
            Image.new("1", (3000, 3000), number % 2).save(tmp_path / label / f"{number}.png")
    assert dispatch("check", [str(tmp_path)]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "6 images of 3000x3000 would take" in line


def test_as_many_at_a_time_as_there_is_room_for_together(limited: int) -> None:
    assert limits.at_a_time([1, 4_000_000, 3_000_000, 2], 2, 0) == 2
    assert limits.at_a_time([4_000_000] * 9, 16, 0) == 2
    assert limits.at_a_time([4_000_000] * 9, 16, 7_000_000) == limits.at_a_time([limited + 1], 16, 0) == 1
    assert limits.at_a_time([1] * 3, 16, 0) == 3


@pytest.mark.usefixtures("limited")
def test_one_huge_image_among_small_ones_is_found_by_its_header(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for label in "ab":
        (tmp_path / label).mkdir()
        for number in range(12):
            Image.new("L", (8, 8), number).save(tmp_path / label / f"{number}.png")
    Image.new("1", (3000, 3000)).save(tmp_path / "b" / "huge.png")
    monkeypatch.setattr(Image.Image, "load", lambda image: pytest.fail("it is decoded"))
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda image: pytest.fail("it is decoded"))
    assert dispatch("check", [str(tmp_path)]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "b/huge.png, of 3000x3000 pixels, would take" in line
    with pytest.raises(DataError, match=r"huge\.png, of 3000x3000 pixels, would take"):
        preprocess_image(tmp_path / "b" / "huge.png", Preprocessing((0.0,), (1.0,), 1, 8, 8))


@pytest.mark.usefixtures("limited")
def test_few_images_are_decoded_at_a_time_where_memory_is_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two of these would take more than there is."""
    for number in range(2):
        Image.new("RGB", (1000, 1000)).save(tmp_path / f"{number}.png")
    monkeypatch.setattr(os, "cpu_count", lambda: 16)
    pools: list[int] = []
    monkeypatch.setattr(decoding, "ThreadPoolExecutor", lambda threads: pools.append(threads) or Pool(threads))
    found = decoding.decode({"train": decoding.Encodings(sorted(tmp_path.iterdir()), str)}, (8, 8))
    assert (pools, len(found.parts["train"])) == ([1], 2)


@pytest.mark.usefixtures("limited")
def test_a_text_is_compared_with_memory_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("train", "valid", "test"):
        (tmp_path / "texts").mkdir(exist_ok=True)
        with (tmp_path / "texts" / f"{name}.txt").open("w") as file:
            file.truncate(500_000)  # one of them would have room
    with (tmp_path / "huge.txt").open("w") as file:
        file.truncate(2**40)
    monkeypatch.setattr(text, "tokens_of", lambda *_: pytest.fail("it is read"))
    for path in (tmp_path / "huge.txt", tmp_path / "texts"):
        assert dispatch("check", [str(path)]) == 2
        [line] = capsys.readouterr().err.splitlines()
        assert f"{path} would take" in line


@pytest.mark.usefixtures("limited")
def test_parquet_is_compared_with_memory_before_and_while_it_is_read(tmp_path: Path) -> None:
    """A file holds the same image once and points to it from every row."""
    images = [{"bytes": os.urandom(200_000), "path": ""} for _ in range(100)]
    pq.write_table(pa.table({"image": images, "label": [0, 1] * 50}), tmp_path / "large.parquet")
    with pytest.raises(DataError, match=r"the images of .*large.parquet would take"):
        load(tmp_path / "large.parquet")
    images = [{"bytes": bytes(200_000), "path": ""}] * 100
    pq.write_table(pa.table({"image": images, "label": [0, 1] * 50}), tmp_path / "bomb.parquet")
    assert (tmp_path / "bomb.parquet").stat().st_size < 300_000
    with pytest.raises(DataError, match=r"bomb.parquet would take .* use fewer of its files"):
        load(tmp_path / "bomb.parquet")
