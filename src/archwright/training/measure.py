"""What a network costs: parameters, multiply-adds, seconds; and memory settings that make it cheaper."""

from __future__ import annotations

import ctypes
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from archwright.space import Task


def parameters(module: nn.Module, *, trainable_only: bool = True) -> int:
    """Count the numbers in the module's parameters. Buffers (running statistics) do not count."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad or not trainable_only)


def multiply_adds(module: nn.Module, shape: tuple[int, int, int] | Task) -> int:
    """Count multiply-adds of one image of `shape` (channels, height, width): half the operations of `FlopCounterMode`.

    That counts convolutions and matrix products; BatchNorm, pooling, activations and additions are not counted, as in
    the papers' figures.
    """
    with inference(module), FlopCounterMode(display=False) as counter:
        module(image(module, shape))
    return int(counter.get_total_flops()) // 2


def time_steps(step: Callable[[], object], repeats: int = 5, *, warmup: int = 1) -> float:
    """Return the median seconds of `step()` over `repeats` runs, after `warmup` runs that do not count.

    Waits for a CUDA device at the end of each run, so that its work is timed and not its launch.
    """
    seconds = []
    for run in range(warmup + repeats):
        began = time.perf_counter()
        step()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        if run >= warmup:
            seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # malloc.h


def tune_malloc() -> bool:
    """Let glibc keep freed memory for the next step, for the rest of this process; True if it was done.

    By default glibc maps every block of 32 MB or more on its own and unmaps it when it is freed, so each step pays for
    its activations in page faults: a quarter of a step of an ENAS micro child with 36 filters (7.7 s of CPU time
    against 5.5, one thread, batch 144, at an equal peak of memory). Networks whose blocks are smaller lose nothing
    either way. Raising the trim threshold alone is worse than nothing: it turns off glibc's own adaptation. Call it
    early, and in worker processes too. Nothing happens where the C library is not glibc.
    """
    if not sys.platform.startswith("linux"):
        return False
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "gnu_get_libc_version"):
        return False
    return bool(libc.mallopt(M_MMAP_MAX, 0)) and bool(libc.mallopt(M_TRIM_THRESHOLD, -1))


def flush_denormals() -> bool:
    """Let numbers nearer to zero than 1e-38 count as zero in this thread and in those it starts; True if that is done.

    The momentum of weights without a gradient, of dead channels say, shrinks to such numbers and stays there, and CPUs
    compute with them slowly: after 240 steps of a ResNet-9 by Muon a step took 0.49 s instead of 0.12 (Intel, one
    thread). Call it before torch has started threads.
    """
    return torch.set_flush_denormal(True)


@contextmanager
def denormals_kept() -> Iterator[None]:
    """Treat numbers nearer to zero than 1e-38 after a block as before it, in this thread.

    Threads that torch started in the block keep what it set.
    """
    flushed = sys.float_info.min / 2 == 0
    try:
        yield
    finally:
        torch.set_flush_denormal(flushed)


def tune_process() -> None:
    """Prepare this process for training: `tune_malloc` and `flush_denormals`."""
    tune_malloc()
    flush_denormals()


@contextmanager
def inference(module: nn.Module) -> Iterator[None]:
    """Put a network into evaluation mode without gradients, and back into its mode at the end."""
    training = module.training
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        module.train(training)


def image(module: nn.Module, shape: tuple[int, int, int] | Task) -> torch.Tensor:
    """Return an image of zeros where the module is."""
    sizes = shape if isinstance(shape, tuple) else (shape.channels, shape.height, shape.width)
    parameter = next(module.parameters(), None)
    return torch.zeros(1, *sizes, device=None if parameter is None else parameter.device)
