"""Latency, measured in turns with a fixed reference network, so that noise and throttling cancel."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import nn

from archwright.costs.target import Target

BLOCK = 0.002  # seconds of a block of passes, at least: the clock and its call take microseconds
LEAST_ROUNDS, MOST_ROUNDS = 15, 200
CALIBRATION = 0.6  # seconds
UNDISTURBED = 0.1  # quantile of the reference's blocks: noise only ever adds time
Z = 1.96  # of a 95 % interval


@dataclass(frozen=True)
class Latency:
    """The time of one evaluation of a batch on a target.

    `milliseconds` is the median, over `rounds`, of the ratio to the reference network's passes before and after, times
    what the reference takes undisturbed (`reference`, milliseconds). `interval` is 95 %, of that median.
    """

    milliseconds: float
    interval: tuple[float, float]
    rounds: int
    reference: float
    target: Target

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return {**asdict(self), "interval": list(self.interval)}

    def words(self) -> str:
        """Return the latency as a person reads it."""
        low, high = self.interval
        return f"{self.milliseconds:.3g} ms [{low:.3g}, {high:.3g}], {self.target.words()}"


def latency(run: Callable[[], object], target: Target, *, seconds: float = 0.5) -> Latency:
    """Measure one pass of `run`: `seconds` of blocks of passes, in turns with blocks of the reference network.

    `run` evaluates a batch of `target.batch` with `target.threads` threads; what it returns is thrown away. On one
    thread its CPU time counts, so that other programs' turns on the processor do not.
    """
    clock = _clock(target.threads)
    with _computing(target.threads):
        reference = _Reference.of(target.threads)
        reference.calibrate()
        run()
        calls = _calls(run, clock)
        before, begun = reference.block(), time.perf_counter()
        ratios: list[float] = []
        while len(ratios) < MOST_ROUNDS and (len(ratios) < LEAST_ROUNDS or time.perf_counter() - begun < seconds):
            own = _block(run, calls, clock)
            after = reference.block()
            ratios.append(own / (0.5 * (before + after)))
            before = after
    unit = 1000 * reference.undisturbed
    low, high = median_interval(sorted(ratios))
    return Latency(unit * statistics.median(ratios), (unit * low, unit * high), len(ratios), unit, target)


def network_of_reference() -> nn.Module:
    """Build the fixed network that latencies are measured beside: three convolutions of a 32x32 image, 14.6M."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = [nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 32, 3, padding=1), nn.ReLU()]
        return nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), *layers).eval()


class _Reference:
    """The reference network with so many threads, and the seconds of one pass when nothing disturbs it."""

    def __init__(self, threads: int) -> None:
        self._network, self._clock = network_of_reference(), _clock(threads)
        self._image = torch.zeros(1, 3, 32, 32)
        self._calls, self.undisturbed = 1, math.nan

    @staticmethod
    @lru_cache(maxsize=8)
    def of(threads: int) -> _Reference:
        """Return the one of this process: latencies measured at different times have one unit."""
        return _Reference(threads)

    def calibrate(self) -> None:
        """Measure what a pass takes undisturbed, once."""
        if math.isnan(self.undisturbed):
            self._run()
            self._calls = _calls(self._run, self._clock)
            begun, blocks = time.perf_counter(), [self.block() for _ in range(LEAST_ROUNDS)]
            while time.perf_counter() - begun < CALIBRATION:
                blocks.append(self.block())
            self.undisturbed = sorted(blocks)[int(UNDISTURBED * len(blocks))]

    def block(self) -> float:
        return _block(self._run, self._calls, self._clock)

    def _run(self) -> None:
        self._network(self._image)


def _clock(threads: int) -> Callable[[], float]:
    return time.thread_time if threads == 1 else time.perf_counter


def _block(run: Callable[[], object], calls: int, clock: Callable[[], float]) -> float:
    """Return the mean seconds of a pass over a block of them."""
    begun = clock()
    for _ in range(calls):
        run()
    return (clock() - begun) / calls


def _calls(run: Callable[[], object], clock: Callable[[], float]) -> int:
    return max(1, math.ceil(BLOCK / max(1e-7, min(_block(run, 1, clock) for _ in range(3)))))


def median_interval(values: list[float]) -> tuple[float, float]:
    """Return the 95 % interval of the median of sorted values: two of them, by the binomial distribution."""
    n = len(values)
    half = Z * math.sqrt(n) / 2
    return values[max(0, math.floor(n / 2 - half))], values[min(n - 1, math.ceil(n / 2 + half))]


@contextmanager
def _computing(threads: int) -> Iterator[None]:
    """Compute with so many threads and without gradients."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.inference_mode():
            yield
    finally:
        torch.set_num_threads(before)
