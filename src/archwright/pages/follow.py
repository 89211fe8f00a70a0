"""The events of a run that another process is at, from its folder."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from archwright.files import holder
from archwright.loop import Progress
from archwright.pages.record import Status, status_of
from archwright.runs.events import Event, Message, Stage
from archwright.runs.plan import upgraded, wanted_phases
from archwright.store import RunStore
from archwright.stored import reading


def follow(folder: Path, *, every: float = 1.0) -> Iterator[Event | Status]:
    """Yield the events of a run until nobody is at it any more, then how it is.

    Of the trials before the first look only the best and the last are yielded. Raises RunError if there is no run.
    """
    looking, begun = _Look(), False
    while True:
        with RunStore.reading(folder) as store, reading(folder):
            held = holder(folder)  # before what is read: what it has written by its end is then read
            plan = upgraded(stored) if (stored := store.get("plan")) else {}
            begun |= held is not None
            if begun and plan:  # of a run that had ended before the first look only how it is
                yield from looking.news(store, plan)
            if held is None:
                yield status_of(store, plan, store.get("result"), store.get("failure"), None)
                return
        time.sleep(every)


class _Look:
    """What was seen of a run so far."""

    def __init__(self) -> None:
        self._told, self._warned, self._stage = 0, 0, ""
        self._noted: Any = None

    def news(self, store: RunStore, plan: Mapping[str, Any]) -> Iterator[Event]:
        """Yield what has happened since the last call."""
        waiting = [phase for phase in wanted_phases(plan["final"]) if not store.get(f"done/{phase}")]
        if waiting and waiting[0] != self._stage:
            self._stage = waiting[0]
            estimate = store.get("estimate") or plan["budget"].get("estimate", {})
            yield Stage(waiting[0], estimate.get(waiting[0], 0.0), sum(estimate.get(phase, 0.0) for phase in waiting))
        warnings = store.get("warnings", [])
        yield from (Message(f"warning: {words}") for words in warnings[self._warned :])
        self._warned = len(warnings)
        if not self._told and store.told_count > 1:
            reached = [outcome.reward if outcome.error is None else float("-inf") for outcome in store.outcomes()]
            best = max(range(len(reached)), key=reached.__getitem__)
            yield from store.trials(best, best + 1)
            self._told = len(reached) - 1
        for trial in store.trials(self._told):
            self._told += 1
            yield trial
        noted = store.get("progress")
        if noted and noted != self._noted:
            self._noted = noted
            yield Progress(str(noted["phase"]), int(noted["step"]), int(noted["steps"]), dict(noted["metrics"]))
