"""Where images come from: `load` takes a word, a file, a folder, or data that is already in Python."""

from __future__ import annotations

import os
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from archwright.data.arrays import Layout, resize
from archwright.data.decode import check_size
from archwright.data.found import Found, Part, Progress, Size
from archwright.data.images import ImageData, Preprocessing
from archwright.data.split import assemble, limited
from archwright.data.tree import beginning, tree
from archwright.data.units import Units
from archwright.errors import ConfigError, DataError

DIGITS_TEST_FRACTION = 0.2
KNOWN = "digits, an .npz archive, a .parquet or .arrow file, a folder of such files, or a folder of CLASS/*.png"


def load(
    source: Any,
    *,
    seed: int = 0,
    validation: float | None = None,
    test: float | None = None,
    image_size: int | Size | None = None,
    limit: int | None = None,
    layout: Layout | None = None,
    progress: Progress | None = None,
) -> ImageData:
    """Read images with classes, in separate parts for training, validation and test.

    - `source`: the word `digits` (write ./digits for a folder of that name); a path to an .npz archive, a
      .parquet or .arrow file, a folder of such files (as `datasets` saves them) or of class folders; from Python what
      `archwright.data.memory.WANTED` lists; or
      an ImageData, which passes through.
    - Parts that the source has are used. A missing validation part is split from the training part by class, 10 % of
      it. With train and val alone, val is the test part, unless `test` is given. With no parts at all, 15 % are split
      off for test (20 % of digits) and 15 % for validation. `validation` and `test`: other fractions of it.
    - `seed` decides which image goes where. `limit` keeps at most so many training images, by class.
    - `image_size`: pixels, one number or (height, width); without it, images of different sizes are stretched to the
      most common one. `layout` says what arrays are, where `archwright.data.arrays.recognised` is wrong.
    - `progress(done, total)` is called while images are read.

    Whole numbers within 0..255 are kept as bytes, other numbers as float32. Labels are any numbers or strings.
    A `DataError` says what cannot be used, a `ConfigError` which argument does not fit.
    """
    size = None
    if image_size is not None:
        height, width = (image_size, image_size) if isinstance(image_size, int) else image_size
        check_size(size := (height, width))
    if isinstance(source, ImageData):
        if (validation, test, size, layout) != (None, None, None, None):
            raise ConfigError(
                "the data is loaded already; give validation, test, image_size and layout where it is loaded"
            )
        train, limitation = limited(source.train, limit, seed)
        if not limitation:
            return source
        preprocessing = Preprocessing.of(train.x, source.preprocessing.units)
        return replace(source, train=train, split=source.split + limitation, preprocessing=preprocessing)
    if isinstance(source, (str, os.PathLike)):
        found, name = _read(source, layout, size, progress), os.fspath(source)
        if source == "digits" and test is None:
            test = DIGITS_TEST_FRACTION
    else:
        from archwright.data.memory import read_memory

        kind = "arrays" if isinstance(source, (tuple, list, dict)) else type(source).__name__
        found, name = read_memory(source, layout, size, progress), f"{kind} in memory"
    try:
        return assemble(found, name=name, seed=seed, validation=validation, test=test, limit=limit)
    except DataError as error:
        raise DataError(f"{name}: {error}") from error


def _read(source: str | os.PathLike[str], layout: Layout | None, size: Size | None, progress: Progress | None) -> Found:
    if source == "digits":
        return _digits(size)
    path = Path(source)
    if not path.exists():
        raise DataError(f"{path}: no such file or folder; give {KNOWN}")
    if path.is_dir():
        lying = tree(path)
        if any(names[-1].endswith((".parquet", ".arrow")) for names in lying.others):
            from archwright.data.parquet import read_parquets

            return read_parquets(lying, size, progress, layout)
        from archwright.data.folder import read_folder

        return read_folder(lying, size, progress)
    if not path.is_file():  # a pipe would be waited for
        raise DataError(f"{path} is no regular file")
    if path.suffix.lower() == ".npz" or _is_npz(path):
        from archwright.data.npz import read_npz

        return read_npz(path, layout, size)
    if path.suffix.lower() in (".parquet", ".arrow") or beginning(path).startswith(b"PAR1"):
        from archwright.data.parquet import read_parquet

        return read_parquet(path, size, progress, layout)
    hint = "; unpack it first" if path.suffix.lower() in (".tar", ".zip", ".gz", ".tgz") else ""
    raise DataError(f"{path}: unknown format {path.suffix!r}{hint}; give {KNOWN}")


def _is_npz(path: Path) -> bool:
    """Return whether a file is a zip archive of arrays alone, whatever it is called."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return all(name.endswith(".npy") for name in archive.namelist())


def _digits(size: Size | None) -> Found:
    """Load scikit-learn's 1,797 handwritten digits, 8x8, grey values 0..16 scaled to 0..255."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    images = torch.from_numpy((x * (255 / 16)).round().astype(np.uint8).reshape(-1, 1, 8, 8))
    if size is not None:
        images = resize(images, size)
    notes = ["values 0..16 were scaled to 0..255"]
    return Found({"train": Part(images, y.astype(np.int64), "digits")}, notes=notes, units=Units(0, 255))
