"""The description of one layer of a layered network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class LayerSpec:
    """A "conv", "pool" or "norm" layer, by `kind`. `inputs` number the layers it reads; none: it reads the image."""

    kind: str
    height: int
    width: int
    stride: tuple[int, int]
    filters: int
    normalised: bool
    inputs: tuple[int, ...]


def loose_ends(layers: Sequence[LayerSpec]) -> tuple[int, ...]:
    """Return the layers that no other layer reads; the last one is always among them."""
    read = {source for layer in layers for source in layer.inputs}
    return tuple(number for number in range(len(layers)) if number not in read)
