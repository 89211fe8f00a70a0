"""How many threads the controller's arithmetic runs on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def one_thread() -> Iterator[None]:
    """Run torch on one thread for the while.

    The products of a policy's steps take some 25 microseconds: handing half of one to another thread costs more than
    it saves, and a great deal more where that thread's core is busy.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
