"""NumPy archives: x and y, or x_train, y_train, x_test and so on, under the names that are in use."""

from __future__ import annotations

import math
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from archwright.data.arrays import Layout, convert
from archwright.data.found import Found, Part, Size
from archwright.data.labels import canonical, check_count
from archwright.data.limits import require_room
from archwright.data.tree import PART_NAMES, listed
from archwright.errors import DataError

KINDS = dict.fromkeys(("x", "image", "images", "img", "imgs", "data"), "x") | dict.fromkeys(
    ("y", "label", "labels", "target", "targets"), "y"
)
CLASS_NAMES = ("classes", "class_names", "label_names")
WANTED = "x and y, or x_train and y_train (and x_val, y_val, x_test, y_test)"


def read_npz(path: Path, layout: Layout | None, image_size: Size | None) -> Found:
    """Read an archive; objects, which only a pickle could hold, are refused because unpickling runs code."""
    try:
        with path.open("rb") as file:  # np.load leaves a damaged file open
            archive = np.load(file, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise DataError(f"{path}: this is a single array, not an .npz archive of {WANTED}")
            keys = sort_keys(archive.files, str(path))
            used = {key for pair in keys.values() for key in pair.values()}
            _require_memory(archive, [*used, *(key for key in CLASS_NAMES if key in archive.files)], path)
            arrays = {key: _array(archive, key, path) for key in archive.files if key in used or key in CLASS_NAMES}
            unused = [key for key in archive.files if key not in arrays]
    except (DataError, MemoryError):
        raise
    except Exception as error:  # of zip files, of each kind of compression, of headers
        reason: object = error
        if "pickle" in str(error):  # NumPy's message for any unknown format
            reason = "it is no archive of arrays, and pickles are not read because they may run code"
        raise DataError(f"{path}: not a readable .npz archive: {reason}") from error
    pairs = {part: (pair["x"], arrays[pair["x"]], pair["y"], arrays[pair["y"]]) for part, pair in keys.items()}
    classes, unread = _class_names({key: array for key, array in arrays.items() if key in CLASS_NAMES})
    unused += unread
    notes = [f"not used from {path.name}: {len(unused)} arrays ({listed(unused)})"] if unused else []
    try:
        return from_arrays(pairs, layout, image_size, classes=classes, notes=notes)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def sort_keys(keys: list[str], where: str) -> dict[str, dict[str, str]]:
    """Sort x_train, train_images, X...: {"train": {"x": key, "y": key}, ...}; without parts, all is "train"."""
    found: dict[str, dict[str, str]] = {}
    for key in keys:
        words = re.split(r"[_\W]+", key.lower())
        kinds = [KINDS[word] for word in words if word in KINDS]
        parts = [PART_NAMES[word] for word in words if word in PART_NAMES]
        if len(kinds) != 1 or len(kinds) + len(parts) != len(words) or len(parts) > 1:
            continue
        pair = found.setdefault(parts[0] if parts else "", {})
        if kinds[0] in pair:
            raise DataError(f"{where}: both {pair[kinds[0]]!r} and {key!r} could be {kinds[0]}; rename or remove one")
        pair[kinds[0]] = key
    if "" in found:
        if "train" in found:
            listed = ", ".join(keys)
            raise DataError(f"{where}: found {listed}: x and y as well as x_train and y_train; keep one of the two")
        found["train"] = found.pop("")
    halves = [f"{pair.get('x') or pair.get('y')} alone" for pair in found.values() if len(pair) == 1]
    if "train" not in found or halves:
        raise DataError(f"{where}: found {', '.join(halves or keys) or 'no arrays'}; needed are {WANTED}")
    return {part: found[part] for part in ("train", "validation", "test") if part in found}


def from_arrays(
    parts: dict[str, tuple[str, Any, str, Any]],
    layout: Layout | None,
    image_size: Size | None,
    *,
    classes: tuple[str, ...] | None = None,
    notes: list[str] | None = None,
) -> Found:
    """Join parts given as (name of x, x, name of y, y); the names are for errors. Lengths must agree."""
    labels = {}
    for part, (x_name, x, y_name, y) in parts.items():
        labels[part] = canonical(y, y_name)
        if x.ndim:
            check_count(x_name, x, y_name, labels[part])
    tensors, more = convert({x_name: x for x_name, x, _, _ in parts.values()}, layout, image_size)
    found = {part: Part(tensors[x_name], labels[part], part) for part, (x_name, *_) in parts.items()}
    return Found(found, classes, (notes or []) + more)


def _require_memory(archive: Any, keys: Collection[str], path: Path) -> None:
    """Read the headers of arrays, and raise DataError if there is no memory for what they claim."""
    need = 0
    for key in keys:
        name = key if key in archive.zip.namelist() else f"{key}.npy"
        with archive.zip.open(name) as file:
            version = np.lib.format.read_magic(file)
            header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, kind = header(file)
        claimed = math.prod(shape) * kind.itemsize
        if claimed > archive.zip.getinfo(name).file_size and not kind.hasobject:
            raise DataError(f"{path}: {key!r} is damaged: it claims to be of shape {shape}, and holds less")
        need += claimed
    require_room(2 * need, f"{path}", "save fewer or smaller images, or bytes (uint8)")  # twice: splitting copies


def _array(archive: Any, key: str, path: Path) -> Any:
    try:
        return archive[key]
    except ValueError as error:
        if "pickle" not in str(error):
            raise
        raise DataError(
            f"{path}: {key!r} holds Python objects, which need pickle, and unpickling may run code; "
            "save it as an array of numbers (all images of one shape) or of strings"
        ) from error


def _class_names(arrays: dict[str, Any]) -> tuple[tuple[str, ...] | None, list[str]]:
    """Return the names of the classes, of text or bytes, and the arrays that could have been and are not."""
    names, unread = None, []
    for key, array in arrays.items():
        if names is not None or array.ndim != 1 or array.dtype.kind not in "US":
            unread.append(key)
        else:
            text = np.char.decode(array, "utf-8", "replace") if array.dtype.kind == "S" else array
            names = tuple(text.tolist())
    return names, unread
