"""What cannot be written is said before work begins; a disk that is full at the end loses nothing."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from archwright.cli import training
from archwright.cli.commands import dispatch
from archwright.modalities import model_file
from archwright.modalities.images.model import TrainedModel
from archwright.space import sample
from archwright.spaces.nas_conv import NasConv

TARGETS = [
    ["train", "nasnet-a", "--data", "nowhere", "--to"],
    ["export", "nowhere", "--to"],
    ["bench", "--table", "nowhere", "--out"],
    ["bench", "--data", "nowhere", "--out"],
    ["search", "--data", "nowhere", "--run"],
    ["transfer", "nasnet-a", "--data", "nowhere", "--to"],
    ["show", "nasnet-a", "--to"],
    ["compare", "nowhere", "--baseline", "--to"],
]


@pytest.mark.parametrize("words", TARGETS, ids=lambda words: " ".join(words[:2]))
@pytest.mark.parametrize("medium", ["file", "read-only"])
def test_a_target_that_cannot_be_written_is_said_at_once(
    words: list[str],
    medium: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Before the data or the run, which are not there either, are looked for."""
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("")
    if medium == "read-only":  # for any user, also one who may write everything
        monkeypatch.setattr(os, "access", lambda *_: False)
    assert dispatch(words[0], [*words[1:], "file/new" if medium == "file" else "new/folder"]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "cannot be written" in line
    assert [path.name for path in Path().iterdir()] == ["file"]


def test_a_disk_that_is_full_at_the_end_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    def full(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device", str(path))

    sizes = ["--space", "nas-conv", "--space.layers", "1", "--space.first_layers", "1", "--limit", "128"]
    short = ["--trials", "1", "--baseline", "false", "--search-recipe.epochs", "1", "--final-recipe.epochs", "1"]
    with monkeypatch.context() as patched:
        patched.setattr(model_file, "write", full)
        assert dispatch("search", [*sizes, *short, "--device", "cpu", "--run", "run"]) == 2
    assert capsys.readouterr().err.endswith("run/model/weights.safetensors: No space left on device\n")
    assert dispatch("resume", ["run"]) == 0
    assert (tmp_path / "run" / "model" / "model.json").exists()


@pytest.fixture
def trainable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The words of a training of a second, and a working folder with its architecture."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    architecture = sample(NasConv(layers=1, first_layers=1), 0)
    Path("small.json").write_text(json.dumps(architecture.to_json()))
    return ["small.json", "--data", "digits", "--limit", "128", "--epochs", "1", "--device", "cpu", "--to", "trained"]


@pytest.mark.parametrize("full", ["the disk", "the disk and the temporary folder"])
def test_a_network_is_kept_elsewhere_if_its_disk_is_full(
    full: str, trainable: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    original = model_file.write
    bad = ["trained", *(["temporary"] if "temporary" in full else [])]

    def write(path: Path, data: bytes) -> None:
        if any(name in path.parts for name in bad):
            raise OSError(28, "No space left on device", str(path))
        original(path, data)

    monkeypatch.setattr(model_file, "write", write)
    assert dispatch("train", trainable) == 2
    printed = capsys.readouterr()
    [line] = printed.err.splitlines()
    assert "trained/weights.safetensors: No space left on device; what was trained is in " in line
    kept = Path(line.rpartition(" is in ")[2])
    try:
        assert kept.is_relative_to(tmp_path / "temporary" if len(bad) == 1 else "/dev/shm")
        assert f"{json.loads((kept / 'result.json').read_text())['test_accuracy']:.2%}" in printed.out
        assert TrainedModel.load(kept).classes[:2] == ("0", "1")
        assert (kept / "architecture.json").is_file()
        assert list((tmp_path / "temporary").iterdir()) == ([kept] if len(bad) == 1 else [])
    finally:
        shutil.rmtree(kept)


def test_a_network_that_can_be_kept_nowhere_is_one_line(
    trainable: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def write(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device", str(path))

    before = {*Path("/dev/shm").iterdir()}
    monkeypatch.setattr(model_file, "write", write)
    assert dispatch("train", trainable) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.endswith("the folders for temporary files cannot take what was trained either")
    assert not list((tmp_path / "temporary").iterdir())
    assert not [path for path in {*Path("/dev/shm").iterdir()} - before if path.name.startswith("archwright-")]


def test_a_disk_that_is_too_small_is_said_before_training(
    trainable: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=100))
    monkeypatch.setattr(training, "Fit", lambda *_, **__: pytest.fail("it is trained"))
    assert dispatch("train", trainable) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "archwright: trained cannot be written: it takes " in line
