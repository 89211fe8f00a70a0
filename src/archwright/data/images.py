"""What every search and training run works on: images in memory, in three parts, with their statistics."""

from __future__ import annotations

import hashlib
import math
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float, Num
from torch import Tensor

from archwright.data.doubts import doubts
from archwright.data.symmetry import is_mirrored_alike
from archwright.data.units import Units
from archwright.errors import DataError
from archwright.space import Task

CHUNK = 1024  # images at a time where a float64 copy of all of them would not fit


@dataclass(frozen=True, eq=False, repr=False)
class ImagePart:
    """Images and their labels, each one tensor. `x`: uint8 or float32 [n, channels, height, width]; `y`: int64 [n]."""

    x: Tensor
    y: Tensor

    def __post_init__(self) -> None:
        if self.x.ndim != 4 or self.x.dtype not in (torch.uint8, torch.float32):
            raise DataError(
                f"images are {self.x.dtype} {tuple(self.x.shape)}; they must be uint8 or float32 "
                "of shape (n, channels, height, width)"
            )
        if self.y.ndim != 1 or self.y.dtype != torch.int64:
            raise DataError(f"labels are {self.y.dtype} {tuple(self.y.shape)}; they must be int64 of shape (n,)")
        if len(self.x) != len(self.y):
            raise DataError(f"there are {len(self.x)} images but {len(self.y)} labels; each image needs one label")

    def __len__(self) -> int:
        return len(self.y)

    def __repr__(self) -> str:
        return f"ImagePart({len(self)} of {self.x.dtype} {tuple(self.x.shape[1:])})"

    def __getitem__(self, index: slice | Tensor) -> ImagePart:
        """Return a part: a view for a slice, a copy for a tensor of positions or a boolean mask."""
        return ImagePart(self.x[index], self.y[index])


@dataclass(frozen=True)
class Preprocessing:
    """How a model's input is made: its shape, and mean and standard deviation per channel. Every model stores its own.

    `mean` and `std` are in the units of the images a model was trained on, such as 0..255. `file_scale` turns the bytes
    of an image file into these units: 1 or, for floats within 0..1, 1/255; None where black is not 0. `units` are None
    in models of versions that did not store them.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    channels: int
    height: int
    width: int
    file_scale: float | None = 1.0
    units: Units | None = None

    def __post_init__(self) -> None:
        if not len(self.mean) == len(self.std) == self.channels:
            raise DataError(
                f"preprocessing for {self.channels} channels has {len(self.mean)} means and {len(self.std)} "
                "standard deviations; there must be one of each per channel"
            )
        if not all(map(math.isfinite, (*self.mean, *self.std))) or min(self.std, default=0.0) < 0:
            raise DataError(
                f"preprocessing has mean {self.mean} and std {self.std}; they must be finite, std not negative"
            )

    def __call__(self, x: Num[Tensor, "*batch channels height width"]) -> Float[Tensor, "*batch channels height width"]:
        """`(x.float() - mean) / std`; the std of a constant channel, 0, counts as 1."""
        if x.shape[-3] != self.channels:  # one channel would silently broadcast to three
            raise DataError(f"the images have {x.shape[-3]} channels; the model was trained on {self.channels}")
        mean = torch.tensor(self.mean, device=x.device).view(-1, 1, 1)
        std = torch.tensor([value or 1.0 for value in self.std], device=x.device).view(-1, 1, 1)
        return (x.float() - mean) / std

    @staticmethod
    def of(x: Num[Tensor, "n channels height width"], units: Units | None = None) -> Preprocessing:
        """Compute the statistics of these images in float64, and their units where they are not given."""
        units = units or Units.of_values(float(x.min()), float(x.max()))
        _, channels, height, width = x.shape
        count = x.numel() // channels
        chunks = torch.split(x, CHUNK)
        mean = torch.stack([chunk.double().sum((0, 2, 3)) for chunk in chunks]).sum(0) / count
        centre = mean.view(-1, 1, 1)
        square = torch.stack([(chunk.double() - centre).square_().sum((0, 2, 3)) for chunk in chunks]).sum(0) / count
        constant = x.amax((0, 2, 3)) == x.amin((0, 2, 3))  # exact, where rounding leaves a tiny std
        std = torch.where(constant, torch.zeros_like(square), square.sqrt())
        statistics = tuple(mean.tolist()), tuple(std.tolist())
        return Preprocessing(*statistics, channels, height, width, units.file_scale, units)

    def to_json(self) -> dict[str, Any]:
        """Return plain data: `{"mean", "std", "channels", "height", "width", "file_scale", "units"}`."""
        return {**asdict(self), "mean": list(self.mean), "std": list(self.std)}

    @staticmethod
    def from_json(data: Any) -> Preprocessing:
        """Read what `to_json` wrote; anything else is a `DataError`."""
        try:
            mean, std = (tuple(float(value) for value in data[name]) for name in ("mean", "std"))
            channels, height, width = (int(data[name]) for name in ("channels", "height", "width"))
            scale = None if data["file_scale"] is None else float(data["file_scale"])
            units = None if data.get("units") is None else Units.from_json(data["units"])
            return Preprocessing(mean, std, channels, height, width, scale, units)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(
                "not a preprocessing: expected an object with mean, std, channels, height, width and file_scale "
                f"({error!r})"
            ) from None


@dataclass(frozen=True, eq=False)
class ImageData:
    """A data set in three separate parts. The test part is for the end: nothing may be chosen by it.

    `split` says in one sentence where the parts come from; `notes` say what was converted, resized or left out on the
    way in, `reader_warnings` what may be wrong with it; `preprocessing` holds statistics and units of the training
    part. Labels index `classes`.
    """

    train: ImagePart
    validation: ImagePart
    test: ImagePart
    classes: tuple[str, ...]
    name: str
    split: str
    preprocessing: Preprocessing
    notes: tuple[str, ...] = ()
    reader_warnings: tuple[str, ...] = ()

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """The number of images by part and class."""
        found = {name: torch.bincount(part.y, minlength=len(self.classes)) for name, part in self.parts.items()}
        return {name: dict(zip(self.classes, numbers.tolist(), strict=True)) for name, numbers in found.items()}

    @cached_property
    def warnings(self) -> tuple[str, ...]:
        """What may be wrong with the data, in sentences."""
        return (*self.reader_warnings, *doubts(self.parts, self.counts, self.preprocessing.std))

    @cached_property
    def mirrored_alike(self) -> bool:
        """Whether mirror images of the training part are more images of their classes (`symmetry`)."""
        return is_mirrored_alike(self.train.x, self.train.y)

    @property
    def task(self) -> Task:
        """What a network for this data must take and return."""
        _, channels, height, width = self.train.x.shape
        return Task(channels, height, width, len(self.classes))

    @property
    def parts(self) -> dict[str, ImagePart]:
        """The three parts by name: train, validation, test."""
        return {"train": self.train, "validation": self.validation, "test": self.test}

    @cached_property
    def fingerprint(self) -> str:
        """Twelve hexadecimal digits over classes, images and labels of all parts, in order."""
        digest = hashlib.blake2b(repr(self.classes).encode(), digest_size=6)
        for part in self.parts.values():
            digest.update(f"{part.x.dtype} {tuple(part.x.shape)}".encode())
            for tensor in (part.x, part.y):
                for chunk in torch.split(tensor, CHUNK):
                    digest.update(chunk.contiguous().cpu().numpy().tobytes())
        return digest.hexdigest()
