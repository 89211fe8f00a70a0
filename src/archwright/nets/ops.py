"""Operations that keep the number of channels, by name, and the convolutions around them.

Add one with `OPERATIONS["blur_3x3"] = lambda channels, stride: Blur(channels, stride)`: a module from
[batch, channels, height, width] to the same channels at ceil(height / stride) x ceil(width / stride). A module with
`after_relu = True` is given max(x, 0), which is computed once for all that read the same state (`nets.state`).
Convolutions are ReLU-convolution-BatchNorm (NASNet 2018, appendix A.4; ENAS 2018, appendix B). TensorFlow's SAME pads
the bottom and right more than the top and left at stride 2; we pad evenly, as the PyTorch ports do.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from archwright.errors import SpaceError
from archwright.nets.concatenate import concatenate


class Pointwise(nn.Sequential):
    """(ReLU,) 1x1 convolution without bias, BatchNorm: how a state is brought to another width."""

    after_relu = True

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)


class Depthwise(nn.Conv2d):
    """A convolution of each channel by itself, without bias, that keeps the size (divided by the stride)."""

    def __init__(self, channels: int, kernel: int, stride: int) -> None:
        super().__init__(channels, channels, kernel, stride, padding=kernel // 2, groups=channels, bias=False)

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Tensor:
        """Convolve."""
        if not self.training or min(x.shape[2:]) >= self.kernel_size[0]:
            return super().forward(x)
        # The same with the zeros put there beforehand: on maps smaller than the kernel the weight has a slow gradient
        # (torch 2.13, CPU: 2.2 ms a step against 1.1 for 64 x 32 x 4 x 4 and 5x5).
        side = self.kernel_size[0] // 2
        padded = functional.pad(x, (side, side, side, side))
        return functional.conv2d(padded, self.weight, None, self.stride, 0, 1, self.groups)


class Separable(nn.Sequential):
    """`repeats` times: ReLU, depthwise convolution, pointwise convolution, BatchNorm; the stride is in the first.

    The first ReLU is the cell's (`after_relu`). Nothing stands between depthwise and pointwise; a chosen separable
    convolution is applied twice (NASNet 2018, section 3; ENAS 2018, appendix B).
    """

    after_relu = True

    def __init__(self, channels: int, kernel: int, stride: int, *, repeats: int = 2) -> None:
        super().__init__()
        for index in range(repeats):
            if index > 0:
                self.add_module(f"relu{index}", nn.ReLU(inplace=True))
            self.add_module(f"depthwise{index}", Depthwise(channels, kernel, stride if index == 0 else 1))
            self.add_module(f"pointwise{index}", nn.Conv2d(channels, channels, 1, bias=False))
            self.add_module(f"norm{index}", nn.BatchNorm2d(channels))


class FactorizedReduction(nn.Module):
    """Halves height and width without losing pixels: two 1x1 convolutions, the second one pixel further (NASNet B5).

    Each makes half of the channels; concatenated, then BatchNorm. Odd sizes round up.
    """

    def __init__(self, inputs: int, outputs: int, *, after_relu: bool = False) -> None:
        super().__init__()
        self.after_relu = after_relu
        self.even = nn.Conv2d(inputs, outputs // 2, 1, bias=False)
        self.odd = nn.Conv2d(inputs, outputs - outputs // 2, 1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Float[Tensor, "batch inputs height width"]) -> Float[Tensor, "batch outputs half_h half_w"]:
        """Halve."""
        # Subsampled first: the same as a stride of 2, whose backward pass in channels_last corrupts memory at 2 to 6
        # channels (torch 2.13, CPU), and less to keep for the backward pass.
        even = x[:, :, ::2, ::2]
        odd = functional.pad(x, (0, 1, 0, 1))[:, :, 1::2, 1::2]
        halves = concatenate([self.even(even), self.odd(odd)], training=self.training)
        normed: Tensor = self.norm(halves)
        return normed


class DropPath(nn.Module):
    """Drops a whole path per example, more towards the end of training: NASNet's ScheduledDropPath.

    keep = 1 - progress * (1 - `keep`), where `keep` is already scaled by the depth of the cell, and kept examples are
    divided by it (papers: NASNet B5, ENAS C4). Idle outside training.
    """

    def __init__(self, keep: float) -> None:
        super().__init__()
        self.keep = keep
        self.progress = 0.0

    def forward(self, x: Float[Tensor, batch * rest]) -> Float[Tensor, batch * rest]:
        """Drop, or pass on."""
        keep = 1 - self.progress * (1 - self.keep)
        if not self.training or keep >= 1:
            return x
        mask = torch.rand(x.shape[0], *[1] * (x.dim() - 1), device=x.device) < keep
        return x * (mask.to(x.dtype) / keep)

    def extra_repr(self) -> str:
        """For printing the module."""
        return f"keep={self.keep}"


class MaxPool(nn.Sequential):
    """3x3 maximum."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.pool = nn.MaxPool2d(3, stride, padding=1)


class AvgPool(nn.Sequential):
    """3x3 mean; pixels outside the image do not count (NASNet B5)."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d(3, stride, padding=1, count_include_pad=False)


def identity(channels: int, stride: int) -> nn.Module:
    """The input itself; at stride 2 a factorised reduction (official ENAS code)."""
    return nn.Identity() if stride == 1 else FactorizedReduction(channels, channels)


Operation = Callable[[int, int], nn.Module]

OPERATIONS: dict[str, Operation] = {
    "sep_3x3": lambda channels, stride: Separable(channels, 3, stride),
    "sep_5x5": lambda channels, stride: Separable(channels, 5, stride),
    "avg_3x3": AvgPool,
    "max_3x3": MaxPool,
    "identity": identity,
}


def operation(name: str, channels: int, stride: int) -> nn.Module:
    """Build an operation by name."""
    if name not in OPERATIONS:
        raise SpaceError(f"{name!r} is not an operation; there are {', '.join(sorted(OPERATIONS))}")
    return OPERATIONS[name](channels, stride)
