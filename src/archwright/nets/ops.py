"""Operations that keep the number of channels, by name, and the convolutions around them.

Add one with `OPERATIONS["blur_3x3"] = lambda channels, stride: Blur(channels, stride)`: a module from
[batch, channels, height, width] to the same channels at ceil(height / stride) x ceil(width / stride). A module with
`after_relu = True` is given max(x, 0), which is computed once for all that read the same state (`nets.feature_map`);
where it has `activated(x)` and that is not None, it computes max(x, 0) as it reads x, without a copy (`nets.chain`).
Convolutions are ReLU-convolution-BatchNorm (NASNet 2018, appendix A.4; ENAS 2018, appendix B). Padding is even on all
sides, as in the PyTorch ports, unless `pad_same` makes it that of TensorFlow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from archwright.errors import SpaceError, offered
from archwright.nets.chain import Link, chained
from archwright.nets.depthwise import Once, depthwise, improves
from archwright.nets.feature_map import concatenate, subsample

Padding: TypeAlias = "tuple[int, int, int, int]"  # left, right, top, bottom
Sides: TypeAlias = "tuple[int, int]"


class Pointwise(nn.Module):
    """(ReLU,) 1x1 convolution without bias, BatchNorm: how a state is brought to another width.

    `after_relu` false leaves the ReLU out. Stride 2 takes every other pixel of every other row.
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1, *, after_relu: bool = True) -> None:
        super().__init__()
        self.after_relu, self.stride = after_relu, stride
        self.conv = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, input: Float[Tensor, "batch inputs height width"]) -> Tensor:
        # Subsampled first, as in `FactorizedReduction`.
        x = subsample(input, (0,), stride=self.stride, training=self.training)[0] if self.stride > 1 else input
        made = chained([x], self._links(), relu=False)
        return self.norm(self.conv(x)) if made is None else made

    def activated(self, x: Float[Tensor, "batch inputs height width"]) -> Tensor | None:
        """Return the output for max(x, 0), or None."""
        return chained([x], self._links(), relu=True) if self.stride == 1 else None

    def _links(self) -> list[Link]:
        return [Link(self.conv.weight, self.norm)] if self.training else []


class Convolution(nn.Conv2d):
    """A convolution without bias that keeps the size (divided by the stride). `around`: other padding than even.

    `once` keeps what several convolutions of one map share (`FeatureMap.once`).
    """

    around: Padding | None = None

    def __init__(
        self, inputs: int, outputs: int, kernel: Sides, stride: Sides, *, dilation: int = 1, groups: int = 1
    ) -> None:
        padding = (kernel[0] // 2 * dilation, kernel[1] // 2 * dilation)
        super().__init__(inputs, outputs, kernel, stride, padding, dilation, groups, bias=False)

    def forward(self, input: Float[Tensor, "batch inputs height width"], once: Once | None = None) -> Tensor:
        around, kernel, dilation = self.around, self.kernel_size[0], self.dilation[0]
        if around is None and self.groups > 1 and self.training:
            if min(input.shape[2:]) < kernel:
                # The same with the zeros put there beforehand: on maps smaller than the kernel a depthwise weight has a
                # slow gradient (torch 2.13, CPU: 2.2 ms a step against 1.1 for 64 x 32 x 4 x 4 and 5x5).
                side = kernel // 2 * dilation
                around = (side, side, side, side)
            elif improves(input, self.weight, dilation):
                return depthwise(input, self.weight, self.stride[0], dilation, once)
        if around is None:
            return super().forward(input)
        padded = functional.pad(input, around)
        return functional.conv2d(padded, self.weight, None, self.stride, 0, self.dilation, self.groups)


class Stacked(nn.Sequential):
    """ReLU, convolution, BatchNorm for each of `kernels` in turn: a 1x7 and a 7x1 convolution, or a single one.

    The first ReLU is the cell's (`after_relu`). Each convolution strides along the sides that it covers.
    """

    after_relu = True

    def __init__(self, inputs: int, outputs: int, stride: int, kernels: Sequence[Sides], *, dilation: int = 1) -> None:
        super().__init__()
        for index, kernel in enumerate(kernels):
            down, across = (stride if side > 1 or len(kernels) == 1 else 1 for side in kernel)
            if index > 0:
                self.add_module(f"relu{index}", nn.ReLU(inplace=True))
            conv = Convolution(outputs if index else inputs, outputs, kernel, (down, across), dilation=dilation)
            self.add_module(f"conv{index}", conv)
            self.add_module(f"norm{index}", nn.BatchNorm2d(outputs))


class Separable(nn.Sequential):
    """`repeats` times: ReLU, depthwise convolution, pointwise convolution, BatchNorm; the stride is in the first.

    The width changes in the first pointwise convolution. The first ReLU is the cell's (`after_relu`). Nothing stands
    between depthwise and pointwise; a chosen separable convolution is applied twice (NASNet 2018, section 3; ENAS 2018,
    appendix B), a dilated one once (DARTS's code).
    """

    after_relu = True

    def __init__(
        self, inputs: int, outputs: int, stride: int, kernel: int, *, repeats: int = 2, dilation: int = 1
    ) -> None:
        super().__init__()
        self.repeats = repeats
        for index in range(repeats):
            width = outputs if index else inputs
            if index > 0:
                self.add_module(f"relu{index}", nn.ReLU(inplace=True))
            step = 1 if index else stride
            sides = (kernel, kernel)
            depthwise = Convolution(width, width, sides, (step, step), dilation=dilation, groups=width)
            self.add_module(f"depthwise{index}", depthwise)
            self.add_module(f"pointwise{index}", nn.Conv2d(width, outputs, 1, bias=False))
            self.add_module(f"norm{index}", nn.BatchNorm2d(outputs))

    def forward(self, input: Float[Tensor, "batch inputs height width"]) -> Tensor:
        made = chained([input], self._links(), relu=False)
        return super().forward(input) if made is None else made  # type: ignore[no-untyped-call]

    def activated(self, x: Float[Tensor, "batch inputs height width"]) -> Tensor | None:
        """Return the output for max(x, 0), or None."""
        return chained([x], self._links(), relu=True)

    def _links(self) -> list[Link]:
        """Return its convolutions for `chained`; none where that cannot do the padding."""
        if not self.training:
            return []
        links = list[Link]()
        for index in range(self.repeats):
            depthwise, pointwise, norm = (
                getattr(self, f"{part}{index}") for part in ("depthwise", "pointwise", "norm")
            )
            if depthwise.around is not None or depthwise.dilation != (1, 1) or depthwise.stride != (1, 1):
                return []
            links.append(Link(pointwise.weight, norm, depthwise.weight))
        return links


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
        # Subsampled first: the same as a stride of 2, whose backward pass in channels_last corrupts memory at 2 to 6
        # channels (torch 2.13, CPU), and less to keep for the backward pass.
        even, odd = subsample(x, (0, 1), stride=2, training=self.training)
        normed: Tensor = self.norm(concatenate([self.even(even), self.odd(odd)], training=self.training))
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
        keep = 1 - self.progress * (1 - self.keep)
        if not self.training or keep >= 1:
            return x
        mask = torch.rand(x.shape[0], *[1] * (x.dim() - 1), device=x.device) < keep
        return x * (mask.to(x.dtype) / keep)

    def extra_repr(self) -> str:
        return f"keep={self.keep}"


def identity(channels: int, stride: int, *, after_relu: bool = False) -> nn.Module:
    """Build the identity; at stride 2 a factorised reduction (official ENAS code), of DARTS `after_relu`."""
    return nn.Identity() if stride == 1 else FactorizedReduction(channels, channels, after_relu=after_relu)


Operation = Callable[[int, int], nn.Module]
Widening = Callable[[int, int, int], nn.Module]

# Operations that may change the width: (inputs, outputs, stride).
CONVOLUTIONS: dict[str, Widening] = {
    "sep_3x3": partial(Separable, kernel=3),
    "sep_5x5": partial(Separable, kernel=5),
    "sep_7x7": partial(Separable, kernel=7),
    "conv_1x1": Pointwise,
    "conv_3x3": partial(Stacked, kernels=[(3, 3)]),
    "conv_1x3_3x1": partial(Stacked, kernels=[(1, 3), (3, 1)]),
    "conv_1x7_7x1": partial(Stacked, kernels=[(1, 7), (7, 1)]),
    "dil_3x3": partial(Stacked, kernels=[(3, 3)], dilation=2),  # NASNet's table gives no rate; 2 is usual
    # DARTS's names (its genotypes.py).
    "sep_conv_3x3": partial(Separable, kernel=3),
    "sep_conv_5x5": partial(Separable, kernel=5),
    "dil_conv_3x3": partial(Separable, kernel=3, repeats=1, dilation=2),
    "dil_conv_5x5": partial(Separable, kernel=5, repeats=1, dilation=2),
}


def _of_one_width(widening: Widening) -> Operation:
    return lambda channels, stride: widening(channels, channels, stride)


def _maximum(kernel: int) -> Operation:
    return lambda channels, stride: nn.MaxPool2d(kernel, stride, padding=kernel // 2)


def _mean(channels: int, stride: int) -> nn.Module:
    # Pixels outside the image do not count in the mean (NASNet B5).
    return nn.AvgPool2d(3, stride, padding=1, count_include_pad=False)


OPERATIONS: dict[str, Operation] = {
    **{name: _of_one_width(widening) for name, widening in CONVOLUTIONS.items()},
    "avg_3x3": _mean,
    "avg_pool_3x3": _mean,
    "max_3x3": _maximum(3),
    "max_pool_3x3": _maximum(3),
    "max_5x5": _maximum(5),
    "max_7x7": _maximum(7),
    "identity": identity,
    "skip_connect": partial(identity, after_relu=True),
}


def operation(name: str, channels: int, stride: int, *, inputs: int | None = None) -> nn.Module:
    """Build an operation by name, on a state of `inputs` channels if those are not `channels`.

    What cannot change the width itself is followed by a 1x1 convolution and BatchNorm (NASNet B5).
    """
    if name not in OPERATIONS:
        raise SpaceError(f"{name!r} is not an operation; {offered(name, sorted(OPERATIONS))}")
    if inputs is None or inputs == channels:
        return OPERATIONS[name](channels, stride)
    if name in CONVOLUTIONS:
        return CONVOLUTIONS[name](inputs, channels, stride)
    first = OPERATIONS[name](inputs, stride)
    return _Then(first, Pointwise(inputs, channels, after_relu=False))


class _Then(nn.Sequential):
    """Two modules in turn; it is given what the first one wants."""

    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        super().__init__(first, second)
        self.after_relu = bool(getattr(first, "after_relu", False))


def halves(total: int) -> tuple[int, int]:
    """Return how many of `total` zeros are put before and after: of an odd number one more after."""
    return total // 2, total - total // 2


def same(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Return TensorFlow's SAME padding before and after `size` pixels."""
    return halves(max((-(-size // stride) - 1) * stride + kernel - size, 0))


def pad_same(network: nn.Module, size: tuple[int, int]) -> None:
    """Pad as TensorFlow's SAME wherever `network` strides; all that strides in it reads maps of `size`.

    Evenly padded, a stride of 2 on a map of even size begins one pixel earlier. Convolutions of one's own operations
    that are not `Convolution` stay as they are.
    """
    for module in network.modules():
        if isinstance(module, Convolution) and max(module.stride) > 1:
            sides = zip(size, module.kernel_size, module.stride, module.dilation, strict=True)
            (top, bottom), (left, right) = (same(n, (k - 1) * d + 1, s) for n, k, s, d in sides)
            if (top, left) != (bottom, right):
                module.around = (left, right, top, bottom)
        elif isinstance(module, (nn.MaxPool2d, nn.AvgPool2d)) and module.stride == 2:
            kernel = int(module.kernel_size)  # type: ignore[arg-type]
            module.padding = (same(size[0], kernel, 2)[0], same(size[1], kernel, 2)[0])
            module.ceil_mode = True  # what is missing at the end counts for nothing, in the mean too
