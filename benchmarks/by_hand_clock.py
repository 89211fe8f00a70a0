"""The clock that the schedules of by_hand.py follow."""

from __future__ import annotations

import time


class Clock:
    """The share of the time from now to `end`, a moment of `time.monotonic`, that has passed; 1 where there is none."""

    def __init__(self, end: float) -> None:
        self._start, self._end = time.monotonic(), end

    def progress(self) -> float:
        return min(1.0, (time.monotonic() - self._start) / max(self._end - self._start, 1e-9))
