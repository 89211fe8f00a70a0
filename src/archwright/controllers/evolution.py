"""Regularised evolution (Real et al. 2019, algorithm 1): the child of the best of a few, and the oldest dies."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from archwright.controllers.memory import read, written
from archwright.errors import ConfigError
from archwright.loop import Proposal, State, Trial
from archwright.space import Architecture, Space, adapt, generator, mutate, sample

TOURNAMENT, MUTATION = 1, 2  # what a proposal's stream is drawn for; the first architectures use it as it is


class RegularizedEvolution:
    """Keeps the last `population` architectures; each proposal is a mutation of the best of `sample` of them.

    The first `population` proposals are uniform. A mutation changes one decision (see `archwright.space.mutate`).

    Args:
        space: what is searched.
        population: how many live. Real et al. 2019 have 100 for 20,000 models; the default is for a hundred.
        sample: how many compete to be the parent, drawn with replacement as in the authors' code.
        batch: answers it wants before it changes.
        seed: with the stream's number, of every proposal.
    """

    def __init__(
        self,
        space: Space,
        *,
        population: int = 10,  # Dong & Yang 2020 (NAS-Bench-201), configuration of R-EA
        sample: int = 3,  # the same; Real et al. 2019 have 25 of 100
        batch: int = 1,
        seed: int = 0,
    ) -> None:
        if population < 1 or sample < 1 or batch < 1:
            raise ConfigError(
                f"RegularizedEvolution(population={population!r}, sample={sample!r}, batch={batch!r}): each must be at "
                "least 1"
            )
        self.space, self.batch, self.seed, self.sample = space, batch, seed, sample
        self._living: deque[tuple[Architecture, float]] = deque(maxlen=population)

    def ask(self, streams: Sequence[int]) -> list[Proposal]:
        """A uniform architecture until the population is complete, then the child of a tournament's winner."""
        return [Proposal(stream, self._propose(stream)) for stream in streams]

    def _propose(self, stream: int) -> Architecture:
        space = self.space.grown(stream)
        if len(self._living) < (self._living.maxlen or 0):
            return sample(space, (self.seed, stream))
        rng = generator((self.seed, stream, TOURNAMENT))
        drawn = [self._living[i] for i in rng.integers(len(self._living), size=self.sample)]
        parent, _ = max(drawn, key=lambda member: member[1])
        return mutate(space, adapt(space, parent, (self.seed, stream)), (self.seed, stream, MUTATION))

    def tell(self, trials: Sequence[Trial]) -> bool:
        """The architectures join the population, the oldest leave it."""
        self._living.extend((trial.architecture, trial.reward) for trial in trials)
        return bool(trials)

    def state_dict(self) -> State:
        """The population, oldest first."""
        return {"living": [[written(architecture), reward] for architecture, reward in self._living]}

    def load_state_dict(self, state: State) -> None:
        """Take back what `state_dict` gave."""
        self._living.clear()
        self._living.extend((read(text), float(reward)) for text, reward in state["living"])
