"""Sentences as operations of other spaces: `OPERATIONS["mine"] = operation("residual(depthwise3x3)")`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, fx, nn

from archwright.errors import SpaceError
from archwright.nets.grammar import Builder, initialise
from archwright.sentences.fitting import after
from archwright.sentences.library import parse
from archwright.sentences.sentence import Sentence
from archwright.sentences.shapes import Shape

Grid = tuple[int, int]
FIRST = (16, 16)  # of the map that an operation is built for before it has seen one


class Composed(nn.Module):
    """A sentence of maps of any size that keeps their channels; maps of other sizes share its weights."""

    def __init__(self, sentence: Sentence, channels: int, stride: int) -> None:
        super().__init__()
        halved = Sentence("average")
        self._sentence = sentence if stride == 1 else Sentence("sequential", (), (halved, sentence))
        self._channels, self._stride = channels, stride
        self.body = self._built(FIRST)
        initialise(self.body)
        self.__dict__["_by_grid"] = {FIRST: self.body}  # not submodules: their weights are those of `body`
        self._grid = FIRST

    def _built(self, grid: Grid) -> nn.Module:
        shape = Shape.map(self._channels, *grid)
        made, wanted = after(self._sentence, shape), (-(-side // self._stride) for side in grid)
        if made != Shape.map(self._channels, *wanted):
            raise SpaceError(f"{self._sentence}: makes {made} of {shape}; an operation keeps channels and size")
        return Builder(fused=True).build(self._sentence, shape)

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Tensor:
        traced: Any = x
        if not isinstance(traced, fx.Proxy):  # it is traced after it has run: for the size that it has seen
            self._grid = (x.shape[2], x.shape[3])
        built: dict[Grid, nn.Module] = self.__dict__["_by_grid"]
        if self._grid not in built:
            with torch.device("meta"):
                other = self._built(self._grid)
            for ours, theirs in zip(self.body.modules(), other.modules(), strict=True):
                if not _sizes(ours) <= _sizes(theirs):  # a space may have taken a norm's scales away
                    raise SpaceError(f"{self._sentence}: its weights depend on the size of the map")
                theirs._parameters, theirs._buffers = ours._parameters, ours._buffers
            built[self._grid] = other
        out: Tensor = built[self._grid].train(self.training)(x)
        return out


def _sizes(module: nn.Module) -> set[tuple[str, torch.Size]]:
    return {(name, parameter.shape) for name, parameter in module.named_parameters(recurse=False)}


def operation(text: str) -> Callable[[int, int], nn.Module]:
    """Return an operation for `archwright.nets.ops.OPERATIONS` from a sentence of maps that keeps channels and size.

    With stride 2 the map is averaged over 2x2 pixels first. Raises SpaceError if the text is no sentence; building it
    for a number of channels does so if it does not fit.
    """
    sentence = parse(text)
    return lambda channels, stride: Composed(sentence, channels, stride)
