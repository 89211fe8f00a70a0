"""A controller whose first proposals are given: known networks start, and it learns from them where it can."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from archwright.controllers.wrapping import Wrapping
from archwright.loop import Proposal, Trial
from archwright.space import generator

if TYPE_CHECKING:
    from archwright.space import Architecture


class Starting(Wrapping):
    """Proposes `starters`, in their order, and then what `controller` proposes.

    With `near`, where the controller would propose uniformly until it has so many trials (`uniform`) and there are
    fewer starters, what comes between is a starter with two decisions changed: it costs about as much.
    A controller that learns from the probabilities of its own proposals (REINFORCE, PPO) is not told of the starters,
    which it did not propose; it may remember them, so that it proposes what is near them. All others learn from every
    trial.
    """

    def __init__(self, controller: Any, starters: Sequence[Architecture], *, near: bool = False) -> None:
        super().__init__(controller)
        self._starters = tuple(starters)
        self._uniform = getattr(controller, "uniform", 0) if near else 0

    def ask(self, streams: Sequence[int]) -> list[Proposal]:
        given = [stream for stream in streams if stream < len(self._starters)]
        own = [stream for stream in streams if stream >= len(self._starters)]
        proposals = [Proposal(stream, self._starters[stream]) for stream in given]
        between = [stream for stream in own if stream < self._uniform]
        proposals += [Proposal(stream, self._changed(stream)) for stream in between]
        later = own[len(between) :]
        return proposals + (list(self._controller.ask(later)) if later else [])

    def _changed(self, stream: int) -> Architecture:
        space, rng = self.space.grown(stream), generator((self._controller.seed, stream))
        return space.varied(space.varied(self._starters[stream % len(self._starters)], rng), rng)

    def tell(self, trials: Sequence[Trial]) -> bool:
        remembered = False
        if getattr(self._controller, "on_policy", False):
            given = [trial for trial in trials if trial.proposal.log_prob is None]
            remembered = bool(given) and self.remember(given)
            trials = [trial for trial in trials if trial.proposal.log_prob is not None]
        return (bool(trials) and bool(self._controller.tell(trials))) or remembered
