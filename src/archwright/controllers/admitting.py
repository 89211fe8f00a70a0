"""A controller whose proposals are all within limits that can be checked without training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from archwright.controllers.wrapping import Wrapping
from archwright.loop import Proposal, Trial
from archwright.space import adapt

if TYPE_CHECKING:
    from archwright.space import Architecture

TRIES = 200  # for one proposal; then it is left to the evaluator, which fails it
APART = 1_000_003  # streams between two tries; odd, so that the next picks of a controller with several are taken


class Admitting(Wrapping):
    """Proposes what `controller` proposes, and asks another stream of it in the place of what `admits` refuses."""

    def __init__(self, controller: Any, admits: Callable[[Architecture], bool]) -> None:
        super().__init__(controller)
        self._admits = admits
        self.on_policy: bool = getattr(controller, "on_policy", False)

    def ask(self, streams: Sequence[int]) -> list[Proposal]:
        return [self._admitted(proposal) for proposal in self._controller.ask(streams)]

    def _admitted(self, proposal: Proposal) -> Proposal:
        first = proposal
        for number in range(1, TRIES):
            if self._admits(proposal.architecture):
                return proposal
            stream = first.stream + number * APART
            if not (again := self._controller.ask([stream])):
                break
            architecture = adapt(self.space.grown(first.stream), again[0].architecture, stream)  # it may have grown
            proposal = replace(again[0], stream=first.stream, architecture=architecture)
        return proposal

    def tell(self, trials: Sequence[Trial]) -> bool:
        return bool(self._controller.tell(trials))
