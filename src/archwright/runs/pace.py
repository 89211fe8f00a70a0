"""Keeps a training to its time on a machine that changes: its steps, and the threads that take them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

from archwright.training import threads as in_use

if TYPE_CHECKING:
    from archwright.training.fit import Fit

OFTEN = 2.0  # seconds between two looks at the clock
TOLERATED = 0.03  # of the time left: a training that ends so much earlier or later stays as it is
CHANGED = 1.25  # a step that takes so many times more or less than it did is a reason to try other threads
PROBED = 4  # steps with other threads
AGAIN = 0.05  # of the time, between two tries


class Pace:
    """Looks at the clock after every step of `fit`; `left` gives the seconds until it should end.

    Where the steps that are left, and the looks at the validation part between them, would end earlier or later, their
    number is changed: the schedule goes on from where it is and reaches its end (`Fit.replan`). `look` are the seconds
    of a look before the first is measured.

    Two threads that share a core with another process wait for each other, so a step may take several times as long:
    then one thread is tried, and the better number is kept until the next try. Where the plan has one thread, all are
    tried when steps become faster or slower.
    """

    def __init__(self, fit: Fit, left: Callable[[], float], *, threads: int, look: float = 0.0) -> None:
        self._fit, self._left, self._look = fit, left, look
        self._counts = tuple(dict.fromkeys((threads or in_use.available(), 1 if threads > 1 else in_use.available())))
        self._best: dict[int, float] = {}  # seconds of a step with so many threads, when last measured
        self._settled: float | None = None  # seconds of a step when the threads were last chosen
        self._tried = time.monotonic()
        self._whole = max(1.0, left())
        self._probe: tuple[int, int] | None = None  # the threads to go back to, and the step at which this ends
        self.step_seconds: float | None = None  # when last measured
        self._looked = fit.looking
        self._begin()

    def _begin(self) -> None:
        self._since, self._from, self._without = time.monotonic(), self._fit.step, self._fit.looking

    def stepped(self) -> None:
        """Look at the clock, if it is time to and the training is not over."""
        if (looked := self._fit.looking - self._looked) > 0:
            self._look, self._looked = looked, self._fit.looking
        if self._fit.step >= self._fit.steps:
            return
        done, now = self._fit.step - self._from, time.monotonic()
        training = now - self._since - (self._fit.looking - self._without)
        if self._probe is not None:
            if self._fit.step >= self._probe[1]:
                self._compare(training / max(1, done), self._probe[0])
            return
        if training < OFTEN or done < PROBED:
            return
        self.step_seconds = step = training / done
        self._settled = self._settled or step
        self._replan(step)
        changed = not 1 / CHANGED <= step / self._settled <= CHANGED or torch.get_num_threads() != self._counts[0]
        if len(self._counts) > 1 and changed and now - self._tried > AGAIN * self._whole:
            self._try(step)
        self._begin()

    def _replan(self, step: float) -> None:
        """Change the steps that are left to as many as fit, with the looks between them; one at least."""
        left, done = self._left(), self._fit.step
        fits, most = 1, max(2, int(left / step) + 1)
        while most - fits > 1:  # a bisection: the looks are a function of the steps
            middle = (fits + most) // 2
            if middle * step + self._fit.looks(done + middle) * self._look <= left:
                fits = middle
            else:
                most = middle
        if self._fit.shortened:  # because more of it would be worse
            fits = min(fits, self._fit.steps - done)
        if abs(self._fit.steps - done - fits) > TOLERATED * fits:
            self._fit.replan(done + fits)

    def _try(self, step: float) -> None:
        now = torch.get_num_threads()
        other = next(count for count in self._counts if count != now)
        self._best[now] = step
        in_use.use(other)
        self._probe = now, self._fit.step + PROBED

    def _compare(self, step: float, before: int) -> None:
        if step > self._best[before]:
            in_use.use(before)
        self._settled = min(step, self._best[before])
        self._probe, self._tried = None, time.monotonic()
        self._begin()

    def end(self) -> None:
        """Go back to the threads that were better, if others are being tried at the end of the training."""
        if self._probe is not None:
            in_use.use(self._probe[0])
