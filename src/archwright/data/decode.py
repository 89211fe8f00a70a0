"""Image files into tensors: read, turned upright, made grey or colour, resized.

Data sets and single images to predict go the same way. Pillow is imported on first use.
"""

from __future__ import annotations

import io
import os
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

from archwright.data.found import Progress, Size
from archwright.data.images import Preprocessing
from archwright.data.limits import usable_memory
from archwright.errors import DataError

if TYPE_CHECKING:
    from PIL import Image

Encoded: TypeAlias = "Path | bytes | Image.Image"  # a file, the contents of one, or an image already open

SUFFIXES = frozenset(("png", "jpg", "jpeg", "jpe", "bmp", "webp", "gif", "ppm", "pgm", "pbm", "tif", "tiff"))
# Only these, whatever a file is called: Pillow hands EPS files to Ghostscript, which runs what is in them.
FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "GIF", "PPM", "TIFF")
SMALLEST = 4  # pixels
GREY = frozenset(("1", "L", "LA", "I", "F", "I;16", "I;16L", "I;16B"))
BLOCK = 256  # images per task of the thread pool
QUARTER_TURNS = (5, 6, 7, 8)  # values of EXIF orientation that swap width and height
ORIENTATION = 0x0112


@dataclass(frozen=True)
class Encodings:
    """Encoded images of one part; `name(i)` is what errors call image i."""

    images: Sequence[Encoded]
    name: Callable[[int], str]


def decode(
    parts: dict[str, Encodings], image_size: Size | None, progress: Progress | None = None
) -> tuple[dict[str, Tensor], list[str]]:
    """Return uint8 [n, channels, height, width] per part, all of one size, and notes about what was changed.

    One image in colour makes all of them colour. The size is `image_size` (height, width) or else the most common one;
    other images are stretched to it. `progress(done, total)` counts decoded images.
    """
    looks = {part: [_look(e.images[i], e.name(i)) for i in range(len(e.images))] for part, e in parts.items()}
    every = [look for part in looks.values() for look in part]
    sizes = Counter((look.height, look.width) for look in every)
    size = image_size or min(sizes, key=lambda s: (-sizes[s], s[0] * s[1], s))
    channels = 3 if any(look.colour for look in every) else 1
    check_size(size)
    need, have = 2 * len(every) * channels * size[0] * size[1], physical_memory()  # twice: splitting copies
    if need > have:
        raise DataError(
            f"{len(every):,} images of {size[0]}x{size[1]} would take {need / 1e9:.1f} GB of memory and this machine "
            f"has {have / 1e9:.1f} GB; give a smaller image size"
        )
    done, decoded = 0, {}
    for part, encodings in parts.items():
        out = np.empty((len(encodings.images), channels, *size), np.uint8)
        blocks = [range(s, min(s + BLOCK, len(out))) for s in range(0, len(out), BLOCK)]

        def fill(block: range, out: Any = out, encodings: Encodings = encodings) -> int:
            for i in block:
                out[i] = _pixels(encodings.images[i], encodings.name(i), size, channels)
            return len(block)

        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            for count in pool.map(fill, blocks):
                done += count
                if progress is not None:
                    progress(done, len(every))
        decoded[part] = torch.from_numpy(out)
    return decoded, _notes(every, sizes, size, channels)


def preprocess_image(
    image: str | Path | Image.Image, preprocessing: Preprocessing
) -> Num[Tensor, "channels height width"]:
    """Return one image in the form of the model's data: grey or colour, size, units; ready for `preprocessing(x)`.

    uint8 for a model trained on bytes; float32 in their units for one trained on floats within 0..1 or 0..255. An
    unreadable file, unknown units, and a model that takes neither 1 nor 3 channels are a `DataError`.
    """
    if preprocessing.channels not in (1, 3):
        raise DataError(f"the model takes {preprocessing.channels} channels; image files give 1 (grey) or 3 (colour)")
    if preprocessing.file_scale is None:
        raise DataError("the model was trained on float arrays in units of their own; pass it arrays, not image files")
    source = Path(image) if isinstance(image, str) else image
    name = str(source) if isinstance(source, Path) else "the image"
    size = (preprocessing.height, preprocessing.width)
    x = torch.from_numpy(_pixels(source, name, size, preprocessing.channels).copy("C"))
    return x if preprocessing.file_scale == 1 else x.float() * preprocessing.file_scale


def check_size(size: Size) -> None:
    """Refuse images too small for a network."""
    if min(size) < SMALLEST:
        raise DataError(f"images are {size[0]}x{size[1]} pixels; the least is {SMALLEST}x{SMALLEST}")


def physical_memory() -> int:
    """Return the bytes of memory that this process can have: of the machine, the container, its limits."""
    return usable_memory()


@dataclass(frozen=True)
class _Look:
    height: int
    width: int
    colour: bool
    alpha: bool
    deep: bool


@contextmanager
def _open(source: Encoded, name: str) -> Iterator[Image.Image]:
    """Open an image; errors of Pillow, which have no common class, become a DataError with its name."""
    from PIL import Image, UnidentifiedImageError

    try:
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


def _look(source: Encoded, name: str) -> _Look:
    """Read the header without decoding the image."""
    with _open(source, name) as image:
        width, height = image.size
        if "exif" in image.info and image.getexif().get(ORIENTATION) in QUARTER_TURNS:
            width, height = height, width
        return _Look(height, width, image.mode not in GREY, _alpha(image), image.mode.startswith("I"))


def _pixels(source: Encoded, name: str, size: Size, channels: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    from PIL import Image, ImageOps

    height, width = size
    with _open(source, name) as opened:
        image: Image.Image = opened
        if "exif" in image.info:
            image = ImageOps.exif_transpose(image)
        elif opened is not source and image.width >= 2 * width and image.height >= 2 * height:
            image.draft(image.mode, (width, height))  # a big JPEG is decoded at a half, a quarter or an eighth
        if image.mode.startswith("I"):
            image = Image.fromarray((np.asarray(image).clip(0, 65535) // 256).astype(np.uint8))
        if _alpha(image):
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        if image.mode == "F":
            raise ValueError("its values are floats of unknown range")
        mode = "L" if channels == 1 else "RGB"
        if image.mode != mode:
            image = image.convert(mode)
        if image.size != (width, height):
            image = image.resize((width, height), Image.Resampling.BILINEAR)
        pixels = np.asarray(image)
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)


def _notes(every: list[_Look], sizes: Counter[Size], size: Size, channels: int) -> list[str]:
    height, width = size
    others = [f"{h}x{w}" for h, w in sorted(sizes) if (h, w) != size]
    listed = f"{others[0]} to {others[-1]}" if len(others) > 3 else ", ".join(others)
    counts = {
        f"of {len(every):,} images were resized to {height}x{width} (from {listed})": len(every) - sizes[size],
        "grey images were made colour, as the others are": sum(not look.colour for look in every) * (channels == 3),
        "images with an alpha channel were laid on white": sum(look.alpha for look in every),
        "images of 16 bits per pixel were reduced to 8": sum(look.deep for look in every),
    }
    return [f"{count:,} {what}" for what, count in counts.items() if count]
