"""A controller whose first proposals are given: known networks start, and it learns from them where it can."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from archwright.loop import Describes, Proposal, State, Trial

if TYPE_CHECKING:
    from archwright.space import Architecture, Space


class Starting:
    """Proposes `starters`, in their order, and then what `controller` proposes.

    A controller that learns from the probabilities of its own proposals (REINFORCE, PPO) is not told of the starters:
    it did not propose them. All others learn from every trial.
    """

    def __init__(self, controller: Any, starters: Sequence[Architecture]) -> None:
        self._controller, self._starters = controller, tuple(starters)
        self.space: Space = controller.space
        self.batch: int = controller.batch

    def ask(self, streams: Sequence[int]) -> list[Proposal]:
        given = [stream for stream in streams if stream < len(self._starters)]
        own = [stream for stream in streams if stream >= len(self._starters)]
        proposals = [Proposal(stream, self._starters[stream]) for stream in given]
        return proposals + (list(self._controller.ask(own)) if own else [])

    def tell(self, trials: Sequence[Trial]) -> bool:
        if getattr(self._controller, "on_policy", False):
            trials = [trial for trial in trials if trial.proposal.log_prob is not None]
        return bool(trials) and bool(self._controller.tell(trials))

    def metrics(self) -> Mapping[str, float]:
        return self._controller.metrics() if isinstance(self._controller, Describes) else {}

    def state_dict(self) -> State:
        state: State = self._controller.state_dict()
        return state

    def load_state_dict(self, state: State) -> None:
        self._controller.load_state_dict(state)
