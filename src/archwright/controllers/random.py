"""Random search: the controller that every other one has to beat."""

from __future__ import annotations

from collections.abc import Sequence

from archwright.errors import ConfigError
from archwright.loop import Proposal, State, Trial
from archwright.space import Space, sample


class Random:
    """Proposes architectures whose every decision is uniform, and learns nothing (Zoph et al. 2018 compare with this).

    A decision is uniform given the earlier ones; where the program asks different questions after different answers,
    architectures need not be equally likely.
    """

    def __init__(self, space: Space, *, seed: int = 0, batch: int = 1) -> None:
        if batch < 1:
            raise ConfigError(f"Random(batch={batch!r}): at least one proposal must be asked for at a time")
        self.space, self.seed, self.batch = space, seed, batch

    def ask(self, streams: Sequence[int]) -> list[Proposal]:
        return [Proposal(stream, sample(self.space.grown(stream), (self.seed, stream))) for stream in streams]

    def tell(self, trials: Sequence[Trial]) -> bool:
        return False

    def state_dict(self) -> State:
        return {}

    def load_state_dict(self, state: State) -> None: ...
