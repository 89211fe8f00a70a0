"""Weights of another network of the same names: a child's training may begin with the shared ones."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


def inherit(network: nn.Module, weights: Mapping[str, Tensor]) -> float:
    """Copy the weights whose name and shape are a parameter's; return the share of the parameters that they are."""
    copied = total = 0
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            total += parameter.numel()
            if name in weights and weights[name].shape == parameter.shape:
                parameter.copy_(weights[name])
                copied += parameter.numel()
    return copied / max(1, total)
