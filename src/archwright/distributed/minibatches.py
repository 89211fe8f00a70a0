"""Which minibatch is whose: the bookkeeping of a search by replicas, without anything that communicates.

The trials of a search are numbered, and `children` of them, from a multiple of that number on, are a minibatch: one
replica samples, evaluates and learns from it, and its number is that of its push. So what is recorded of the trials
says of every minibatch whether it is to be begun, to be finished, or only to be learned from (again).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from archwright.controllers.parameter_server import Applied
from archwright.loop import Proposal, Saved, State, Trial


@dataclass(frozen=True)
class Order:
    """A minibatch for a replica. `count` trials of it are wanted, those that are told included.

    `pending` were proposed and not answered. Fewer trials than a minibatch has are not learned from.
    """

    number: int
    count: int
    told: tuple[Trial, ...] = ()
    pending: tuple[tuple[int, Proposal], ...] = ()


@dataclass(frozen=True)
class News:
    """What has happened to a minibatch: to be recorded, in this order. `over`: there will be no more."""

    proposed: tuple[tuple[int, Proposal], ...] = ()
    told: tuple[Trial, ...] = ()
    over: bool = False
    figures: Mapping[str, float] = field(default_factory=dict)  # of the controller, once it has learned


@dataclass
class _Minibatch:
    told: dict[int, Trial] = field(default_factory=dict)
    pending: dict[int, Proposal] = field(default_factory=dict)


class Minibatches:
    """All minibatches of a search. Give out orders with `take`, and say what became of them."""

    def __init__(self, children: int, saved: Saved, applied: Sequence[Applied]) -> None:
        self.children = children
        self._known: dict[int, _Minibatch] = {}
        for trial in saved.trials:
            self._of(trial.number).told[trial.number] = trial
        for number, proposal in saved.pending:
            self._of(number).pending[number] = proposal
        self._next = max(self._known, default=-1) + 1
        self._taken: dict[int, Order] = {}
        # Also those of which nothing was recorded though later ones were begun.
        self._open = [number for number in range(self._next) if len(self._told(number)) < children]
        self._again: list[int] = []
        self.forgotten(applied)

    def _of(self, number: int) -> _Minibatch:
        return self._known.setdefault(number // self.children, _Minibatch())

    @property
    def outstanding(self) -> int:
        """Trials that have been ordered and not told."""
        return sum(order.count - len(self._told(number)) for number, order in self._taken.items())

    def take(self, room: int) -> Order | None:
        """The next order, of at most `room` more trials: first what is only to be learned from, then what was begun."""
        if self._again:
            return self._ordered(Order(self._again.pop(0), self.children))
        if not room:
            return None
        if self._open:
            number = self._open.pop(0)
            return self._ordered(Order(number, min(self.children, len(self._told(number)) + room)))
        self._next += 1
        return self._ordered(Order(self._next - 1, min(self.children, room)))

    def _ordered(self, order: Order) -> Order:
        known = self._known.get(order.number, _Minibatch())
        told = tuple(known.told[number] for number in sorted(known.told))
        pending = tuple(sorted(known.pending.items()))
        order = replace(order, told=told, pending=pending)
        self._taken[order.number] = order
        return order

    def record(self, news: News) -> None:
        """Take in what a replica says."""
        for number, proposal in news.proposed:
            self._of(number).pending[number] = proposal
        for trial in news.told:
            minibatch = self._of(trial.number)
            minibatch.pending.pop(trial.number, None)
            minibatch.told[trial.number] = trial

    def done(self, order: Order) -> None:
        """Its replica is through with it."""
        del self._taken[order.number]

    def lost(self, order: Order) -> None:
        """Its replica died: somebody else goes on with what is recorded of it."""
        del self._taken[order.number]
        if len(self._told(order.number)) == self.children:
            self._again.append(order.number)  # it may have died before the push
        else:
            self._open.insert(0, order.number)

    def complete(self, applied: Sequence[Applied]) -> bool:
        """Whether all that the shards have learned from is recorded."""
        numbers = {n for each in applied for n in (*range(each.below), *each.beyond)}
        return all(len(self._told(number)) == self.children for number in numbers)

    def forgotten(self, applied: Sequence[Applied]) -> None:
        """Have learned again what is recorded and not in what some shard has learned from."""
        for number in sorted(self._known):
            whole = len(self._told(number)) == self.children
            busy = number in self._taken or number in self._again
            if whole and not busy and any(number not in each for each in applied):
                self._again.append(number)

    def _told(self, number: int) -> dict[int, Trial]:
        return self._known[number].told if number in self._known else {}


class Record:
    """The store of a replica's loop: what is recorded of one minibatch, and the news that is to be recorded.

    The loop counts a minibatch's trials from 0, the search from its first one's number, which is its stream's too.
    """

    def __init__(self, order: Order, children: int) -> None:
        self._order, self._first = order, order.number * children
        self._proposed: list[tuple[int, Proposal]] = []
        self._told: list[Trial] = []

    def load(self) -> Saved:
        """What there is of the minibatch."""
        told = [self._local(trial) for trial in self._order.told]
        pending = [(number - self._first, proposal) for number, proposal in self._order.pending]
        return Saved(told, pending, self._first + len(told) + len(pending))

    def proposed(self, proposals: Sequence[tuple[int, Proposal]], streams: int) -> None:
        """To be recorded."""
        self._proposed += [(self._first + number, proposal) for number, proposal in proposals]

    def told(self, trials: Sequence[Trial], controller: State | None) -> None:
        """To be recorded."""
        self._told += [replace(trial, number=self._first + trial.number) for trial in trials]

    def checkpoint(self, evaluator: State, streams: int) -> None:
        """Evaluators here have no state."""

    def take(self, over: bool, figures: Mapping[str, float]) -> News:
        """What is new since the last time."""
        news = News(tuple(self._proposed), tuple(self._told), over, figures)
        self._proposed, self._told = [], []
        return news

    def _local(self, trial: Trial) -> Trial:
        return replace(trial, number=trial.number - self._first)
