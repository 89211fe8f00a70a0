"""Networks that are written layer by layer, each layer reading any of those before it (Zoph & Le 2017, section 3.3)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from archwright.nets.concatenate import concatenate
from archwright.nets.layer import Layer
from archwright.nets.network import Network, initialise
from archwright.space import Architecture, Task


class ConvBlock(nn.Module):
    """Convolution, (BatchNorm,) ReLU; `block` of them densely connected, the stride in the first.

    Each but the first reads the first's output and all later ones, and the result is all of their outputs together.
    """

    def __init__(self, inputs: int, filters: int, layer: Layer, block: int) -> None:
        super().__init__()
        self.outputs = filters * block
        self.convs = nn.ModuleList()
        for index in range(block):
            conv = nn.Conv2d(
                inputs if index == 0 else filters * index,
                filters,
                (layer.height, layer.width),
                layer.stride if index == 0 else 1,
                padding=(layer.height // 2, layer.width // 2),
                bias=not layer.normalised,
            )
            norm = [nn.BatchNorm2d(filters)] if layer.normalised else []
            self.convs.append(nn.Sequential(conv, *norm, nn.ReLU(inplace=True)))

    def forward(self, x: Float[Tensor, "batch inputs height width"]) -> Float[Tensor, "batch outputs out_h out_w"]:
        """All outputs, concatenated."""
        made = [self.convs[0](x)]
        for conv in list(self.convs)[1:]:
            made.append(conv(concatenate(made, training=self.training) if len(made) > 1 else made[0]))
        return concatenate(made, training=self.training) if len(made) > 1 else made[0]


class Layered(Network):
    """The child network of a list of layers; see `archwright.spaces.nas_conv.NasConv` for the rules and arguments."""

    def __init__(
        self,
        layers: Sequence[Layer],
        task: Task,
        *,
        block: int,
        pool_after: Sequence[int],
        more_filters: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self._inputs = [tuple(layer.inputs) for layer in layers]
        read = {source for inputs in self._inputs for source in inputs}
        self._loose = [number for number in range(len(layers)) if number not in read]
        self._pool_after = frozenset(number - 1 for number in pool_after)
        self.layers = nn.ModuleList()
        channels: list[int] = []
        for layer, inputs in zip(layers, self._inputs, strict=True):
            wide = sum(channels[source] for source in inputs) if inputs else task.channels
            if layer.kind == "conv":
                made = ConvBlock(wide, layer.filters + more_filters, layer, block)
                channels.append(made.outputs)
                self.layers.append(made)
            else:
                channels.append(wide)
                size = (layer.height, layer.width)
                padding = (layer.height // 2, layer.width // 2)
                self.layers.append(
                    nn.MaxPool2d(size, layer.stride, padding) if layer.kind == "pool" else nn.BatchNorm2d(wide)
                )
        self.dropout = nn.Dropout(dropout)
        self.classify = nn.Linear(sum(channels[number] for number in self._loose), task.classes)
        initialise(self)

    def with_auxiliary(
        self, x: Float[Tensor, "batch channels height width"], architecture: Architecture | None = None
    ) -> tuple[Float[Tensor, "batch classes"], None]:
        """Logits; there is no auxiliary head."""
        outputs: list[Tensor] = []
        for number, layer in enumerate(self.layers):
            inputs = self._inputs[number]
            outputs.append(layer(self._joined([outputs[source] for source in inputs]) if inputs else x))
            if number in self._pool_after:
                outputs = [_halved(output) for output in outputs]
                x = _halved(x)
        joined = self._joined([outputs[number] for number in self._loose])
        return self.classify(self.dropout(joined.mean(dim=(2, 3)))), None

    def _joined(self, maps: list[Tensor]) -> Tensor:
        if len(maps) == 1:
            return maps[0]
        size = max(m.shape[2] for m in maps), max(m.shape[3] for m in maps)
        return concatenate([padded(m, size) for m in maps], training=self.training)


def padded(
    x: Float[Tensor, "batch channels height width"], size: tuple[int, int]
) -> Float[Tensor, "batch channels high wide"]:
    """Zeros evenly around `x` up to `size`; of an odd number one more below and to the right."""
    down, right = size[0] - x.shape[2], size[1] - x.shape[3]
    if down == right == 0:
        return x
    return functional.pad(x, (right // 2, right - right // 2, down // 2, down - down // 2))


def _halved(x: Tensor) -> Tensor:
    return torch.max_pool2d(x, 2, ceil_mode=True)
