"""Every other pixel (or every n-th), with gradients that keep the memory format.

The backward pass of a slice fills a contiguous tensor with zeros, one for each sliced dimension. In channels_last that
makes every gradient that is added to it contiguous too, and the kernels of BatchNorm then take ten times as long.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional


def subsample(
    x: Float[Tensor, "batch channels height width"], starts: Sequence[int], *, stride: int, training: bool
) -> tuple[Float[Tensor, "batch channels less_h less_w"], ...]:
    """For each of `starts` every `stride`-th pixel of every `stride`-th row from there on, sizes rounded up.

    Beyond the edge there are zeros. `training` is false where no gradient will be asked for.
    """
    if training:
        parts: tuple[Tensor, ...] = _Subsample.apply(x, stride, *starts)  # type: ignore[no-untyped-call]
        return parts
    return tuple(_part(x, start, stride) for start in starts)


def _part(x: Tensor, start: int, stride: int) -> Tensor:
    padded = functional.pad(x, (0, start, 0, start)) if start else x
    return padded[:, :, start::stride, start::stride]


class _Subsample(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, stride: int, *starts: int) -> tuple[Tensor, ...]:
        ctx.stride, ctx.starts, ctx.shape, ctx.format = stride, starts, x.shape, _format(x)
        return tuple(_part(x, start, stride).contiguous(memory_format=ctx.format) for start in starts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        gradient = torch.empty(
            ctx.shape, dtype=gradients[0].dtype, device=gradients[0].device, memory_format=ctx.format
        ).zero_()
        for start, part in zip(ctx.starts, gradients, strict=True):
            place = gradient[:, :, start :: ctx.stride, start :: ctx.stride]
            place += part[:, :, : place.shape[2], : place.shape[3]]
        return gradient, None, *[None] * len(ctx.starts)


def _format(x: Tensor) -> torch.memory_format:
    channels_last = x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
    return torch.channels_last if channels_last else torch.contiguous_format
