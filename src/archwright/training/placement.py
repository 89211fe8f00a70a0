"""Where networks lie: on a device, in the memory format that trains fastest there, and in state dicts."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


def place(network: nn.Module, device: torch.device, *, channels_last: bool) -> bool:
    """Move `network` to `device`, with the channels innermost if asked for and usable; True if they are.

    Depthwise convolutions are several times faster so on CPU and CUDA. Its inputs should have the same format.
    """
    innermost = channels_last and device.type in ("cpu", "cuda") and not (device.type == "cpu" and _corrupts(network))
    if innermost:
        network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    else:
        network.to(device)
    return innermost


def _corrupts(network: nn.Module) -> bool:
    # The backward pass of a strided 1x1 convolution with channels innermost and 2 to 6 input channels writes outside
    # its buffer (the oneDNN of PyTorch 2.13, AVX-512; 7 and more channels, other kernels and strides are sound).
    return any(
        isinstance(module, nn.Conv2d)
        and module.kernel_size == (1, 1)
        and max(module.stride) > 1
        and 1 < module.in_channels // module.groups < 8
        for module in network.modules()
    )


def saved(tensor: Tensor) -> Tensor:
    """Copy a tensor for a state dict: on the CPU, contiguous, and no longer changed by training."""
    return tensor.detach().to("cpu", copy=True).contiguous()


def saved_network(network: nn.Module) -> dict[str, Any]:
    """Return `saved` copies of a network's parameters and buffers by name."""
    return {name: saved(tensor) for name, tensor in network.state_dict().items()}
