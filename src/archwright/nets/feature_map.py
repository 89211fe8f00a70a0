"""A feature map and its ReLU, which all modules that begin with one share: each copy would be kept for backward."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn


class FeatureMap:
    """A tensor that several modules read, some of them after a ReLU."""

    def __init__(self, tensor: Float[Tensor, "batch channels height width"]) -> None:
        self.tensor = tensor
        self._relu: Tensor | None = None

    def relu(self) -> Float[Tensor, "batch channels height width"]:
        """Return max(tensor, 0)."""
        if self._relu is None:
            self._relu = torch.relu(self.tensor)
        return self._relu


def apply(module: nn.Module, features: FeatureMap) -> Tensor:
    """Run a module on a feature map, or on its ReLU if the module says `after_relu`."""
    output: Tensor = module(features.relu() if getattr(module, "after_relu", False) else features.tensor)
    return output
