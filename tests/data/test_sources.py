from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from archwright.cli.commands import dispatch
from archwright.data.sources import load
from archwright.errors import ConfigError, DataError
from archwright.modalities import read


def test_digits_are_the_embedded_default() -> None:
    data = load("digits")
    assert data.task == type(data.task)(channels=1, height=8, width=8, classes=10)
    assert [len(part) for part in data.parts.values()] == [1168, 270, 359]  # 65, 15 and 20 % of 1,797
    assert data.classes == tuple("0123456789")
    every = torch.cat([part.x for part in data.parts.values()])
    assert every.dtype == torch.uint8
    assert (every.min(), every.max()) == (0, 255)
    assert len(every.unique()) == 17
    assert data.name == "digits"


def test_digits_have_every_class_in_every_part_in_proportion() -> None:
    data = load("digits")
    whole = sum(torch.bincount(part.y) for part in data.parts.values())
    for part, share in ((data.train, 0.65), (data.validation, 0.15), (data.test, 0.2)):
        assert (torch.bincount(part.y) - share * whole).abs().max() <= 1


def test_the_seed_decides_the_split() -> None:
    assert load("digits").fingerprint == load("digits", seed=0).fingerprint != load("digits", seed=1).fingerprint


def test_fractions_size_and_limit_are_followed() -> None:
    data = load("digits", test=0.1, validation=0.3, image_size=(12, 10), limit=50)
    assert [len(part) for part in data.parts.values()] == [50, 539, 180]
    assert (data.task.height, data.task.width) == (12, 10)


def test_the_global_random_state_is_left_alone() -> None:
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    load("digits", limit=100)
    assert torch.equal(before[0], torch.random.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002


def test_loaded_data_passes_through_and_can_be_limited() -> None:
    data = load("digits")
    assert load(data) is data
    small = load(data, limit=20)
    assert len(small.train) == 20
    assert small.test is data.test
    assert small.preprocessing.mean[0] == pytest.approx(small.train.x.float().mean().item())
    assert "of these train images 20 are used" in small.split
    with pytest.raises(ConfigError, match="loaded already"):
        load(data, test=0.1)


def test_a_folder_may_be_called_digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "digits").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="no images found"):
        load("./digits")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gone", "gone: no such file or folder; give digits"),
        ("a.csv", "a.csv: unknown format '.csv'; give digits"),
        ("a.tar", "unpack it first"),
        ("plain", "unknown format"),
    ],
)
def test_other_files_are_refused_with_what_would_do(tmp_path: Path, name: str, message: str) -> None:
    if name != "gone":
        (tmp_path / name).write_text("")
    with pytest.raises(DataError, match=message):
        load(tmp_path / name)


@pytest.mark.parametrize("size", [3, 0, (8, 2)])
def test_a_size_too_small_is_refused(size: int | tuple[int, int]) -> None:
    with pytest.raises(DataError, match="the least is 4x4"):
        load("digits", image_size=size)


def test_readers_are_imported_only_when_used() -> None:
    code = (
        "import sys; from archwright.data import images, sources, describe; "
        "print([name for name in ('PIL', 'pyarrow', 'sklearn') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["pipe", "pipe.npz", "pipe.parquet", "pipe.txt", "folder"])
def test_a_pipe_is_not_waited_for_wherever_it_lies(name: str, tmp_path: Path) -> None:
    if name == "folder":
        (tmp_path / name).mkdir()
        os.mkfifo(tmp_path / name / "train.parquet")
    else:
        os.mkfifo(tmp_path / name)
    with pytest.raises(DataError, match=r"is no regular file|1 pipes|1 pipes, devices or links to nothing"):
        read(str(tmp_path / name), seed=0)
    with pytest.raises(DataError, match="is no regular file"):
        read("/dev/zero", seed=0)


def test_the_layout_of_arrays_can_be_given_on_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    x = np.random.default_rng(0).integers(0, 255, (40, 5, 6, 7), dtype=np.uint8)
    np.savez(tmp_path / "x.npz", x=x, y=np.arange(40) % 2)
    assert dispatch("check", [str(tmp_path / "x.npz")]) == 2
    assert "--layout" in capsys.readouterr().err
    for layout, size in (("NHWC", "5x6 pixels, 7 channels"), ("NCHW", "6x7 pixels, 5 channels")):
        assert dispatch("check", [str(tmp_path / "x.npz"), "--layout", layout]) == 0
        assert size in capsys.readouterr().out
