"""A controller whose first proposals are given: known networks start, and it learns from them where it can."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from archwright.controllers.wrapping import Wrapping
from archwright.loop import Proposal, Trial

if TYPE_CHECKING:
    from archwright.space import Architecture


class Starting(Wrapping):
    """Proposes `starters`, in their order, and then what `controller` proposes.

    A controller that learns from the probabilities of its own proposals (REINFORCE, PPO) is not told of the starters,
    which it did not propose; it may remember them, so that it proposes what is near them. All others learn from every
    trial.
    """

    def __init__(self, controller: Any, starters: Sequence[Architecture]) -> None:
        super().__init__(controller)
        self._starters = tuple(starters)

    def ask(self, streams: Sequence[int]) -> list[Proposal]:
        given = [stream for stream in streams if stream < len(self._starters)]
        own = [stream for stream in streams if stream >= len(self._starters)]
        proposals = [Proposal(stream, self._starters[stream]) for stream in given]
        return proposals + (list(self._controller.ask(own)) if own else [])

    def tell(self, trials: Sequence[Trial]) -> bool:
        remembered = False
        if getattr(self._controller, "on_policy", False):
            given = [trial for trial in trials if trial.proposal.log_prob is None]
            remembered = bool(given) and self.remember(given)
            trials = [trial for trial in trials if trial.proposal.log_prob is not None]
        return (bool(trials) and bool(self._controller.tell(trials))) or remembered
