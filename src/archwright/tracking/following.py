"""Hands the events of a run to trackers, each in a thread of its own: one that is slow, hangs or fails costs the run
nothing but its record there.
"""

from __future__ import annotations

import math
import queue
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from itertools import islice
from typing import Any

from archwright.loop import Progress, Trial
from archwright.runs.events import Event, Message
from archwright.runs.plan import Plan
from archwright.store import RunStore
from archwright.stored import reading
from archwright.tracking.protocol import TrackedRun, Tracker, flat, trial_values

EVERY = 1.0  # seconds between two values of one phase's progress
PATIENCE, HURRY = 60.0, 10.0  # seconds for a single call at the end of a run, and after Ctrl-C
FACT = "tracked"  # in the store: what finds each tracked run again, and how many trials it has


class Following(AbstractContextManager["Following"]):
    """Follows a run with trackers by name: call it with each event, and `finished` at the end.

    A run that is resumed goes on in the same tracked runs, and trials that a kill kept from them are made up for.
    """

    def __init__(
        self, trackers: Mapping[str, Tracker], plan: Plan, store: RunStore, say: Callable[[Message], None]
    ) -> None:
        self._store, self._say = store, say
        self._shown: dict[str, float] = {}
        with reading(f"{store.folder}: what trackers have"):
            known = {str(name): (str(id), int(count)) for name, (id, count) in dict(store.get(FACT, {})).items()}
        self._recorded = known
        self._run = TrackedRun(store.folder.absolute().name, store.folder, flat(plan.to_json()))
        self._followers: dict[str, _Follower] = {}
        for name, tracker in trackers.items():
            id, count = known.get(name, (None, 0))
            self._followers[name] = _Follower(name, tracker, self._run, id, count, store)
        if (others := sorted(known.keys() - trackers.keys())) and store.get("result") is None:
            say(Message(f"tracked before by {', '.join(others)}: --track {','.join(others)} goes on there"))

    def __call__(self, event: Event) -> None:
        if isinstance(event, Trial):
            for follower in self._followers.values():
                follower.trial(event)
        elif isinstance(event, Progress) and event.metrics and self._due(event):
            # Shared training counts steps within an epoch, all else from the beginning of its phase.
            step = (int(event.metrics.get("epoch", 1)) - 1) * event.steps + event.step
            values = {f"{event.phase}/{name}": float(value) for name, value in event.metrics.items()}
            self._put(lambda tracker: tracker.metrics(values, step))
        self._look()

    def finished(self, result: Mapping[str, Any]) -> None:
        """Take the result of the run, its pictures, and its model."""
        numbers = {name: value for name, value in result.items() if isinstance(value, (int, float))}
        values = {f"result/{name}": float(value) for name, value in numbers.items() if math.isfinite(value)}
        self._put(lambda tracker: tracker.metrics(values, 0))
        self._put(lambda tracker: tracker.artefacts(self._run))

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        stopped = kind is not None and not issubclass(kind, Exception)
        state = "stopped" if stopped else "finished" if kind is None else "failed"
        self._put(lambda tracker: tracker.end(state))
        for follower in self._followers.values():
            follower.wait(HURRY if stopped else PATIENCE, lambda text: self._say(Message(text)))
        self._look()

    def _put(self, call: Callable[[Tracker], None]) -> None:
        for follower in self._followers.values():
            follower.put(call)

    def _due(self, event: Progress) -> bool:
        now, last = time.monotonic(), self._shown.get(event.phase, -math.inf)
        if now - last < EVERY and event.step < event.steps:
            return False
        self._shown[event.phase] = now
        return True

    def _look(self) -> None:
        """Say what has become of the trackers, and record what they have."""
        for follower in self._followers.values():
            while not follower.notes.empty():
                self._say(Message(follower.notes.get()))
        has = {name: (f.id, f.trials) for name, f in self._followers.items() if f.id is not None}
        if (now := {**self._recorded, **has}) != self._recorded:
            self._recorded = now
            self._store.put(FACT, now)


class _Follower:
    """One tracker and its thread. `id` finds its tracked run again, `trials` is how many that has."""

    def __init__(
        self, name: str, tracker: Tracker, run: TrackedRun, known: str | None, trials: int, store: RunStore
    ) -> None:
        self.name, self.id, self.trials = name, known, trials
        self.notes: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._tracker, self._run = tracker, run
        self._calls: queue.SimpleQueue[Callable[[Tracker], None]] = queue.SimpleQueue()
        self._asked = self._done = 0
        self._lost = False
        self.put(self._begin)
        for trial in islice(store.trials(), trials, None):
            self.trial(trial)
        threading.Thread(target=self._work, name=f"archwright-{name}", daemon=True).start()

    def put(self, call: Callable[[Tracker], None]) -> None:
        if not self._lost:
            self._asked += 1
            self._calls.put(call)

    def trial(self, trial: Trial) -> None:
        def call(tracker: Tracker) -> None:
            tracker.metrics(trial_values(trial), trial.number)
            tracker.trial(trial)
            self.trials += 1

        self.put(call)

    def wait(self, patience: float, say: Callable[[str], None]) -> None:
        """Wait until everything is done, or nothing has been for `patience` seconds."""
        done, since, waiting = self._done, time.monotonic(), False
        while self._done < self._asked and not self._lost:
            time.sleep(0.01)
            if self._done > done:
                done, since = self._done, time.monotonic()
            elif (seconds := time.monotonic() - since) > patience:
                self._lose(f"has not answered for {patience:.0f} s; what it has not taken by now is missing there")
            elif seconds > 2 and not waiting:
                waiting = True
                say(f"waiting for {self.name}")

    def _begin(self, tracker: Tracker) -> None:
        known, self.id = self.id, tracker.begin(self._run, self.id)
        other = known is not None and known != self.id
        lost = "the tracked run of before is not there, so a new one is begun in" if other else "tracked in"
        self.notes.put(f"{self.name}: {lost} {tracker.where}")

    def _lose(self, text: str) -> None:
        self._lost = True
        self.notes.put(f"warning: {self.name} {text}; the run itself goes on")

    def _work(self) -> None:
        while not self._lost:
            call = self._calls.get()
            try:
                call(self._tracker)
            except BaseException as error:  # whatever a tracker does, it is not the run's end
                self._lose(f"failed and gets nothing more: {type(error).__name__}: {' '.join(str(error).split())}")
            else:
                self._done += 1
