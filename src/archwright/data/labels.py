"""Labels of any kind, made into class numbers 0..k-1 with class names."""

from __future__ import annotations

import contextlib
from collections import Counter
from typing import Any

import numpy as np

from archwright.data.found import Labels
from archwright.errors import DataError


def canonical(y: Any, where: str) -> Labels:
    """Return labels as one int64 or text array [n], from numbers or strings of shape (n,) or (n, 1), or one-hot (n, k).

    `where` names the labels in errors: missing, fractional or mixed values, other shapes.
    """
    try:
        array = np.asarray(y)
    except (ValueError, TypeError) as error:
        raise DataError(f"{where}: labels of different shapes; there must be one number or string per image") from error
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    elif array.ndim == 2 and array.dtype.kind in "biuf":
        array = _from_one_hot(array, where)
    if array.ndim != 1:
        raise DataError(f"{where}: labels have shape {array.shape}; there must be one per image, shape (n,)")
    if array.dtype.kind == "O":
        array = _from_objects(array, where)
    if array.dtype.kind == "f":
        array = _from_floats(array, where)
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8", "replace")
    if array.dtype.kind in "iu":
        return array.astype(np.int64)
    if array.dtype.kind in "UTb":
        return array.astype(str)
    raise DataError(f"{where}: labels are of type {array.dtype}; they must be numbers or strings")


def check_count(x_name: str, x: Any, y_name: str, y: Any) -> None:
    """Refuse images and labels that are not as many."""
    if len(x) != len(y):
        raise DataError(f"{x_name} has {len(x)} images and {y_name} {len(y)} labels; they must be as many")


def _from_one_hot(array: Labels, where: str) -> Labels:
    ones = array == 1
    if not (((array == 0) | ones).all() and (ones.sum(1) == 1).all()):
        raise DataError(
            f"{where}: labels have shape {array.shape} and are not one-hot rows; there must be one label per image"
        )
    return np.asarray(ones.argmax(1))


def _from_objects(array: Labels, where: str) -> Labels:
    for position, value in enumerate(array):
        if isinstance(value, (list, tuple, dict, np.ndarray)):
            what = "one number or string per image is needed"
            raise DataError(f"{where}: the label of image {position} is a {type(value).__name__}; {what}")
        if value is None or value != value:  # NaN is not equal to itself
            raise DataError(f"{where}: the label of image {position} is missing ({value})")
    kinds = {"string" if isinstance(value, str) else type(value).__name__ for value in array}
    if kinds == {"string"}:
        return array.astype(str)
    with contextlib.suppress(ValueError):
        if "string" not in kinds:
            return np.array(array.tolist())
    raise DataError(f"{where}: labels mix {' and '.join(sorted(kinds))}; use only numbers or only strings")


def _from_floats(array: Labels, where: str) -> Labels:
    wrong = np.flatnonzero(~np.isfinite(array) | (array != np.floor(array)))
    if len(wrong):
        value = float(array[wrong[0]])
        raise DataError(
            f"{where}: the label of image {wrong[0]} is {value} ({len(wrong)} such labels); "
            "labels are whole numbers or strings"
        )
    return array.astype(np.int64)


def number(parts: dict[str, Labels], names: tuple[str, ...] | None) -> tuple[dict[str, Labels], tuple[str, ...]]:
    """Return class numbers per part, and the class names, in sorted order of the labels of the training part.

    `parts` holds "train" and maybe others; `names[i]`, where given, is the name of label i. A label that the training
    part lacks, labels outside `names`, and a single class are errors.
    """
    if len({labels.dtype.kind for labels in parts.values()}) > 1:
        kinds = ", ".join(f"{part}: {labels[0]!s} ({labels.dtype})" for part, labels in parts.items())
        raise DataError(f"labels are numbers in one part and strings in another ({kinds}); use one kind")
    found = np.unique(parts["train"])
    named = _named(found, names)
    if len(found) < 2:
        raise DataError(
            f"there is one class only, {named[0]!r}; at least two are needed" if named else "there are no images"
        )
    numbered = {}
    for part, labels in parts.items():
        strange = labels[~np.isin(labels, found)]
        if len(strange):
            name = _named(strange[:1], names)[0]
            raise DataError(
                f"class {name!r} is in the {part} part ({int((labels == strange[0]).sum())} images) but not in the "
                "train part; every class needs training images"
            )
        numbered[part] = np.searchsorted(found, labels)
    return numbered, named


def _named(labels: Labels, names: tuple[str, ...] | None) -> tuple[str, ...]:
    if names is None or labels.dtype.kind != "i":
        return tuple(str(label) for label in labels)
    outside = [int(label) for label in labels if not 0 <= label < len(names)]
    if outside:
        raise DataError(
            f"label {outside[0]} has no class name; the data names {len(names)} classes, 0 to {len(names) - 1}"
        )
    repeated = {name for name, times in Counter(names).items() if times > 1}  # ImageNet has two cranes
    return tuple(f"{names[i]} ({i})" if names[i] in repeated else names[i] for i in labels)
