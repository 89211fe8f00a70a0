"""Image files into tensors: read, turned upright, made grey or colour, resized.

Data sets and single images to predict go the same way. Pillow is imported on first use.
"""

from __future__ import annotations

import io
import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from jaxtyping import Num
from torch import Tensor

from archwright.data.depth import NARROW, Look, Pixels, unified
from archwright.data.found import Progress, Size
from archwright.data.images import Preprocessing
from archwright.data.libtiff import silence
from archwright.data.limits import at_a_time, require_room
from archwright.data.units import Units
from archwright.errors import DataError, DataWarning

if TYPE_CHECKING:
    from PIL import Image

Encoded: TypeAlias = "Path | bytes | Image.Image"  # a file, the contents of one, or an image already open

# Only these, whatever a file is called: Pillow hands EPS files to Ghostscript, which runs what is in them.
FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "GIF", "PPM", "TIFF")
SMALLEST = 4  # pixels
GREY = frozenset(("1", "L", "LA", "I", "F", "I;16", "I;16L", "I;16B", "I;16N"))
BLOCK = 256  # images per task of the thread pool
QUARTER_TURNS = (5, 6, 7, 8)  # values of EXIF orientation that swap width and height
ORIENTATION = 0x0112
ORIENTED = ("exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif")  # where an orientation may stand


@dataclass(frozen=True)
class Encodings:
    """Encoded images of one part; `name(i)` is what errors call image i."""

    images: Sequence[Encoded]
    name: Callable[[int], str]


@dataclass(frozen=True)
class Decoded:
    """Images by part, [n, channels, height, width], all uint8, or float32 if one has more than 8 bits.

    `notes` say what was changed, `warnings` what may be wrong.
    """

    parts: dict[str, Tensor]
    units: Units
    notes: list[str]
    warnings: list[str]


def decode(parts: dict[str, Encodings], image_size: Size | None, progress: Progress | None = None) -> Decoded:
    """Decode all images to one size, `image_size` (height, width) or else the most common one.

    One image in colour makes all of them colour, and images of other sizes are stretched. Images of more than 8 bits
    keep their values. `progress(done, total)` counts decoded images.
    """
    looks = {part: [_look(e.images[i], e.name(i)) for i in range(len(e.images))] for part, e in parts.items()}
    every = [look for part in looks.values() for look in part]
    sizes = Counter((look.height, look.width) for look in every)
    size = image_size or min(sizes, key=lambda s: (-sizes[s], s[0] * s[1], s))
    channels = 3 if any(look.colour for look in every) else 1
    kind: type[np.generic] = np.float32 if any(look.deep for look in every) else np.uint8
    check_size(size)
    need = 2 * len(every) * channels * size[0] * size[1] * np.dtype(kind).itemsize  # twice: splitting copies
    require_room(need, f"{len(every):,} images of {size[0]}x{size[1]}", "give a smaller image size")
    costs = {(part, i): look.memory(channels) for part, found in looks.items() for i, look in enumerate(found)}
    part, i = max(costs, key=costs.__getitem__)
    _require_room(looks[part][i], parts[part].name(i), channels, need // 2)
    threads = at_a_time(list(costs.values()), os.cpu_count() or 1, need // 2)
    done, decoded = 0, {}
    for part, encodings in parts.items():
        out = np.empty((len(encodings.images), channels, *size), kind)
        blocks = [range(s, min(s + BLOCK, len(out))) for s in range(0, len(out), BLOCK)]

        def fill(block: range, out: Any = out, encodings: Encodings = encodings) -> int:
            for i in block:
                out[i] = _pixels(encodings.images[i], encodings.name(i), size, channels)
            return len(block)

        with ThreadPoolExecutor(threads) as pool:
            for count in pool.map(fill, blocks):
                done += count
                if progress is not None:
                    progress(done, len(every))
        decoded[part] = out
    units, cautions = unified(decoded, looks)
    tensors = {part: torch.from_numpy(images) for part, images in decoded.items()}
    return Decoded(tensors, units, _notes(every, sizes, size, channels), cautions)


def preprocess_image(
    image: str | Path | Image.Image, preprocessing: Preprocessing
) -> Num[Tensor, "channels height width"]:
    """Return one image in the form of the model's data: grey or colour, size, units; ready for `preprocessing(x)`.

    uint8 for a model trained on the bytes of image files, otherwise float32 in the model's units. A `DataWarning` says
    that the file does not have the range of the training images.

    Raises:
        DataError: if the file cannot be read, its values are in other units for certain, or the model takes neither 1
            nor 3 channels.
    """
    if preprocessing.channels not in (1, 3):
        raise DataError(f"the model takes {preprocessing.channels} channels; image files give 1 (grey) or 3 (colour)")
    if preprocessing.file_scale is None:
        raise DataError("the model was trained on arrays in units of their own; pass it arrays, not image files")
    source = Path(image) if isinstance(image, str) else image
    name = str(source) if isinstance(source, Path) else "the image"
    size, units = (preprocessing.height, preprocessing.width), preprocessing.units
    look = _look(source, name)
    _require_room(look, name, preprocessing.channels)
    x = torch.from_numpy(_pixels(source, name, size, preprocessing.channels).copy("C"))
    remark = None
    if units is None:  # a model of a version that reduced all images to 8 bits
        remark = "the model is of a version that kept no range of pixels; it takes images of 8 bits for granted"
        x = x if x.dtype == torch.uint8 else (x.clamp(0, 65535) / 256).to(torch.uint8)
    elif x.dtype != torch.uint8:
        x = x * units.deep_scale
        remark = units.remark(x, name)
    elif not units.bounded:
        remark = f"the model was trained on pixels of {units.words()}"
    elif x.max() < NARROW and look.cut:
        remark = f"{name} has 16 bits a colour; the upper 8, which are read, are almost black"
    if remark:
        warnings.warn(remark, DataWarning, stacklevel=3)
    return x if preprocessing.file_scale == 1 or x.dtype != torch.uint8 else x.float() * preprocessing.file_scale


def check_size(size: Size) -> None:
    """Refuse images too small for a network."""
    if min(size) < SMALLEST:
        raise DataError(f"images are {size[0]}x{size[1]} pixels; the least is {SMALLEST}x{SMALLEST}")


@contextmanager
def _open(source: Encoded, name: str) -> Iterator[Image.Image]:
    """Open an image; errors of Pillow, which have no common class, become a DataError with its name."""
    from PIL import Image, UnidentifiedImageError

    silence()
    try:
        if isinstance(source, Path) and source.exists() and not source.is_file():  # a pipe would be waited for
            raise DataError(f"{name} is no regular file")
        if isinstance(source, Image.Image):
            yield source
        else:
            with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=FORMATS) as image:
                yield image
    except (DataError, MemoryError):
        raise
    except FileNotFoundError as error:
        raise DataError(f"{name}: no such file") from error
    except Exception as error:
        reason = "it is no image of a known format" if isinstance(error, UnidentifiedImageError) else error
        raise DataError(f"{name}: unreadable image: {reason}") from error


def _alpha(image: Image.Image) -> bool:
    return image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info


def _deep(image: Image.Image) -> bool:
    return image.mode[0] in "IF"


def _cut(image: Image.Image) -> bool:
    """Return whether Pillow reads the upper 8 of 16 bits."""
    tiles = getattr(image, "tile", None) or [None]
    raw = getattr(tiles[0], "args", None)
    return not _deep(image) and ";16" in str(raw[0] if isinstance(raw, tuple) else raw)


def _look(source: Encoded, name: str) -> Look:
    """Read the header without decoding the image."""
    with _open(source, name) as image:
        width, height = image.size
        if _turned(image) in QUARTER_TURNS:
            width, height = height, width
        several = bool(getattr(image, "is_animated", False))
        colour = image.mode not in GREY
        return Look(height, width, colour, _alpha(image), _deep(image), _cut(image), several)


def _require_room(look: Look, name: str, channels: int, taken: int = 0) -> None:
    """Raise DataError if there is no memory to decode an image beside the bytes that are `taken`."""
    what = f"{name}, of {look.height}x{look.width} pixels,"
    require_room(taken + look.memory(channels), what, "save it with fewer pixels")


def _turned(image: Image.Image) -> int:
    """Return the orientation that stands in EXIF or in XMP; 1 is upright."""
    return int(image.getexif().get(ORIENTATION, 1)) if any(kind in image.info for kind in ORIENTED) else 1


def _pixels(source: Encoded, name: str, size: Size, channels: int) -> Pixels:
    """Return uint8 [channels, height, width], or float32 with the file's own values if it has more than 8 bits."""
    from PIL import Image, ImageOps

    height, width = size
    with _open(source, name) as opened:
        image: Image.Image = opened
        if not any(kind in image.info for kind in ORIENTED):
            if opened is not source and image.width >= 2 * width and image.height >= 2 * height:
                image.draft(image.mode, (width, height))  # a big JPEG is decoded at a half, a quarter or an eighth
            image.load()  # a PNG may say its orientation after its pixels
        if _turned(image) != 1:
            image = ImageOps.exif_transpose(image)
        deep = _deep(image)
        if deep:
            values = np.asarray(image).astype(np.float32)
            if not np.isfinite(values).all():
                raise DataError(f"{name}: it contains NaN or infinite values")
            image = Image.fromarray(values)
        elif _alpha(image):
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        mode = "F" if deep else "L" if channels == 1 else "RGB"
        if image.mode != mode:
            image = image.convert(mode)
        if image.size != (width, height):
            image = image.resize((width, height), Image.Resampling.BILINEAR)
        pixels: Pixels = np.asarray(image)
    planes: Pixels = np.stack([pixels] * channels) if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    return planes


def _notes(every: list[Look], sizes: Counter[Size], size: Size, channels: int) -> list[str]:
    height, width = size
    others = [f"{h}x{w}" for h, w in sorted(sizes) if (h, w) != size]
    listed = f"{others[0]} to {others[-1]}" if len(others) > 3 else ", ".join(others)
    counts = {
        f"of {len(every):,} images were resized to {height}x{width} (from {listed})": len(every) - sizes[size],
        "grey images were made colour, as the others are": sum(not look.colour for look in every) * (channels == 3),
        "images with an alpha channel were laid on white": sum(look.alpha and not look.deep for look in every),
        "images of more than 8 bits per pixel keep their values, as float32": sum(look.deep for look in every),
        "images of 16 bits per colour were reduced to 8": sum(look.cut for look in every),
        "images have several frames or pages, of which the first is used": sum(look.several for look in every),
    }
    return [f"{count:,} {what}" for what, count in counts.items() if count]
