"""The bookkeeping of a search by replicas: which replica has which minibatch. Nothing here communicates.

The trials of a search are numbered, and `children` of them, from a multiple of that number on, are a minibatch: one
replica samples, evaluates and learns from it, and its number is that of its push. So the recorded trials tell for every
minibatch whether to begin it, to finish it, or only to learn from it (again).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from archwright.controllers.parameter_server import Applied
from archwright.loop import Proposal, Saved, State, Trial


@dataclass(frozen=True)
class Order:
    """A minibatch for a replica: `count` trials of it are wanted, including the reported ones.

    `pending` were proposed and not answered. A minibatch with fewer trials than a whole one is not learned from.
    """

    number: int
    count: int
    reported: tuple[Trial, ...] = ()
    pending: tuple[tuple[int, Proposal], ...] = ()


@dataclass(frozen=True)
class Events:
    """Events of a minibatch, to be recorded in this order. `over`: there will be no more."""

    proposed: tuple[tuple[int, Proposal], ...] = ()
    reported: tuple[Trial, ...] = ()
    over: bool = False
    figures: Mapping[str, float] = field(default_factory=dict)  # of the controller, once it has learned


class Minibatches:
    """All minibatches of a search. `take` an order, then report it as `done` or `lost`."""

    def __init__(self, children: int, saved: Saved, applied: Sequence[Applied]) -> None:
        self.children = children
        self._reported: dict[int, dict[int, Trial]] = defaultdict(dict)  # by minibatch and number, like the next
        self._pending: dict[int, dict[int, Proposal]] = defaultdict(dict)
        self.record(Events(tuple(saved.pending), tuple(saved.trials)))
        self._next = max((*self._reported, *self._pending), default=-1) + 1
        self._taken: dict[int, Order] = {}
        # Includes those without a record though later ones were begun.
        self._open = [number for number in range(self._next) if not self._complete(number)]
        self._again: list[int] = []
        self.replay(applied)

    def _complete(self, number: int) -> bool:
        return len(self._reported[number]) == self.children

    @property
    def outstanding(self) -> int:
        """Trials that are ordered and not yet reported."""
        return sum(order.count - len(self._reported[number]) for number, order in self._taken.items())

    def take(self, room: int) -> Order | None:
        """Return the next order, of at most `room` more trials: first minibatches to replay, then begun, then new."""
        if not room and not self._again:
            return None
        number = self._again.pop(0) if self._again else self._open.pop(0) if self._open else self._next
        self._next = max(self._next, number + 1)
        trials = tuple(trial for _, trial in sorted(self._reported[number].items()))
        count = min(self.children, len(trials) + room)
        self._taken[number] = Order(number, count, trials, tuple(sorted(self._pending[number].items())))
        return self._taken[number]

    def record(self, events: Events) -> None:
        for number, proposal in events.proposed:
            self._pending[number // self.children][number] = proposal
        for trial in events.reported:
            minibatch = trial.number // self.children
            self._pending[minibatch].pop(trial.number, None)
            self._reported[minibatch][trial.number] = trial

    def done(self, order: Order) -> None:
        del self._taken[order.number]

    def lost(self, order: Order) -> None:
        """Reopen an order whose replica died: another one goes on from its record."""
        del self._taken[order.number]
        if self._complete(order.number):
            self._again.append(order.number)  # it may have died before the push
        else:
            self._open.insert(0, order.number)

    def recorded(self, applied: Sequence[Applied]) -> bool:
        """Return whether all minibatches that the shards have applied are recorded."""
        return all(self._complete(n) for each in applied for n in (*range(each.below), *each.beyond))

    def replay(self, applied: Sequence[Applied]) -> None:
        """Schedule the recorded minibatches that some shard has not applied."""
        for number in sorted(self._reported):
            busy = number in self._taken or number in self._again
            if self._complete(number) and not busy and any(number not in each for each in applied):
                self._again.append(number)


class Record:
    """The store of a replica's loop: the record of one minibatch, and the events to add to it.

    The loop counts a minibatch's trials from 0, the search from its first one's number, which is also its stream's.
    """

    def __init__(self, order: Order, children: int) -> None:
        self._order, self._first = order, order.number * children
        self._proposed: list[tuple[int, Proposal]] = []
        self._reported: list[Trial] = []

    def load(self) -> Saved:
        trials = [replace(trial, number=trial.number - self._first) for trial in self._order.reported]
        pending = [(number - self._first, proposal) for number, proposal in self._order.pending]
        return Saved(trials, pending, self._first + len(trials) + len(pending))

    def proposed(self, proposals: Sequence[tuple[int, Proposal]], streams: int) -> None:
        self._proposed += [(self._first + number, proposal) for number, proposal in proposals]

    def told(self, trials: Sequence[Trial], controller: State | None) -> None:
        self._reported += [replace(trial, number=self._first + trial.number) for trial in trials]

    def checkpoint(self, evaluator: State, streams: int, figures: Mapping[str, float]) -> None:
        pass  # evaluators here have no state

    def take(self, over: bool, figures: Mapping[str, float]) -> Events:
        """Return the events since the last call."""
        events = Events(tuple(self._proposed), tuple(self._reported), over, figures)
        self._proposed, self._reported = [], []
        return events
