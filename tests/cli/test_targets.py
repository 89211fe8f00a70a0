"""What cannot be written is said before work begins; a disk that is full at the end loses nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from archwright.cli.commands import dispatch
from archwright.modalities import model_file

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
