"""Keeps a training to its time on a machine that changes: its steps, and the threads that take them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from archwright.training.fit import Fit

OFTEN = 2.0  # seconds between two looks at the clock
TOLERATED = 0.03  # of the time left: a training that ends so much earlier or later stays as it is
SLOWER = 1.25  # a step that takes so many times what it took is a reason to try other threads
PROBED = 4  # steps with other threads
AGAIN = 0.05  # of the time, between two tries while the machine is slow


class Pace:
    """Looks at the clock after every step of `fit`; `left` gives the seconds until it should end.

    Where the steps that are left would end earlier or later, their number is changed: the schedule goes on from where
    it is and reaches its end (`Fit.replan`). Two threads that share a core with another process wait for each other,
    so a step may take several times as long: then one thread is tried, and the better number is kept, until the next
    try.
    """

    def __init__(self, fit: Fit, left: Callable[[], float], *, threads: int) -> None:
        self._fit, self._left = fit, left
        self._counts = (threads, 1) if threads > 1 else (torch.get_num_threads(),)
        self._best: dict[int, float] = {}  # seconds of a step with so many threads, when last measured
        self._fastest = float("inf")
        self._tried = time.monotonic()
        self._whole = max(1.0, left())
        self._probe: tuple[int, int] | None = None  # the threads to go back to, and the step at which this ends
        self._begin()

    def _begin(self) -> None:
        self._since, self._from = time.monotonic(), self._fit.step

    def stepped(self) -> None:
        """Look at the clock, if it is time to and the training is not over."""
        if self._fit.step >= self._fit.steps:
            return
        done, now = self._fit.step - self._from, time.monotonic()
        if self._probe is not None:
            if self._fit.step >= self._probe[1]:
                self._compare((now - self._since) / max(1, done), self._probe[0])
            return
        if now - self._since < OFTEN or done < PROBED:
            return
        step = (now - self._since) / done
        self._fastest = min(self._fastest, step)
        self._replan(step)
        slow = step > SLOWER * self._fastest or torch.get_num_threads() != self._counts[0]
        if len(self._counts) > 1 and slow and now - self._tried > AGAIN * self._whole:
            self._try(step)
        self._begin()

    def _replan(self, step: float) -> None:
        left = max(step, self._left())
        steps = max(1, int(left / step))
        if self._fit.shortened:  # because more of it would be worse
            steps = min(steps, self._fit.steps - self._fit.step)
        if abs(self._fit.steps - self._fit.step - steps) > TOLERATED * steps:
            self._fit.replan(self._fit.step + steps)

    def _try(self, step: float) -> None:
        now = torch.get_num_threads()
        other = next(count for count in self._counts if count != now)
        self._best[now] = step
        torch.set_num_threads(other)
        self._probe = now, self._fit.step + PROBED

    def _compare(self, step: float, before: int) -> None:
        if step > self._best[before]:
            torch.set_num_threads(before)
        self._probe, self._tried = None, time.monotonic()
        self._begin()

    def end(self) -> None:
        """Go back to the threads that were better, if others are being tried at the end of the training."""
        if self._probe is not None:
            torch.set_num_threads(self._probe[0])
