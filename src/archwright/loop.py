"""The one loop: a controller proposes architectures, an evaluator scores them, the score comes back as the reward.

`run` is a generator: it yields every finished trial, and progress between trials; the caller draws, logs and stops.
With a store, what is yielded has been recorded, and a run that was killed goes on where it was.
"""

from __future__ import annotations

import math
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias, runtime_checkable

from archwright.errors import ArchwrightError, ChildFailure, ConfigError, Diverged
from archwright.space import Architecture, Space

State: TypeAlias = "dict[str, Any]"  # nested dicts of tensors, arrays, numbers, strings, None and lists of those


@dataclass(frozen=True)
class Proposal:
    """An architecture that a controller wants scored. `stream` numbers the random stream it was drawn from."""

    stream: int
    architecture: Architecture
    log_prob: float | None = None  # under the policy that proposed it, where there is one


@dataclass(frozen=True)
class Result:
    """What an evaluator says of a proposal. A failed child has an `error` and the evaluator's `failure_reward`."""

    reward: float
    metrics: Mapping[str, float] = field(default_factory=dict)
    error: str | None = None


@dataclass(frozen=True)
class Trial:
    """A proposal with its result. `number` counts the trials of a run from 0 in the order they were proposed."""

    number: int
    proposal: Proposal
    result: Result
    seconds: float

    @property
    def architecture(self) -> Architecture:
        """What was tried."""
        return self.proposal.architecture

    @property
    def reward(self) -> float:
        """What it scored."""
        return self.result.reward


@dataclass(frozen=True)
class Progress:
    """News from inside a long step: `step` of `steps` in `phase`."""

    phase: str
    step: int
    steps: int
    metrics: Mapping[str, float] = field(default_factory=dict)


class Controller(Protocol):
    """Proposes architectures and learns from their rewards. Not shared between threads.

    `batch`: how many answers it wants before it changes. Its randomness depends on its seed and the stream numbers.
    """

    space: Space
    batch: int

    def ask(self, streams: Sequence[int]) -> list[Proposal]:
        """One proposal for each stream number; a pure function of the controller's state and the number.

        Fewer, or none, when nothing is left to propose: the run ends then.
        """

    def tell(self, trials: Sequence[Trial]) -> bool:
        """Take rewards in; True if `state_dict` changed. Trials told since the last change are told again on resume."""

    def state_dict(self) -> State:
        """Everything learned, as of the last change."""

    def load_state_dict(self, state: State) -> None:
        """Take back what `state_dict` gave."""


@runtime_checkable
class Describes(Protocol):
    """A controller that has figures to show (entropy, baseline)."""

    def metrics(self) -> Mapping[str, float]:
        """Named figures of the moment."""


Ask: TypeAlias = "Callable[[int], list[Proposal]]"


class Evaluator(Protocol):
    """Scores architectures. `evaluate` depends on the proposal and the evaluator's state only.

    `stateful`: proposals change or share something in memory (shared weights), so only an in-process engine will do.
    `trials_per_epoch`: how many trials go with one epoch, for budgets that count epochs.
    """

    stateful: bool
    failure_reward: float
    trials_per_epoch: float

    def prepare(self, ask: Ask, told: int) -> Iterator[Progress]:
        """Work due before the next proposals, `told` trials into the run (ENAS: an epoch of shared training).

        Yields where its state is consistent: what `state_dict` gives there is enough to go on from.
        """

    def evaluate(self, proposal: Proposal) -> Result:
        """Score one proposal."""

    def state_dict(self) -> State:
        """Everything that `prepare` changed."""

    def load_state_dict(self, state: State) -> None:
        """Take back what `state_dict` gave."""


class Engine(Protocol):
    """Runs evaluations: `concurrent.futures`' submit, and how many may be under way at once."""

    workers: int

    def submit(self, evaluator: Evaluator, proposal: Proposal) -> Future[Result]:
        """Begin an evaluation. A child that fails is an exception in its future."""

    def close(self) -> None:
        """End all workers; evaluations under way are dropped."""


class Inline:
    """Evaluates in this process, one at a time, at the moment of `submit`."""

    workers = 1

    def submit(self, evaluator: Evaluator, proposal: Proposal) -> Future[Result]:
        """Evaluate now; the returned future is done."""
        future: Future[Result] = Future()
        try:
            future.set_result(evaluator.evaluate(proposal))
        except Exception as error:  # a child's failure is the trial's; Ctrl-C is not
            _release(error)
            future.set_exception(error)
        return future

    def close(self) -> None:
        """Nothing to end."""


def _release(error: BaseException | None) -> None:
    """Let go of what the frames of a failed child hold: the next child needs the memory."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


@dataclass(frozen=True)
class Saved:
    """What a store holds of a run. `trials` are in the order told; `pending` were proposed and not answered."""

    trials: Sequence[Trial]
    pending: Sequence[tuple[int, Proposal]]
    streams: int  # the next unused stream number
    controller: State | None = None
    controller_trials: int = 0  # how many trials had been told when `controller` was saved
    evaluator: State | None = None


class Store(Protocol):
    """Where a run is recorded. Each call is durable when it returns."""

    def load(self) -> Saved:
        """What is recorded; for a new run, nothing."""

    def proposed(self, proposals: Sequence[tuple[int, Proposal]], streams: int) -> None:
        """Record numbered proposals and the next unused stream number."""

    def told(self, trials: Sequence[Trial], controller: State | None) -> None:
        """Record results, and the controller's state if they changed it, in one transaction."""

    def checkpoint(self, evaluator: State, streams: int) -> None:
        """Record the evaluator's state and the stream position that goes with it."""


@dataclass(frozen=True)
class Tally:
    """What a run has used so far."""

    trials: int
    epochs: float
    seconds: float


class Budget(Protocol):
    """When to stop: `spent` is the used share, 1 or more when used up."""

    def spent(self, tally: Tally) -> float:
        """The used share of the budget."""


@dataclass(frozen=True)
class Trials:
    """Stop after `count` trials."""

    count: int

    def __post_init__(self) -> None:
        _positive("Trials", self.count)

    def spent(self, tally: Tally) -> float:
        """Trials told over trials allowed."""
        return tally.trials / self.count


@dataclass(frozen=True)
class Epochs:
    """Stop after `count` epochs of training and the trials that go with them."""

    count: float

    def __post_init__(self) -> None:
        _positive("Epochs", self.count)

    def spent(self, tally: Tally) -> float:
        """Epochs trained over epochs allowed."""
        return tally.epochs / self.count


@dataclass(frozen=True)
class Minutes:
    """Stop when `minutes` have passed since the run began or was resumed."""

    minutes: float

    def __post_init__(self) -> None:
        _positive("Minutes", self.minutes)

    def spent(self, tally: Tally) -> float:
        """Time used over time allowed."""
        return tally.seconds / 60 / self.minutes


def _positive(what: str, value: float) -> None:
    if not value > 0:
        raise ConfigError(f"{what}({value!r}): a budget must be greater than zero")


CHECKPOINT_SECONDS = 60.0  # at most this much shared training is done again after a kill
# Between two looks at the time while children are under way; and Python may miss the Ctrl-C that comes at the moment
# when it begins to wait.
LOOK_SECONDS = 1.0


def run(
    controller: Controller,
    evaluator: Evaluator,
    *,
    budget: Budget,
    store: Store | None = None,
    engine: Engine | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Trial | Progress]:
    """Search until the budget is used up, yielding trials (recorded in `store`) and progress between them.

    With an engine of several workers, new proposals are asked for as soon as none is waiting, so nothing waits for the
    slowest child. Closing the generator leaves proposals under way pending: the next `run` on the store takes them up.
    So does a time that runs out; a counted budget ends with everything answered that was begun.
    """
    engine = engine if engine is not None else Inline()
    if evaluator.stateful and engine.workers > 1:
        raise ConfigError(
            f"{type(evaluator).__name__} keeps its state in one process, so it cannot be used with an engine of "
            f"{engine.workers} workers; use the in-process engine"
        )
    # One worker waits for the minibatch that it completes. Several never wait, so each would get the next minibatch as
    # the policy was before the last one was learned from: they are given few at a time.
    at_once = controller.batch if engine.workers == 1 else engine.workers
    began = clock()
    saved = store.load() if store is not None else Saved([], [], 0)
    told, streams = len(saved.trials), saved.streams
    restore(controller, saved)
    if saved.evaluator is not None:
        evaluator.load_state_dict(saved.evaluator)
    number = 1 + max((*(n for n, _ in saved.pending), *(trial.number for trial in saved.trials)), default=-1)
    waiting = list(saved.pending)
    under_way: dict[Future[Result], tuple[int, Proposal, float]] = {}

    def ask(n: int) -> list[Proposal]:
        nonlocal streams
        proposals = controller.ask(range(streams, streams + n))
        streams += n
        return proposals

    def spent(ahead: int = 0) -> float:
        """The used share of the budget, once `ahead` more trials have been told."""
        trials = told + ahead
        return budget.spent(Tally(trials, trials / evaluator.trials_per_epoch, clock() - began))

    def prepare() -> Iterator[Progress]:
        last, dirty = clock(), False
        for progress in evaluator.prepare(ask, told):
            dirty = True
            if store is not None and clock() - last >= CHECKPOINT_SECONDS:
                store.checkpoint(evaluator.state_dict(), streams)
                last = clock()
            yield progress
        if dirty and store is not None:
            store.checkpoint(evaluator.state_dict(), streams)

    while spent() < 1:
        # Nothing is begun that a counted budget has no room for: what is under way when it ends would be lost.
        if not waiting and len(under_way) < engine.workers and spent(len(under_way)) < 1:
            yield from prepare()
            if spent() >= 1:  # time may have run out meanwhile
                break
            waiting = list(enumerate(ask(at_once), start=number))
            number += len(waiting)
            if not waiting and not under_way:  # the controller has nothing left to propose
                break
            if store is not None:
                store.proposed(waiting, streams)
        while waiting and len(under_way) < engine.workers and spent(len(under_way)) < 1:
            index, proposal = waiting.pop(0)
            begun = clock()
            under_way[engine.submit(evaluator, proposal)] = (index, proposal, begun)
        done, _ = wait(under_way, timeout=LOOK_SECONDS, return_when=FIRST_COMPLETED)
        ended = sorted(done, key=lambda f: under_way[f][0])
        answered: list[Trial] = []  # and not recorded yet: what ends together is recorded together
        try:
            for future in ended:
                index, proposal, begun = under_way.pop(future)
                answered.append(Trial(index, proposal, _result(future, evaluator), clock() - begun))
                changed = controller.tell(answered[-1:])
                told += 1
                if changed or future is ended[-1]:
                    recorded, answered = answered, []
                    if store is not None:
                        store.told(recorded, controller.state_dict() if changed else None)
                    yield from recorded
        finally:  # an error that ends the run costs nothing that came before it
            if store is not None and answered:
                store.told(answered, None)


def restore(controller: Controller, saved: Saved) -> None:
    """Bring a new controller to where the stored one was: its last state, and the trials told after that."""
    if saved.controller is not None:
        controller.load_state_dict(saved.controller)
    if missed := saved.trials[saved.controller_trials :]:
        controller.tell(missed)


def _result(future: Future[Result], evaluator: Evaluator) -> Result:
    """The result of an evaluation, or a failed trial in its place."""
    error = future.exception()
    if error is None:
        result = future.result()
        if math.isfinite(result.reward):
            return result
        error = Diverged(f"the reward is {result.reward}")
    mendable = isinstance(error, ArchwrightError) and not isinstance(error, ChildFailure)
    if mendable or not isinstance(error, Exception):  # the next child would meet it again
        raise error
    return Result(evaluator.failure_reward, {}, f"{type(error).__name__}: {error}")
