"""Concatenation along channels whose gradients come back dense.

The backward pass of `torch.cat` hands out slices of one big gradient. In channels_last such a slice is strided, and the
CPU kernels of BatchNorm, ReLU and pooling fall back to slow paths on it, so each slice is made dense once.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor


def concatenate(tensors: Sequence[Float[Tensor, "batch _ height width"]], *, training: bool) -> Tensor:
    """Concatenate along dimension 1. `training` is false where no gradient will be asked for."""
    if training:
        for tensor in tensors:
            if tensor.requires_grad:
                tensor.register_hook(_dense)  # type: ignore[no-untyped-call]
    return torch.cat(list(tensors), dim=1)


def _dense(gradient: Tensor) -> Tensor:
    channels_last = gradient.stride(1) == 1
    return gradient.contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)
