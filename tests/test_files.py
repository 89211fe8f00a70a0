"""Files that are complete or absent, and links in a stranger's folder, which lead nowhere."""

from __future__ import annotations

import os
import shutil
import sqlite3
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from archwright import files
from archwright.errors import RunError
from archwright.graph import Graph, Node
from archwright.lab.record import JsonLines
from archwright.modalities.images.model import TrainedModel
from archwright.report.drawing import draw
from archwright.space import Open, Task, sample
from archwright.spaces.enas_micro import EnasMicro
from archwright.store import RunStore

Folder = Path
GRAPH = Graph("cell", (Node("in", "in"), Node("out", "out")), ())


def trained() -> TrainedModel:
    from archwright.data.images import Preprocessing

    space = EnasMicro(nodes=1, repeats=1, filters=4, statistics="running", auxiliary=False)
    architecture = sample(space, 3)
    torch.manual_seed(1)
    network = space.network(Open.only(space, architecture), Task(1, 6, 6, 2)).eval()
    return TrainedModel(network, architecture, space, ("a", "b"), Preprocessing((0.0,), (1.0,), 1, 6, 6))


def stored(folder: Folder) -> None:
    with RunStore(folder, create=not (folder / "run.sqlite").exists()) as store:
        store.save("net", {"value": 1})


WRITERS: dict[str, tuple[Callable[[Folder], object], tuple[str, ...]]] = {
    "bytes": (lambda folder: files.write(folder / "result.json", b"new"), ("result.json",)),
    "lines": (lambda folder: JsonLines(folder / "children.jsonl").append({"seed": 1}), ("children.jsonl",)),
    "lines anew": (lambda folder: JsonLines(folder / "searches.jsonl").write([{"seed": 1}]), ("searches.jsonl",)),
    "png": (lambda folder: draw(GRAPH, folder / "cell.png"), ("cell.png",)),
    "svg": (lambda folder: draw(GRAPH, folder / "cell.svg"), ("cell.svg",)),
    "model": (lambda folder: trained().save(folder), ("weights.safetensors", "model.json")),
    "export": (lambda folder: trained().export(folder, formats=("source",)), ("model.py", "model.safetensors")),
    "store": (stored, ("lock", "run.sqlite", "run.sqlite-wal", "run.sqlite-shm", "run.sqlite-journal", "checkpoints")),
}
EVERY = [(name, file) for name, (_, names) in WRITERS.items() for file in names]


@pytest.fixture
def precious(tmp_path: Path) -> Path:
    path = tmp_path / "precious"
    path.write_text("keep")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "folder"
    path.mkdir()
    return path


@pytest.mark.parametrize(("writer", "name"), EVERY)
@pytest.mark.parametrize("there", [True, False], ids=["to a file", "to nothing"])
def test_no_writer_follows_a_link(writer: str, name: str, there: bool, folder: Path, precious: Path) -> None:
    target = precious if there else precious.with_name("missing")
    (folder / name).symlink_to(target)
    with pytest.raises(RunError, match=rf"{name} is a link") as said:
        WRITERS[writer][0](folder)
    assert "\n" not in str(said.value)
    assert precious.read_text() == "keep"
    assert sorted(path.name for path in folder.parent.iterdir()) == ["folder", "precious"]


@pytest.mark.parametrize(("writer", "name"), EVERY)
def test_a_link_in_the_place_of_an_unfinished_file_is_passed_by(
    writer: str, name: str, folder: Path, precious: Path
) -> None:
    (folder / f"{name}.tmp").symlink_to(precious)
    WRITERS[writer][0](folder)
    assert precious.read_text() == "keep"


@pytest.mark.parametrize("writer", WRITERS)
def test_a_folder_that_the_user_names_may_be_a_link(writer: str, folder: Path) -> None:
    link = folder.with_name("link")
    link.symlink_to(folder)
    write, names = WRITERS[writer]
    write(link)
    write(link)
    assert (folder / names[0]).exists()


def test_even_a_guessed_name_is_not_written_through(
    folder: Path, precious: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files.secrets, "token_hex", lambda _: "guess")
    (folder / "result.json.guess.tmp").symlink_to(precious)
    with pytest.raises(FileExistsError):
        files.write(folder / "result.json", b"new")
    assert precious.read_text() == "keep"


def test_a_file_that_cannot_be_finished_leaves_the_old_one_and_nothing_else(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.write(folder / "result.json", b"old")
    monkeypatch.setattr(files.os, "fsync", lambda _: Path("/no such").stat())
    with pytest.raises(OSError, match="No such file"):
        files.write(folder / "result.json", b"new")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {"result.json": b"old"}


def test_a_file_has_the_rights_that_the_user_sets(folder: Path) -> None:
    before = os.umask(0o027)
    try:
        files.write(folder / "result.json", b"new")
    finally:
        os.umask(before)
    assert (folder / "result.json").stat().st_mode & 0o777 == 0o640


def test_a_linked_folder_of_checkpoints_is_not_swept(folder: Path) -> None:
    stored(folder)
    elsewhere = folder.with_name("elsewhere")
    (folder / "checkpoints").rename(elsewhere)
    mine = elsewhere / f"mine-{'0' * 16}.safetensors"
    mine.write_bytes(b"keep")
    (folder / "checkpoints").symlink_to(elsewhere)
    with pytest.raises(RunError, match="checkpoints is a link"):
        RunStore(folder)
    assert mine.read_bytes() == b"keep"


def test_what_a_kill_left_unfinished_in_a_run_is_removed_and_nothing_else(folder: Path, precious: Path) -> None:
    stored(folder)
    for inner in ("model", "mine", "checkpoints"):
        (folder / inner).mkdir(exist_ok=True)
    (folder / "known").symlink_to(precious.parent / "elsewhere")
    (precious.parent / "elsewhere").mkdir()
    ending = f".{'0' * 16}.tmp"
    gone = [folder / f"result.json{ending}", folder / "model" / f"model.json{ending}", folder / f"cell.png{ending}"]
    kept = [folder / "notes.tmp", folder / ending, folder / "mine" / f"a{ending}", folder / "known" / f"a{ending}"]
    for path in (*gone, *kept):
        path.write_bytes(b"x")
    gone.append(folder / f"report.md{ending}")
    gone[-1].symlink_to(precious)
    RunStore(folder).close()
    assert [path for path in (*gone, *kept) if os.path.lexists(path)] == kept
    assert precious.read_text() == "keep"


def test_sweeping_removes_a_link_and_not_what_it_links_to(folder: Path, precious: Path) -> None:
    stored(folder)
    for ending in ("", ".tmp", f".{'0' * 16}.tmp"):
        (folder / "checkpoints" / f"net-{'0' * 16}.safetensors{ending}").symlink_to(precious)
    RunStore(folder).close()
    assert len(list((folder / "checkpoints").iterdir())) == 1
    assert precious.read_text() == "keep"


@pytest.mark.parametrize("opened", [RunStore, RunStore.reading])
def test_a_journal_that_names_a_file_does_not_delete_it(
    opened: Callable[[Path], RunStore], folder: Path, precious: Path
) -> None:
    """SQLite deletes the super-journal that a hot journal names at its end, any file of any content."""
    stored(folder)
    connection = sqlite3.connect(folder / "run.sqlite", isolation_level=None)
    for sql in ("PRAGMA cache_size = 1", "BEGIN IMMEDIATE"):
        connection.execute(sql)
    connection.execute("INSERT INTO facts VALUES ('a', ?)", ("x" * 200_000,))
    shutil.copytree(folder, copy := folder.with_name("copy"))
    connection.execute("ROLLBACK")
    connection.close()
    name, journal = os.fsencode(precious), copy / "run.sqlite-journal"
    checked = struct.pack(">II", len(name), sum(b if b < 128 else b - 256 for b in name) & 0xFFFFFFFF)
    magic = bytes.fromhex("d9d505f920a163d7")
    harmless = journal.read_bytes()
    journal.write_bytes(harmless + struct.pack(">I", 0x40000000 // 4096 + 1) + name + checked + magic)
    with pytest.raises(RunError, match="journal was not written by archwright"):
        opened(copy)
    assert precious.read_text() == "keep"
    journal.write_bytes(harmless)
    with RunStore(copy) as store:
        assert store.restore("net") == {"value": 1}


def test_an_error_of_the_disk_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left") as caught:
        files.write(tmp_path / "new" / "file", b"x")
    assert caught.value.filename == str(tmp_path / "new" / "file")
    assert list((tmp_path / "new").iterdir()) == []


def test_a_target_need_not_exist_but_must_be_a_folder_that_can_be_written(tmp_path: Path) -> None:
    assert files.target(tmp_path / "a" / "b") == tmp_path / "a" / "b"
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    for name in ("file", "file/x", "dangling"):
        with pytest.raises(RunError, match="cannot be written"):
            files.target(tmp_path / name)
