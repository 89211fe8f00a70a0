"""A residual network as people build it by hand (He et al. 2016, section 4.2), to compare with."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from archwright.nets.network import Images, Logits, Network, initialise, stem
from archwright.nets.ops import Convolution, Pointwise
from archwright.space import Architecture, Task

BLOCKS = 3  # of each of three groups: with the first convolution and the classifier 20 layers


class Block(nn.Module):
    """Two 3x3 convolutions and the input; where the width changes, a 1x1 convolution of the input (their option B)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv0 = Convolution(inputs, outputs, (3, 3), (stride, stride))
        self.norm0 = nn.BatchNorm2d(outputs)
        self.conv1 = Convolution(outputs, outputs, (3, 3), (1, 1))
        self.norm1 = nn.BatchNorm2d(outputs)
        fits = inputs == outputs and stride == 1
        self.shortcut = nn.Identity() if fits else Pointwise(inputs, outputs, stride, after_relu=False)

    def forward(self, x: Float[Tensor, "batch inputs height width"]) -> Tensor:
        inside = self.norm1(self.conv1(functional.relu(self.norm0(self.conv0(x)))))
        return functional.relu(inside + self.shortcut(x))


class Residual(Network):
    """Three groups of `BLOCKS` blocks of `width`, twice and four times as many channels, each group at half the size.

    `stem_stride` of the first convolution is 1, 2 or 4, as in cell networks.
    """

    def __init__(self, task: Task, width: int, *, stem_stride: int = 1, dropout: float = 0.0) -> None:
        super().__init__()
        self.stem = stem(task.channels, width, stem_stride).append(nn.ReLU())
        self.blocks = nn.Sequential()
        channels = width
        for group in range(3):
            for index in range(BLOCKS):
                wide = width * 2**group
                self.blocks.append(Block(channels, wide, 2 if group and not index else 1))
                channels = wide
        self.dropout = nn.Dropout(dropout)
        self.classify = nn.Linear(channels, task.classes)
        initialise(self)

    def with_auxiliary(self, x: Images, architecture: Architecture | None = None) -> tuple[Logits, None]:
        features = self.blocks(self.stem(x)).mean(dim=(2, 3))
        return self.classify(self.dropout(features)), None


def residual_network(task: Task, parameters: int, *, stem_stride: int = 1, dropout: float = 0.0) -> Residual:
    """Build the residual network whose number of parameters is nearest to `parameters`."""
    width, before = 1, 0
    while (size := _size(task, width, stem_stride)) < parameters:
        width, before = width + 1, size
    if before and parameters - before < size - parameters:
        width -= 1
    return Residual(task, width, stem_stride=stem_stride, dropout=dropout)


def _size(task: Task, width: int, stem_stride: int) -> int:
    with torch.device("meta"):
        network = Residual(task, width, stem_stride=stem_stride)
    return sum(parameter.numel() for parameter in network.parameters())
