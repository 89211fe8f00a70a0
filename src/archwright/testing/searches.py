"""A search in which every part has a state that depends on the order of things, and a store that ends in its middle."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

import numpy as np

from archwright.loop import Ask, Progress, Proposal, Result, State, Store, Trial, Trials, run
from archwright.states import pack
from archwright.testing.small_spaces import Ragged

Summary: TypeAlias = "tuple[int, str, float, str | None]"
TRIALS = 26  # not a multiple of the batch: a run may end with proposals that are pending and rewards not learned from


class Phased:
    """An evaluator that changes its state in three steps before every batch; some children fail, some are NaN."""

    stateful = True
    failure_reward = -1.0
    trials_per_epoch = 4.0

    def __init__(self) -> None:
        self.shared = np.zeros(3)
        self.reported, self.step = -1, 3  # prepared for so many reported trials, up to `step`

    def prepare(self, ask: Ask, told: int) -> Iterator[Progress]:
        if self.reported != told:
            self.reported, self.step = told, 0
        while self.step < 3:
            (proposal,) = ask(1)
            self.shared[self.step] += number_of(proposal.architecture.id) / 1000
            self.step += 1
            yield Progress("shared", self.step, 3)

    def evaluate(self, proposal: Proposal) -> Result:
        number = number_of(proposal.architecture.id)
        if number % 5 == 0:
            raise ValueError(f"{number} cannot be scored")
        if number % 7 == 0:
            return Result(math.nan)
        return Result(number % 11 / 11 + float(self.shared.sum()) % 1, {"number": number})

    def state_dict(self) -> State:
        return {"shared": self.shared.copy(), "reported": self.reported, "step": self.step}

    def load_state_dict(self, state: State) -> None:
        self.shared, self.reported, self.step = state["shared"].copy(), state["reported"], state["step"]


def number_of(answer: object) -> int:
    """Return a number that depends on every character."""
    return sum(str(answer).encode())


def searched(store: Store | None, seconds: float = 0.0) -> tuple[list[Summary], bytes, bytes]:
    """Return the search's trials in short, and the final states of controller and evaluator as bytes.

    Its clock moves on by `seconds` at each look: with 60, a checkpoint follows every step.
    """
    from archwright.controllers.reinforce import Reinforce

    controller, evaluator, looks = Reinforce(Ragged(), seed=3, batch=4, units=4), Phased(), itertools.count()
    events = run(controller, evaluator, budget=Trials(TRIALS), store=store, clock=lambda: next(looks) * seconds)
    reported = summary(event for event in events if isinstance(event, Trial))
    return reported, pack(controller.state_dict()), pack(evaluator.state_dict())


def summary(trials: Iterable[Trial]) -> list[Summary]:
    """Return number, architecture, reward and error of each trial."""
    return [(trial.number, trial.architecture.id, trial.reward, trial.result.error) for trial in trials]


class Interrupted(Exception):
    """The end of a process, in the tests of what it leaves."""


class Mortal:
    """A store whose process ends after `records` more records."""

    def __init__(self, store: Store, records: int) -> None:
        self.store, self.left = store, records

    def __getattr__(self, name: str) -> Any:
        def record(*values: object) -> None:
            getattr(self.store, name)(*values)
            self.left -= 1
            if self.left == 0:
                raise Interrupted

        return self.store.load if name == "load" else record
