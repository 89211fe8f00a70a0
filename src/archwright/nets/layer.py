"""What a network that is written layer by layer is told of each layer."""

from __future__ import annotations

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
