"""How many threads torch computes with: how many it may have, and those that are in use."""

from __future__ import annotations

import torch

_before: tuple[int, int] | None = None  # threads that torch had before `use`, and those it was given


def available() -> int:
    """Return the threads that torch began with (OMP_NUM_THREADS, or the cores), or that the caller has set since."""
    now = torch.get_num_threads()
    return _before[0] if _before is not None and _before[1] == now else now


def use(count: int) -> None:
    """Compute with so many threads from here on; `available` stays what it is."""
    global _before
    most = available()
    torch.set_num_threads(count)
    _before = most, count
