"""Arrays of images, of any usual layout and type, made into uint8 or float32 tensors [n, channels, height, width]."""

from __future__ import annotations

import math
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Num
from torch import Tensor

from archwright.data.decode import check_size
from archwright.data.found import Size
from archwright.data.images import CHUNK
from archwright.errors import ConfigError, DataError

Layout: TypeAlias = Literal["NHW", "NHWC", "NCHW"]
MOST_CHANNELS = 4  # of images whose sides differ; more are recognised where the sides are equal
Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"


def convert(
    parts: dict[str, Array], layout: Layout | None, image_size: Size | None
) -> tuple[dict[str, Tensor], list[str]]:
    """Return uint8 or float32 [n, channels, height, width] per part, and notes about what was recognised and changed.

    All parts get the same type: whole numbers within 0..255 become uint8, other numbers float32. `parts` are named as
    errors should name them. Without `layout` it is recognised from the shape, see `recognised`.
    """
    first = next(iter(parts.values()))
    if layout is not None and layout not in get_args(Layout):
        raise ConfigError(f"layout {layout!r} is unknown; it is one of {', '.join(get_args(Layout))}")
    for where, array in parts.items():
        if len(array.shape) and len(array) == 0:
            raise DataError(f"{where}: it is empty")
        if array.ndim != first.ndim or array.shape[1:] != first.shape[1:]:
            shapes = f"{where} has images of shape {array.shape[1:]}, the train part {first.shape[1:]}"
            raise DataError(f"{shapes}; all must have the same")
        if array.dtype.kind not in "biuf":
            raise DataError(f"{where} is of type {array.dtype}; images must be arrays of numbers of one shape")
        _finite(array, where)
    known = layout or recognised(first.shape, next(iter(parts)))
    moved = {where: _channels_first(array, known, where) for where, array in parts.items()}
    *_, height, width = next(iter(moved.values())).shape
    how = "" if layout is None else ", as asked for"
    channels = next(iter(moved.values())).shape[1]
    notes = [
        f"arrays of shape {first.shape[1:]} were read as {known}: {height}x{width} pixels, {channels} channels{how}"
    ]
    check_size((height, width))
    tensors = _typed(moved, notes)
    if image_size is not None and image_size != (height, width):
        check_size(image_size)
        tensors = {where: resize(x, image_size) for where, x in tensors.items()}
        notes.append(f"all images were resized from {height}x{width} to {image_size[0]}x{image_size[1]}")
    return tensors, notes


def recognised(shape: tuple[int, ...], where: str) -> Layout:
    """Return the layout of this shape.

    (n, a, b) is NHW. In (n, a, b, c) the images are the two sides that are equal, or else the channels are a or c, the
    one that is at most 4. Where that leaves both or neither, it is a `DataError` that asks for `layout`.
    """
    if len(shape) == 3:
        return "NHW"
    if len(shape) == 4:
        _, a, b, c = shape
        for first, last in ((b == c, a == b), (a <= MOST_CHANNELS, c <= MOST_CHANNELS)):
            if first != last:
                return "NCHW" if first else "NHWC"
        raise DataError(
            f"{where} has shape {shape}, which does not show what are channels; say it with layout (--layout): NCHW "
            f"for {a} channels of {b}x{c} pixels, NHWC for {c} of {a}x{b}"
        )
    hint = ""
    if len(shape) == 2 and (side := math.isqrt(shape[1])) ** 2 == shape[1]:
        hint = f"; reshape it to ({shape[0]}, {side}, {side}) if these are square grey images"
    raise DataError(f"{where} has shape {shape}; images have shape (n, h, w), (n, h, w, c) or (n, c, h, w){hint}")


def _channels_first(array: Array, layout: Layout, where: str) -> Array:
    if array.ndim != len(layout):
        raise DataError(f"{where} has shape {array.shape}, which is not {layout}")
    if layout == "NHW":
        return array[:, None]
    return array.transpose(0, 3, 1, 2) if layout == "NHWC" else array


def _finite(array: Array, where: str) -> None:
    if array.dtype.kind != "f":
        return
    for start in range(0, len(array), CHUNK):
        with np.errstate(over="ignore"):
            fine = np.isfinite(array[start : start + CHUNK].astype(np.float32, copy=False))  # float64 may overflow
        if not fine.all():
            position = start + int(np.argwhere(~fine)[0, 0])
            raise DataError(f"{where}: image {position} contains NaN or infinite values; remove or fix it")


def _typed(parts: dict[str, Array], notes: list[str]) -> dict[str, Tensor]:
    kinds = {array.dtype.kind for array in parts.values()}
    types = "/".join(sorted({str(array.dtype) for array in parts.values()}))
    wanted: type[np.generic] = np.float32
    if kinds == {"b"}:
        notes.append("true and false pixels became 255 and 0")
        return {where: _tensor(array.astype(np.uint8) * np.uint8(255)) for where, array in parts.items()}
    if "f" in kinds:
        note = f"{types} became float32"
    else:
        low, high = min(int(a.min()) for a in parts.values()), max(int(a.max()) for a in parts.values())
        note = f"{types} of {low} to {high} became float32"
        if low >= 0 and high <= 255:
            wanted, note = np.uint8, f"{types} within 0..255 became uint8"
    if types != wanted.__name__:
        notes.append(note)
    return {where: _tensor(array.astype(wanted, copy=False)) for where, array in parts.items()}


def _tensor(array: Array) -> Tensor:
    array = np.ascontiguousarray(array)
    return torch.from_numpy(array if array.flags.writeable else array.copy())


def resize(x: Num[Tensor, "n channels height width"], size: Size) -> Num[Tensor, "n channels new_height new_width"]:
    """Resize bilinearly with antialiasing, a chunk at a time; uint8 stays uint8."""
    out = torch.empty((*x.shape[:2], *size), dtype=x.dtype)
    for start in range(0, len(x), CHUNK):
        chunk = F.interpolate(x[start : start + CHUNK].float(), size, mode="bilinear", antialias=True)
        out[start : start + CHUNK] = chunk if x.dtype == torch.float32 else chunk.round_().clamp_(0, 255)
    return out
