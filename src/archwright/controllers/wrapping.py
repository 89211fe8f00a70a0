"""What controllers that wrap another one have in common: its space, its batch, its figures and its state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from archwright.loop import Describes, State, Trial

if TYPE_CHECKING:
    from archwright.space import Space


class Wrapping:
    """Passes everything but `ask` and `tell` on to `controller`."""

    def __init__(self, controller: Any) -> None:
        self._controller = controller
        self.space: Space = controller.space
        self.batch: int = controller.batch

    def remember(self, trials: Sequence[Trial]) -> bool:
        """Take in trials that a policy did not propose, if it can; return whether anything changed."""
        return bool(self._controller.remember(trials)) if hasattr(self._controller, "remember") else False

    def metrics(self) -> Mapping[str, float]:
        return self._controller.metrics() if isinstance(self._controller, Describes) else {}

    def state_dict(self) -> State:
        state: State = self._controller.state_dict()
        return state

    def load_state_dict(self, state: State) -> None:
        self._controller.load_state_dict(state)
