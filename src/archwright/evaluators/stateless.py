"""What evaluators have in common that score each architecture by itself."""

from __future__ import annotations

from collections.abc import Iterator

from archwright.loop import Ask, Progress, State


class Stateless:
    """Prepares nothing and keeps nothing: a trial leaves nothing behind for the next."""

    stateful = False
    failure_reward = 0.0
    trials_per_epoch = 1.0

    def prepare(self, ask: Ask, told: int) -> Iterator[Progress]:
        return iter(())

    def state_dict(self) -> State:
        return {}

    def load_state_dict(self, state: State) -> None:
        pass
