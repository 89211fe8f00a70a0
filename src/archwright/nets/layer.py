"""What a network that is written layer by layer is told of each layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Layer:
    """`kind`: "conv", "pool" or "norm". `inputs` number the layers it reads, from 0; none: it reads the image."""

    kind: str
    height: int
    width: int
    stride: tuple[int, int]
    filters: int
    normalised: bool
    inputs: tuple[int, ...]


def loose_ends(layers: Sequence[Layer]) -> tuple[int, ...]:
    """The layers that no other layer reads; the last one is always among them."""
    read = {source for layer in layers for source in layer.inputs}
    return tuple(number for number in range(len(layers)) if number not in read)
