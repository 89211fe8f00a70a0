"""Feature maps that several modules read, joined and thinned out.

All modules that begin with a ReLU share one: each copy would be kept for the backward pass. Gradients keep the memory
format. The backward pass of `torch.cat` hands out slices of one big gradient. In channels_last such a slice is strided,
and the CPU kernels of BatchNorm, ReLU and pooling fall back to slow paths on it, so each slice is made dense once. That
of a slice fills a contiguous tensor with zeros, one for each sliced dimension. In channels_last that makes every
gradient that is added to it contiguous too, and the kernels of BatchNorm then take ten times as long.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from itertools import chain
from typing import Any, TypeVar, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn import functional

Shared = TypeVar("Shared")


class FeatureMap:
    """A tensor that several modules read, some of them after a ReLU. What they share is computed once."""

    def __init__(self, tensor: Float[Tensor, "batch channels height width"]) -> None:
        self.tensor = tensor
        self._shared: dict[Hashable, Any] = {}

    def relu(self) -> Float[Tensor, "batch channels height width"]:
        """Return max(tensor, 0)."""
        return self.once("relu", lambda: torch.relu(self.tensor))

    def once(self, key: Hashable, compute: Callable[[], Shared]) -> Shared:
        """Return what `compute` returned the first time that it was asked for `key`."""
        if key not in self._shared:
            self._shared[key] = compute()
        found: Shared = self._shared[key]
        return found

    def parts(self, first: int) -> tuple[FeatureMap, FeatureMap]:
        """Return the first channels and the others, each dense in memory."""

        def split() -> tuple[FeatureMap, FeatureMap]:
            x = self.tensor
            # Its backward pass keeps the memory format.
            own, rest = torch.split(x, [first, x.shape[1] - first], dim=1)
            form = _format(x)
            return FeatureMap(own.contiguous(memory_format=form)), FeatureMap(rest.contiguous(memory_format=form))

        return self.once(("parts", first), split)


def apply(module: nn.Module, features: FeatureMap) -> Tensor:
    """Run a module on a feature map, or on its ReLU if the module says `after_relu`.

    What computes the ReLU as it reads says so by `activated`, unless that is None for this map.
    """
    after = getattr(module, "after_relu", False)
    activated = getattr(module, "activated", None) if after else None
    made = None if activated is None else activated(features.tensor)
    if made is not None:
        return cast(Tensor, made)
    output: Tensor = module(features.relu() if after else features.tensor)
    return output


def apply_once(module: nn.Module, features: FeatureMap, key: Hashable) -> Tensor:
    """Run a module as `apply` does; one without parameters and buffers once for all modules of this key."""
    if next(chain(module.parameters(), module.buffers()), None) is not None:
        return apply(module, features)
    return features.once(key, lambda: apply(module, features))


def concatenate(tensors: Sequence[Float[Tensor, "batch _ height width"]], *, training: bool) -> Tensor:
    """Concatenate along dimension 1. `training` is false where no gradient will be asked for."""
    if training:
        for tensor in tensors:
            if tensor.requires_grad:
                tensor.register_hook(_dense)  # type: ignore[no-untyped-call]
    return torch.cat(list(tensors), dim=1)


def shuffled(x: Float[Tensor, "batch channels height width"], groups: int) -> Tensor:
    """Return the channels in turn from each of `groups` equal parts of them, in the memory format that they have."""
    form = _format(x)
    return functional.channel_shuffle(x, groups).contiguous(memory_format=form)


def _dense(gradient: Tensor) -> Tensor:
    channels_last = gradient.stride(1) == 1
    return gradient.contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)


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
        for index, (start, part) in enumerate(zip(ctx.starts, gradients, strict=True)):
            place = gradient[:, :, start :: ctx.stride, start :: ctx.stride]
            own = part[:, :, : place.shape[2], : place.shape[3]]
            if index:
                place += own
            else:
                place.copy_(own)  # in half the time
        return gradient, None, *[None] * len(ctx.starts)


def _format(x: Tensor) -> torch.memory_format:
    channels_last = x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
    return torch.channels_last if channels_last else torch.contiguous_format
