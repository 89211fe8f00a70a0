"""Networks that are written layer by layer, each layer reading any of those before it (Zoph & Le 2017, section 3.3)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from archwright.nets.feature_map import concatenate
from archwright.nets.network import Drawn, Images, Logits, Network, initialise
from archwright.nets.ops import Padding, halves
from archwright.nets.wiring import LayerSpec, loose_layers
from archwright.space import Architecture, Task

Size = tuple[int, int]


class ConvBlock(nn.Module):
    """Convolution, (BatchNorm,) ReLU; `block` of them densely connected, the stride in the first.

    Each but the first reads the first's output and all later ones, and the result is all of their outputs together.
    """

    def __init__(self, inputs: int, filters: int, layer: LayerSpec, block: int) -> None:
        super().__init__()
        self.outputs = filters * block
        self.convs = nn.ModuleList()
        for index in range(block):
            wide, stride = (filters * index, (1, 1)) if index else (inputs, layer.stride)
            kernel, around = (layer.height, layer.width), (layer.height // 2, layer.width // 2)
            conv = nn.Conv2d(wide, filters, kernel, stride, around, bias=not layer.normalised)
            norm = [nn.BatchNorm2d(filters)] if layer.normalised else []
            self.convs.append(nn.Sequential(conv, *norm, nn.ReLU(inplace=True)))

    def forward(self, x: Float[Tensor, "batch inputs height width"]) -> Float[Tensor, "batch outputs out_h out_w"]:
        made: list[Tensor] = []
        for conv in self.convs:
            made.append(conv(_together(made, self.training) if made else x))
        return _together(made, self.training)


class Layered(Network):
    """The child network of a list of layers; see `archwright.spaces.nas_conv.NasConv` for the rules and arguments."""

    def __init__(
        self,
        layers: Sequence[LayerSpec],
        task: Task,
        *,
        block: int,
        pool_after: Sequence[int],
        more_filters: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self._inputs = [tuple(layer.inputs) for layer in layers]
        self._loose = loose_layers(layers)
        self._pool_after = frozenset(number - 1 for number in pool_after)
        self.layers = nn.ModuleList()
        channels: list[int] = []
        image: Size = (task.height, task.width)
        sizes: list[Size] = []
        self._padding: list[list[Padding]] = []  # of what each layer reads
        for number, (layer, inputs) in enumerate(zip(layers, self._inputs, strict=True)):
            wide = sum(channels[source] for source in inputs) if inputs else task.channels
            read_sizes = [sizes[source] for source in inputs]
            self._padding.append(paddings(read_sizes))
            size = _largest(read_sizes) if inputs else image
            if layer.kind == "conv":
                made = ConvBlock(wide, layer.filters + more_filters, layer, block)
                channels.append(made.outputs)
                self.layers.append(made)
            else:
                channels.append(wide)
                kernel, around = (layer.height, layer.width), (layer.height // 2, layer.width // 2)
                pooled = layer.kind == "pool"
                self.layers.append(nn.MaxPool2d(kernel, layer.stride, around) if pooled else nn.BatchNorm2d(wide))
            sizes.append((-(-size[0] // layer.stride[0]), -(-size[1] // layer.stride[1])))
            if number in self._pool_after:
                sizes, image = [_half(size) for size in sizes], _half(image)
        self._padding_of_loose = paddings([sizes[number] for number in self._loose])
        self.dropout = nn.Dropout(dropout)
        self.classify = nn.Linear(sum(channels[number] for number in self._loose), task.classes)
        initialise(self)

    def drawn(self) -> Iterator[Drawn]:
        yield from (("network", str(number), layer) for number, layer in enumerate(self.layers, start=1))
        yield "network", "output", self.classify

    def with_auxiliary(self, x: Images, architecture: Architecture | None = None) -> tuple[Logits, None]:
        """Return logits and no auxiliary ones, of images of the task's size."""
        outputs: list[Tensor] = []
        for number, layer in enumerate(self.layers):
            inputs = self._inputs[number]
            read = self._joined([outputs[source] for source in inputs], self._padding[number]) if inputs else x
            outputs.append(layer(read))
            if number in self._pool_after:
                outputs = [functional.max_pool2d(output, 2, ceil_mode=True) for output in outputs]
                x = functional.max_pool2d(x, 2, ceil_mode=True)
        joined = self._joined([outputs[number] for number in self._loose], self._padding_of_loose)
        return self.classify(self.dropout(joined.mean(dim=(2, 3)))), None

    def _joined(self, maps: list[Tensor], padding: list[Padding]) -> Tensor:
        made = [functional.pad(m, around) if any(around) else m for m, around in zip(maps, padding, strict=True)]
        return _together(made, self.training)


def _together(maps: list[Tensor], training: bool) -> Tensor:
    return concatenate(maps, training=training) if len(maps) > 1 else maps[0]


def paddings(sizes: Sequence[Size]) -> list[Padding]:
    """Return the zeros around maps of these sizes that make them as large as the largest, for `functional.pad`."""
    tall, wide = _largest(sizes)
    return [(*halves(wide - width), *halves(tall - height)) for height, width in sizes]


def _largest(sizes: Sequence[Size]) -> Size:
    return max((height for height, _ in sizes), default=0), max((width for _, width in sizes), default=0)


def _half(size: Size) -> Size:
    return (size[0] + 1) // 2, (size[1] + 1) // 2
