"""One thread for small matrices: sharing products of some microseconds costs more than it saves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import torch


@contextmanager
def one_thread() -> Iterator[None]:
    """Run torch on one thread in this block."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Run the linear algebra of numpy and scipy on one thread in this block."""
    with _libraries().limit(limits=1, user_api="blas"):
        yield


@lru_cache(maxsize=1)
def _libraries() -> Any:
    import scipy.linalg  # noqa: F401  # brings a BLAS of its own, which must be found too
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
