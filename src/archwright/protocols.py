"""What the loop passes around (proposals, results, trials), and the protocols of those that it works with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias, runtime_checkable

from archwright.space import Architecture, Space

State: TypeAlias = "dict[str, Any]"  # nested dicts of tensors, arrays, numbers, strings, None and lists of those


@dataclass(frozen=True)
class Proposal:
    """An architecture that a controller wants scored. `stream` numbers the random stream it was drawn from.

    `soft` is for gradient search: the weights of each decision's options, by the decision's name; never stored.
    """

    stream: int
    architecture: Architecture
    log_prob: float | None = None  # under the policy that proposed it, where there is one
    soft: Mapping[str, Any] | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class Result:
    """An evaluator's answer to a proposal. A failed child has an `error` and the evaluator's `failure_reward`.

    `gradient` is that of the loss with respect to the proposal's soft weights; never stored.
    """

    reward: float
    metrics: Mapping[str, float] = field(default_factory=dict)
    error: str | None = None
    gradient: Mapping[str, Any] | None = field(default=None, compare=False, repr=False)

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        import archwright

        return archwright.as_html(self)


@dataclass(frozen=True)
class Trial:
    """A proposal with its result. `number` counts the trials of a run from 0 in the order they were proposed.

    `figures` are the controller's (entropy, baseline) and those of the last `Progress` (loss, learning rate).
    """

    number: int
    proposal: Proposal
    result: Result
    seconds: float
    figures: Mapping[str, float] = field(default_factory=dict)

    @property
    def architecture(self) -> Architecture:
        return self.proposal.architecture

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        import archwright

        return archwright.as_html(self)

    @property
    def reward(self) -> float:
        return self.result.reward


@dataclass(frozen=True)
class Progress:
    """An event inside a long step: `step` of `steps` in `phase`."""

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
        """Return a proposal for each stream number: a pure function of the controller's state and the number. Fewer, or
        none, when nothing is left to propose: the run ends then."""

    def tell(self, trials: Sequence[Trial]) -> bool:
        """Learn from reported trials; True if `state_dict` changed. Those since the last change are reported again on
        resume, without gradients: a controller that learns from gradients changes each time."""

    def state_dict(self) -> State:
        """Return everything learned, as of the last change."""

    def load_state_dict(self, state: State) -> None:
        """Restore what `state_dict` returned."""


@runtime_checkable
class Describes(Protocol):
    """A controller that has figures to show (entropy, baseline)."""

    def metrics(self) -> Mapping[str, float]: ...


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
        """Do the work due before the next proposals, after `told` reported trials (ENAS: an epoch of shared training).

        Yields where `state_dict` is enough to go on from. The same state and the same answers to `ask` lead to the same
        state: after a kill the work is done again from the last checkpoint.
        """

    def evaluate(self, proposal: Proposal) -> Result:
        """Score one proposal; leave what `state_dict` gives as it is."""

    def state_dict(self) -> State:
        """Return everything that `prepare` changed."""

    def load_state_dict(self, state: State) -> None:
        """Restore what `state_dict` returned."""


class Stateless:
    """The part of an evaluator that prepares nothing and keeps nothing from one trial to the next."""

    stateful = False
    failure_reward = 0.0
    trials_per_epoch = 1.0

    def prepare(self, ask: Ask, told: int) -> Iterator[Progress]:
        return iter(())

    def state_dict(self) -> State:
        return {}

    def load_state_dict(self, state: State) -> None:
        pass


class Engine(Protocol):
    """Runs evaluations: `concurrent.futures`' submit, and how many may be under way at once."""

    workers: int

    def submit(self, evaluator: Evaluator, proposal: Proposal) -> Future[Result]:
        """Begin an evaluation. A child that fails is an exception in its future."""

    def close(self) -> None:
        """End all workers; evaluations under way are dropped."""


@dataclass(frozen=True)
class Saved:
    """What a store holds of a run. `trials` are in the order reported; `pending` were proposed and not answered.

    `checkpoint` is the run as it was when `evaluator` was saved; None if it was never saved. The proposals pending
    there may have been answered since. `figures` are those of the last `Progress` before it.
    """

    trials: Sequence[Trial]
    pending: Sequence[tuple[int, Proposal]]
    streams: int  # the next unused stream number
    controller: State | None = None
    controller_trials: int = 0  # trials reported when `controller` was saved
    evaluator: State | None = None
    checkpoint: Saved | None = None
    figures: Mapping[str, float] = field(default_factory=dict)


class Store(Protocol):
    """Where a run is recorded. Each call is durable when it returns."""

    def load(self) -> Saved:
        """Return what is recorded; for a new run, nothing."""

    def proposed(self, proposals: Sequence[tuple[int, Proposal]], streams: int) -> None:
        """Record numbered proposals and the next unused stream number."""

    def told(self, trials: Sequence[Trial], controller: State | None) -> None:
        """Record reported trials, and the controller's state if they changed it, in one transaction."""

    def checkpoint(self, evaluator: State, streams: int, figures: Mapping[str, float]) -> None:
        """Record the evaluator's state, the figures so far, and the run as it is, for `Saved.checkpoint`."""
