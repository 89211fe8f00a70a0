"""The precision of forward passes."""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch

Precision: TypeAlias = Literal["float32", "bfloat16"]


def at_precision(precision: Precision, device: str | torch.device) -> torch.autocast:
    """Return a context in which forward passes have that precision; bfloat16 is automatic mixed precision."""
    return torch.autocast(torch.device(device).type, torch.bfloat16, enabled=precision == "bfloat16")
