"""The clock that the schedules of by_hand.py follow."""

from __future__ import annotations

import time
from collections.abc import Callable


class Clock:
    """The share of the time from now to `end`, a moment of the clock `now`, that has passed; 1 where there is none."""

    def __init__(self, end: float, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._start, self._end = now(), end

    def progress(self) -> float:
        return min(1.0, (self._now() - self._start) / max(self._end - self._start, 1e-9))
