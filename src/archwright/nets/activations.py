"""The functions of recurrent cells. Exported models contain this source."""

from __future__ import annotations

import torch
from torch import Tensor


def activate(name: str, x: Tensor) -> Tensor:
    """Apply "identity", "tanh", "sigmoid" or "relu"."""
    made: Tensor = x if name == "identity" else getattr(torch, name)(x)
    return made
