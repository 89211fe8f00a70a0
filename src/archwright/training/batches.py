"""Which images each training step sees: a pure function of the step's number."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int
from torch import Tensor

from archwright.errors import ConfigError
from archwright.training.augmentation import augment
from archwright.training.randomness import Stream, stream

if TYPE_CHECKING:
    from archwright.data.images import ImagePart, Preprocessing
    from archwright.training.recipe import Recipe


def split(count: int, batch: int) -> list[slice]:
    """Cut `count` positions into pieces of `batch`; the last has what is left, but a single one joins its neighbour.

    BatchNorm cannot normalise one value per channel.
    """
    starts = list(range(0, count, batch))
    if len(starts) > 1 and count - starts[-1] == 1:
        starts.pop()
    return [slice(start, stop) for start, stop in zip(starts, [*starts[1:], count], strict=True)]


def arrange(x: Tensor, channels_last: bool) -> Tensor:
    """Return the same images with the channels innermost in memory, if asked for."""
    return x.contiguous(memory_format=torch.channels_last) if channels_last else x


class Batches:
    """Training batches by step number: shuffled anew every epoch, normalised and augmented on the device.

    The images stay on `device` in one piece, as they came (uint8 where they are).
    """

    def __init__(
        self,
        images: ImagePart,
        preprocessing: Preprocessing,
        recipe: Recipe,
        *,
        seed: int,
        device: torch.device,
        channels_last: bool,
    ) -> None:
        if len(images) < 2:
            raise ConfigError(f"there are {len(images)} training images; training needs at least 2")
        self._x, self._y = images.x.to(device), images.y.to(device)
        self._preprocessing = preprocessing
        self._recipe = recipe
        self._pieces = split(len(images), recipe.batch)
        self._seed, self._channels_last = seed, channels_last
        self._order: tuple[int, Tensor] | None = None  # of one epoch

    @property
    def per_epoch(self) -> int:
        """Steps in an epoch."""
        return len(self._pieces)

    def plain(self, count: int) -> Float[Tensor, "count channels height width"]:
        """Return the first `count` images of the first epoch, or all there are, normalised and not augmented."""
        return self._preprocessing(self._x.index_select(0, self._shuffled(0)[:count]))

    def _shuffled(self, epoch: int) -> Int[Tensor, " n"]:
        if self._order is None or self._order[0] != epoch:
            order = stream(Stream.ORDER, self._seed, epoch).permutation(len(self._y))
            self._order = epoch, torch.from_numpy(order).to(self._y.device)
        return self._order[1]

    def __getitem__(self, step: int) -> tuple[Float[Tensor, "batch channels height width"], Int[Tensor, " batch"]]:
        """Return the images and labels of a step, counted from 0 over all epochs."""
        epoch, piece = divmod(step, len(self._pieces))
        chosen = self._shuffled(epoch)[self._pieces[piece]]
        x = self._preprocessing(self._x.index_select(0, chosen))  # a quarter faster than an index
        x = augment(x, self._recipe, stream(Stream.AUGMENTATION, self._seed, step))
        return arrange(x, self._channels_last), self._y[chosen]
