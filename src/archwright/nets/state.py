"""A state and its ReLU, computed once for all modules that begin with one: every copy would be kept for backward."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn


class State:
    """A tensor that several modules read, some of them after a ReLU."""

    def __init__(self, tensor: Float[Tensor, "batch channels height width"]) -> None:
        self.tensor = tensor
        self._relu: Tensor | None = None

    def relu(self) -> Float[Tensor, "batch channels height width"]:
        """max(tensor, 0)."""
        if self._relu is None:
            self._relu = torch.relu(self.tensor)
        return self._relu


def apply(module: nn.Module, state: State) -> Tensor:
    """Run a module on a state, or on its ReLU if the module says `after_relu`."""
    output: Tensor = module(state.relu() if getattr(module, "after_relu", False) else state.tensor)
    return output
