"""Regularised evolution (Real et al. 2019, algorithm 1): vary the best of a few, remove the oldest."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Sequence
from typing import Any, Literal

from archwright.errors import ConfigError
from archwright.loop import Proposal, State, Trial
from archwright.space import Architecture, Seed, Space, adapt, generator, sample

TOURNAMENT, MUTATION, CROSSING = 1, 2, 3  # purposes of a proposal's stream; uniform architectures use it as it is


class RegularizedEvolution:
    """Keeps the last `population` architectures; each proposal is a variation of the best of `sample` of them.

    A variation is a mutation (`Space.varied`) or, in a space that crosses, made of two parents (`Space.crossed`).

    Args:
        space: what is searched.
        population: its size. Real et al. 2019 have 100 for 20,000 models; the default is for a hundred.
        sample: how many compete to be the parent, with replacement as in the authors' code.
        first: until the population is complete proposals are "uniform", or "varied" as later, from what there is: for
            a search that begins with given architectures (Ericsson et al. 2024).
        crossover: share of the variations that are made of two parents.
        batch: proposals asked for at a time.
        seed: of every proposal, with its stream's number.
    """

    def __init__(
        self,
        space: Space,
        *,
        population: int = 10,  # Dong & Yang 2020 (NAS-Bench-201), configuration of R-EA
        sample: int = 3,  # the same; Real et al. 2019 have 25 of 100
        first: Literal["uniform", "varied"] = "uniform",
        crossover: float = 0.3,
        batch: int = 1,
        seed: int = 0,
    ) -> None:
        if min(population, sample, batch) < 1:
            raise ConfigError(f"RegularizedEvolution({population=}, {sample=}, {batch=}): each must be at least 1")
        if first not in ("uniform", "varied") or not 0 <= crossover <= 1:
            raise ConfigError(
                f"RegularizedEvolution({first=}, {crossover=}): first is uniform or varied, crossover from 0 to 1"
            )
        self.space, self.batch, self.seed, self.sample = space, batch, seed, sample
        self.first, self.crossover = first, crossover
        self._living: deque[tuple[Architecture, float]] = deque(maxlen=population)

    def ask(self, streams: Sequence[int]) -> list[Proposal]:
        return [Proposal(stream, self._propose(stream)) for stream in streams]

    def _propose(self, stream: int) -> Architecture:
        space, complete = self.space.grown(stream), len(self._living) == self._living.maxlen
        if not self._living or (self.first == "uniform" and not complete):
            return sample(space, (self.seed, stream))
        parent = adapt(space, self._parent((self.seed, stream, TOURNAMENT)), (self.seed, stream))
        rng = generator((self.seed, stream, CROSSING))
        if rng.random() < self.crossover:
            child = space.crossed(parent, adapt(space, self._parent(rng), rng), rng)
            if child is not None:
                return child
        return space.varied(parent, (self.seed, stream, MUTATION))

    def _parent(self, seed: Seed) -> Architecture:
        """Return the winner of a tournament among the living."""
        places = generator(seed).integers(len(self._living), size=self.sample)
        return max((self._living[place] for place in places), key=lambda member: member[1])[0]

    def tell(self, trials: Sequence[Trial]) -> bool:
        sound = [trial for trial in trials if trial.result.error is None]  # variations of a failure would fail, too
        self._living.extend((trial.architecture, trial.reward) for trial in sound)
        return bool(sound)

    def state_dict(self) -> State:
        return {"living": [stored(member) for member in self._living]}

    def load_state_dict(self, state: State) -> None:
        self._living.clear()
        self._living.extend(restored(entry) for entry in state["living"])


def stored(member: tuple[Architecture, float]) -> list[Any]:
    """Return an architecture, as JSON text, and its reward for a controller's state."""
    return [json.dumps(member[0].to_json(), separators=(",", ":")), member[1]]


def restored(entry: Sequence[Any]) -> tuple[Architecture, float]:
    """Return the member that `stored` described."""
    return Architecture.from_json(json.loads(entry[0])), float(entry[1])
