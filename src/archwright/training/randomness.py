"""Random streams of training, each a function of the seed and of where in training it is used, never of history."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

import numpy as np
import torch

from archwright.space import generator


class Stream(IntEnum):
    """What random numbers are for; different uses never share a stream."""

    WEIGHTS = 0
    ORDER = 1
    AUGMENTATION = 2
    NOISE = 3  # dropout and drop path
    VALIDATION = 4
    SAMPLING = 5  # architectures of shared training that no controller proposes
    HALVES = 6  # of the training part in a gradient search
    PROXIES = 7  # random inputs of untrained networks


def stream(purpose: Stream, seed: int, position: int = 0) -> np.random.Generator:
    """Return the generator for one purpose at one position (an epoch, a step, a proposal)."""
    return generator((purpose, seed, position))


@contextmanager
def seeded(device: torch.device, purpose: Stream, seed: int, position: int = 0) -> Iterator[None]:
    """Seed torch's global generators, of the CPU and of `device`, for a block; afterwards they are as before.

    Dropout has no generator argument, so this is the way to make it a function of the step.
    """
    number = int(stream(purpose, seed, position).integers(2**63))
    cuda = device.type == "cuda"
    mps = torch.mps.get_rng_state() if device.type == "mps" else None
    with torch.random.fork_rng([device.index] if cuda else []):
        torch.default_generator.manual_seed(number)
        if cuda:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(number)
        if mps is not None:
            torch.mps.manual_seed(number)
        try:
            yield
        finally:
            if mps is not None:
                torch.mps.set_rng_state(mps)
