"""Errors of a child as one kind of failure; out of memory, which every backend reports in its own way, in our words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from archwright.errors import ArchwrightError, ChildFailure

# CUDA and MPS; PyTorch's CPU allocator on Unix, then on Windows; cuBLAS and cuDNN.
SIGNS = ("out of memory", "can't allocate memory", "not enough memory", "status_alloc_failed")


@contextmanager
def any_failure() -> Iterator[None]:
    """Turn any error of a network's code, an exit included, into a `ChildFailure`; other errors of ours stay."""
    try:
        yield
    except ArchwrightError:
        raise
    except (Exception, SystemExit) as error:
        raise ChildFailure(f"{type(error).__name__}: {error}") from error


@contextmanager
def out_of_memory(what: str) -> Iterator[None]:
    """Turn an out-of-memory error inside the block into a `ChildFailure` that says `what` did not fit."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        known = isinstance(error, (torch.OutOfMemoryError, MemoryError))
        if not known and not any(sign in str(error).lower() for sign in SIGNS):
            raise
        error.__traceback__ = None  # its frames hold the activations: whoever keeps the failure would keep them too
        raise ChildFailure(f"out of memory: {what} did not fit; a smaller batch or network needs less") from None
