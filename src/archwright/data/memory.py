"""Data that is already in Python: arrays, tensors, lists, pairs of them, torch Datasets, and Hugging Face's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset

from archwright.data.arrays import Array, Layout
from archwright.data.decode import Encodings, decode
from archwright.data.found import Found, Part, Progress, Size
from archwright.data.hub import is_hub, read_hub
from archwright.data.labels import canonical, check_count
from archwright.data.npz import from_arrays, sort_keys
from archwright.data.tree import PART_NAMES
from archwright.errors import DataError

WANTED = (
    "(x, y); ((x_train, y_train), (x_test, y_test)), or three such pairs: train, validation, test; "
    "a dict with x_train, y_train and so on; a torch Dataset of (image, label); "
    "or a Dataset or DatasetDict of Hugging Face"
)


def read_memory(source: Any, layout: Layout | None, image_size: Size | None, progress: Progress | None) -> Found:
    """Read `source`, one of `WANTED`. Where pairs or dicts hold parts, a part may be a Dataset too.

    Images may be Pillow images as well. Tensors come to the CPU; nothing is shared with `source` after the split.
    """
    if is_hub(source):
        return read_hub(source, layout, image_size, progress)
    parts: dict[str, tuple[str, Any, str, Any]] = {}
    for part, (name, value) in _parts(source).items():
        if isinstance(value, Dataset):
            x, y = _fetched(value, name, progress)
            parts[part] = (f"images of {name}", x, f"labels of {name}", y)
        else:
            (x_name, x), (y_name, y) = value
            parts[part] = (x_name, x, y_name, _plain_labels(y))
    if any(_holds_pillow(x) for _, x, _, _ in parts.values()):
        return _from_pillow(parts, image_size, progress)
    arrays = {part: (x_name, _array(x, x_name), y_name, y) for part, (x_name, x, y_name, y) in parts.items()}
    return from_arrays(arrays, layout, image_size)


def _parts(source: Any) -> dict[str, tuple[str, Any]]:
    """Return {"train": (name, Dataset or ((x_name, x), (y_name, y)))}, and so on."""
    if isinstance(source, Dataset):
        return {"train": (type(source).__name__, source)}
    if isinstance(source, Mapping):
        if source and all(isinstance(key, str) and key.lower() in PART_NAMES for key in source):
            return {PART_NAMES[key.lower()]: (key, _pair(value, f"_{key}")) for key, value in source.items()}
        keys = sort_keys([str(key) for key in source], "the dict")
        return {part: (part, tuple((pair[k], source[pair[k]]) for k in ("x", "y"))) for part, pair in keys.items()}
    if isinstance(source, (tuple, list)):
        if len(source) in (2, 3) and all(isinstance(item, Dataset) or _is_pair(item) for item in source):
            names = ("train", "test") if len(source) == 2 else ("train", "validation", "test")
            return {part: (part, _pair(item, f"_{part}")) for part, item in zip(names, source, strict=True)}
        if len(source) == 2:
            return {"train": ("train", _pair(tuple(source), ""))}
        raise DataError(f"the data is a {type(source).__name__} of {len(source)} items; expected {WANTED}")
    raise DataError(f"the data is a {type(source).__name__}; expected {WANTED}")


def _is_pair(item: Any) -> bool:
    return isinstance(item, tuple) and len(item) == 2  # a list of two could be two images


def _pair(item: Any, suffix: str) -> Any:
    if isinstance(item, Dataset):
        return item
    if isinstance(item, (tuple, list)) and len(item) == 2:
        return (f"x{suffix}", item[0]), (f"y{suffix}", item[1])
    raise DataError(
        f"the {suffix.strip('_')} part is a {type(item).__name__}; expected a pair (x, y) or a torch Dataset"
    )


def _fetched(dataset: Dataset[Any], name: str, progress: Progress | None) -> tuple[list[Any], list[Any]]:
    """Return all items of a map-style dataset, images and labels."""
    if isinstance(dataset, IterableDataset) or not hasattr(dataset, "__len__"):
        raise DataError(f"{name} has no length and cannot be split; give a map-style Dataset")
    images, labels = [], []
    total = len(dataset)
    for i in range(total):
        item = dataset[i]
        if not isinstance(item, (tuple, list)) or len(item) < 2:
            raise DataError(f"{name}: item {i} is a {type(item).__name__}; expected (image, label)")
        images.append(item[0])
        labels.append(item[1])
        if progress is not None and (i + 1 == total or (i + 1) % 256 == 0):
            progress(i + 1, total)
    return images, _plain_labels(labels)


def _plain_labels(y: Any) -> Any:
    if isinstance(y, Tensor):
        return y.detach().cpu().numpy()
    if isinstance(y, (list, tuple)):
        return [label.detach().cpu().numpy() if isinstance(label, Tensor) else label for label in y]
    return y


def _array(x: Any, where: str) -> Array:
    try:
        if isinstance(x, (list, tuple)) and any(isinstance(item, Tensor) for item in x):
            x = torch.stack([torch.as_tensor(item) for item in x])
        if isinstance(x, Tensor):
            x = x.detach().cpu()
            x = (x.float() if x.dtype == torch.bfloat16 else x).numpy()
        array: Array = np.asarray(x)
        return array
    except (ValueError, TypeError, RuntimeError) as error:
        shapes = sorted({tuple(np.shape(item)) for item in x})[:2] if isinstance(x, (list, tuple)) else ""
        raise DataError(f"{where}: images must be numbers, all of one shape; found {shapes or error}") from error


def _holds_pillow(x: Any) -> bool:
    if not isinstance(x, (list, tuple)) or not len(x) or not hasattr(x[0], "convert"):
        return False
    from PIL import Image

    return isinstance(x[0], Image.Image)


def _from_pillow(
    parts: dict[str, tuple[str, Any, str, Any]], image_size: Size | None, progress: Progress | None
) -> Found:
    encodings, labels = {}, {}
    for part, (x_name, x, y_name, y) in parts.items():
        strange = next((image for image in x if not hasattr(image, "convert")), None)
        if strange is not None:
            raise DataError(f"{x_name} mixes Pillow images with {type(strange).__name__}; use one kind")
        labels[part] = canonical(y, y_name)
        check_count(x_name, x, y_name, labels[part])
        encodings[part] = Encodings(x, lambda i, x_name=x_name: f"{x_name}, image {i}")  # type: ignore[misc]
    decoded = decode(encodings, image_size, progress)
    found = {part: Part(decoded.parts[part], labels[part], part) for part in parts}
    return Found(found, None, decoded.notes, decoded.warnings, decoded.units)
