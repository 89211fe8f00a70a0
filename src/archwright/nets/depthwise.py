"""Depthwise convolutions whose gradients are slow in oneDNN, made of those that are fast (CPU, channels innermost).

For float32 it has fast kernels without dilation only, and for the gradient of a weight only up to three columns (torch
2.13, AVX-512: 6 ms for 5x5 against 0.4 for 5x3, at 64 x 16 x 32 x 32). So the gradient of a wider weight is put
together from pieces of three columns, and a dilation of 2 becomes none: on every other pixel, or on the four parts of
a map that have every other row and column.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional

from archwright.nets.feature_map import subsample

COLUMNS = 3  # of a weight, whose gradient is fast
Maps = Float[Tensor, "batch channels height width"]
Once: TypeAlias = "Callable[[str, Callable[[], Tensor]], Tensor]"  # `FeatureMap.once`: several convolutions read x


def improves(x: Tensor, weight: Float[Tensor, "channels 1 rows columns"], dilation: int) -> bool:
    """Return whether `depthwise` is faster than PyTorch for these maps, in training."""
    innermost = x.is_contiguous(memory_format=torch.channels_last)
    if x.device.type != "cpu" or x.dtype != torch.float32 or not innermost or torch.is_autocast_enabled("cpu"):
        return False
    return dilation == 2 or (dilation == 1 and weight.shape[3] > COLUMNS and weight.requires_grad)


def depthwise(
    x: Maps, weight: Float[Tensor, "channels 1 rows columns"], stride: int, dilation: int, once: Once | None = None
) -> Maps:
    """Return the convolution with even padding that keeps the size, divided by the stride: 1, or 2."""
    once = once or (lambda _, compute: compute())
    batch, channels, height, width = x.shape
    if dilation == 2 and stride == 2:
        return depthwise(once("halved", lambda: subsample(x, (0,), stride=2, training=True)[0]), weight, 1, 1)
    if dilation == 2 and (height % 2 or width % 2):
        return functional.conv2d(x, weight, None, 1, _padding(weight, 2), 2, channels)
    if dilation == 2:
        made = depthwise(once("apart", lambda: _apart(x)), weight, 1, 1).permute(0, 2, 3, 1)
        joined = made.reshape(2, 2, batch, height // 2, width // 2, channels).permute(2, 3, 0, 4, 1, 5)
        return joined.reshape(batch, height, width, channels).permute(0, 3, 1, 2)
    if weight.shape[3] > COLUMNS:
        wide: Tensor = _Wide.apply(x, weight, stride)  # type: ignore[no-untyped-call]
        return wide
    return functional.conv2d(x, weight, None, stride, _padding(weight), 1, channels)


def _apart(x: Maps) -> Float[Tensor, "four_batch channels half_height half_width"]:
    batch, channels, height, width = x.shape
    innermost = x.permute(0, 2, 3, 1).reshape(batch, height // 2, 2, width // 2, 2, channels)
    parts = innermost.permute(2, 4, 0, 1, 3, 5).reshape(4 * batch, height // 2, width // 2, channels)
    return parts.permute(0, 3, 1, 2)


def _padding(weight: Tensor, dilation: int = 1) -> tuple[int, int]:
    return weight.shape[2] // 2 * dilation, weight.shape[3] // 2 * dilation


class _Wide(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride = stride
        return functional.conv2d(x, weight, None, stride, _padding(weight), 1, len(weight))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        (x, weight), stride = ctx.saved_tensors, ctx.stride
        rows, columns = _padding(weight)
        d_x = d_weight = None
        if ctx.needs_input_grad[0]:
            d_x = _gradient(gradient, x, weight, stride, (rows, columns), of_weight=False)
        if ctx.needs_input_grad[1]:
            innermost, pieces = x.permute(0, 2, 3, 1), []
            for first in range(0, weight.shape[3], COLUMNS):
                piece = weight[..., first : first + COLUMNS]
                left, reach = columns - first, (gradient.shape[3] - 1) * stride + piece.shape[3]
                shifted = functional.pad(innermost, (0, 0, left, reach - left - x.shape[3])).permute(0, 3, 1, 2)
                pieces.append(_gradient(gradient, shifted, piece, stride, (rows, 0), of_weight=True))
            d_weight = torch.cat(pieces, dim=3)
        return d_x, d_weight, None


def _gradient(
    gradient: Tensor, x: Tensor, weight: Tensor, stride: int, padding: tuple[int, int], *, of_weight: bool
) -> Tensor:
    strides, none = [stride, stride], [0, 0]
    mask = [not of_weight, of_weight, False]
    gradients = torch.ops.aten.convolution_backward(
        *(gradient, x, weight, None, strides, padding, [1, 1], False, none, len(weight), mask)
    )
    found: Tensor = gradients[int(of_weight)]
    return found
