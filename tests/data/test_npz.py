from __future__ import annotations

import contextlib
import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import archwright.data.limits
from archwright.data.npz import read_npz
from archwright.data.sources import load
from archwright.errors import DataError

RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (40, 6, 6), dtype=np.uint8)
Y = np.arange(40) % 2


def saved(path: Path, **arrays: Any) -> Path:
    np.savez(path / "data.npz", **arrays)
    return path / "data.npz"


@pytest.mark.parametrize(
    ("keys", "parts"),
    [
        (["x", "y"], ["train"]),
        (["X", "labels"], ["train"]),
        (["x_train", "y_train", "x_test", "y_test"], ["train", "test"]),
        (["X_train", "y_train", "X_validation", "y_validation"], ["train", "validation"]),
        (["x_train", "y_train", "x_valid", "y_valid", "x_test", "y_test"], ["train", "validation", "test"]),
        (
            ["train_images", "train_labels", "val_images", "val_labels", "test_images", "test_labels"],  # MedMNIST
            ["train", "validation", "test"],
        ),
    ],
)
def test_the_usual_names_are_understood(tmp_path: Path, keys: list[str], parts: list[str]) -> None:
    arrays = {key: Y if "y" in key.lower() or "label" in key else X for key in keys}
    found = read_npz(saved(tmp_path, **arrays), None, None)
    assert list(found.parts) == parts
    for part in found.parts.values():
        assert torch.equal(part.x[:, 0], torch.from_numpy(X))
        assert part.y.tolist() == Y.tolist()


def test_class_names_and_unused_arrays_are_noticed(tmp_path: Path) -> None:
    path = saved(tmp_path, x=X, y=Y, classes=np.array(["cat", "dog"]), extra=np.zeros(3))
    data = load(path)
    assert data.classes == ("cat", "dog")
    assert "not used from data.npz: 1 arrays (extra)" in data.notes


def test_labels_may_be_strings(tmp_path: Path) -> None:
    assert load(saved(tmp_path, x=X, y=np.array(["b", "a"])[Y])).classes == ("a", "b")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"pictures": X, "kinds": Y}, "found pictures, kinds; needed are x and y, or x_train"),
        ({}, "found no arrays"),
        ({"x": X}, "found x alone"),
        ({"x_train": X, "y_train": Y, "x_test": X}, "found x_test alone"),
        ({"x_test": X, "y_test": Y}, "needed are"),
        ({"x": X, "y": Y, "x_train": X, "y_train": Y}, "keep one of the two"),
        ({"x": X, "images": X, "y": Y}, "both 'x' and 'images' could be x"),
        ({"x": X, "y": Y[:-1]}, "x has 40 images and y 39 labels"),
        ({"x": X, "y": np.zeros(40)}, "one class only, '0'"),
        ({"x": X, "y": np.array([0.0, np.nan] * 20)}, "y: the label of image 1 is nan"),
        ({"x": X.reshape(40, 36), "y": Y}, r"reshape it to \(40, 6, 6\)"),
    ],
)
def test_archives_that_cannot_be_used_say_why(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=rf"data.npz: .*{message}"):
        load(saved(tmp_path, **arrays))


class Evil:
    def __reduce__(self) -> Any:
        return (pytest.fail, ("a pickle was loaded",))


def test_objects_are_refused_and_never_unpickled(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'x' holds Python objects, which need pickle, and unpickling may run code"):
        load(saved(tmp_path, x=np.array([Evil()], dtype=object), y=Y))
    plain = tmp_path / "plain.npz"
    plain.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(DataError, match="pickles are not read because they may run code"):
        load(plain)


def test_damaged_files_are_one_clear_line(tmp_path: Path) -> None:
    whole = saved(tmp_path, x=RNG.random((40, 50, 50)), y=Y).read_bytes()
    path = tmp_path / "damaged.npz"
    for damaged in (b"", b"PK\3\4 and more", whole[: len(whole) // 2], whole[:5000] + b"\0" * 90 + whole[5090:]):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=r"damaged.npz: ") as caught:
            load(path)
        assert "\n" not in str(caught.value)
    np.save(tmp_path / "single.npy", X)
    (tmp_path / "single.npy").rename(path)
    with pytest.raises(DataError, match="a single array"):
        load(path)


@pytest.mark.parametrize("shape", [(10, 100_000, 100_000), (2**40,), (2**62, 2**62)])
@pytest.mark.parametrize("compressed", [False, True])
def test_what_an_archive_claims_is_checked_before_it_is_read(
    shape: tuple[int, ...], compressed: bool, tmp_path: Path
) -> None:
    """A header alone, a few bytes long, takes no memory."""
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "|u1", "fortran_order": False, "shape": shape})
    kind = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    with zipfile.ZipFile(tmp_path / "x.npz", "w", kind) as archive:
        archive.writestr("x.npy", stream.getvalue())
        archive.writestr("y.npy", stream.getvalue())
    with pytest.raises(DataError, match=r"x\.npz.*claims to be of shape"):
        load(tmp_path / "x.npz")


def test_an_archive_that_needs_more_memory_than_there_is_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.savez_compressed(tmp_path / "x.npz", x=np.zeros((100, 64, 64), np.uint8), y=np.arange(100) % 2)
    monkeypatch.setattr(archwright.data.limits, "usable_memory", lambda: 2 * 100 * 64 * 64)
    with pytest.raises(DataError, match=r"x\.npz would take 0\.0 GB of memory, and 0\.0 GB can be had; save fewer"):
        load(tmp_path / "x.npz")


def test_damage_in_any_compression_is_a_data_error(tmp_path: Path) -> None:
    stream = io.BytesIO()
    np.save(stream, np.arange(4 * 64, dtype=np.uint8).reshape(4, 8, 8))
    for kind in (zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2, zipfile.ZIP_DEFLATED):
        with zipfile.ZipFile(tmp_path / "x.npz", "w", kind) as archive:
            archive.writestr("x.npy", stream.getvalue())
            archive.writestr("y.npy", stream.getvalue())
        whole = bytearray((tmp_path / "x.npz").read_bytes())
        for at in range(40, 120, 3):
            damaged = bytearray(whole)
            damaged[at] ^= 0xFF
            (tmp_path / "x.npz").write_bytes(damaged)
            with contextlib.suppress(DataError):
                load(tmp_path / "x.npz")


def test_class_names_may_be_bytes_and_others_are_said_not_to_be_used(tmp_path: Path) -> None:
    x, y = np.zeros((20, 8, 8), np.uint8), np.arange(20) % 2
    names = np.array(["zwölf".encode(), b"one"])
    np.savez(tmp_path / "data.npz", x=x, y=y, classes=names, label_names=np.arange(2))
    data = load(tmp_path / "data.npz")
    assert data.classes == ("zwölf", "one")
    assert "not used from data.npz: 1 arrays (label_names)" in data.notes


def test_an_archive_of_arrays_is_recognised_under_any_name(tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", x=np.zeros((20, 8, 8), np.uint8), y=np.arange(20) % 2)
    (tmp_path / "data.npz").rename(tmp_path / "data.bin")
    assert len(load(tmp_path / "data.bin").classes) == 2
