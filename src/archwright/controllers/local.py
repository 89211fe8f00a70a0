"""Local search: move to a better neighbour, and restart where there is none (White et al. 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from archwright.controllers.evolution import restored, stored
from archwright.errors import ConfigError
from archwright.loop import Proposal, State, Trial
from archwright.space import Architecture, Space, adapt, generator, neighbours, sample

ORDER, NEIGHBOURS = 1, 2


class LocalSearch:
    """Tries the neighbours of the best architecture of its climb, in a random order.

    A neighbour differs in one decision. When all have been tried and none was better, a new climb begins from a uniform
    architecture. No neighbour is tried twice, so a climb ends where an earlier one passed.

    Args:
        space: what is searched.
        step: move to the "first" better neighbour, or to the "best" once all have been tried (White et al. 2021).
        batch: proposals asked for at a time.
        seed: of every proposal, with its stream's number.
    """

    def __init__(
        self, space: Space, *, step: Literal["first", "best"] = "first", batch: int = 1, seed: int = 0
    ) -> None:
        if batch < 1 or step not in ("first", "best"):
            raise ConfigError(f"LocalSearch({step=}, {batch=}): step is first or best, batch at least 1")
        self.space, self.step, self.batch, self.seed = space, step, batch, seed
        self._centre: tuple[Architecture, float] | None = None  # whose neighbours are tried
        self._better: tuple[Architecture, float] | None = None  # the best neighbour so far, if it beats the centre
        self._first = 0  # the stream that gets the first neighbour
        self._seen: dict[str, None] = {}  # ids, in the order reported
        self._ring: list[Architecture] | None = None  # the neighbours, in the order tried

    def ask(self, streams: Sequence[int]) -> list[Proposal]:
        return [Proposal(stream, self._propose(stream)) for stream in streams]

    def _propose(self, stream: int) -> Architecture:
        space = self.space.grown(stream)
        ring = self._neighbours()
        start = stream - self._first
        for place in range(len(ring)):
            architecture = ring[(start + place) % len(ring)]
            if architecture.id not in self._seen:
                return adapt(space, architecture, (self.seed, stream))
        return sample(space, (self.seed, stream))

    def _neighbours(self) -> list[Architecture]:
        if self._centre is None:
            return []
        if self._ring is None:
            centre, seed = self._centre[0], (self.seed, self._first)
            around = list(neighbours(self.space.for_architecture(centre), centre, (*seed, NEIGHBOURS)))
            self._ring = [around[i] for i in generator((*seed, ORDER)).permutation(len(around))]
        return self._ring

    def tell(self, trials: Sequence[Trial]) -> bool:
        for trial in trials:
            self._seen[trial.architecture.id] = None
            if self._centre is None or trial.reward > (self._better or self._centre)[1]:
                self._better = (trial.architecture, trial.reward)
            exhausted = all(architecture.id in self._seen for architecture in self._neighbours())
            if exhausted or (self._better is not None and self.step == "first"):
                self._centre, self._better, self._ring = self._better, None, None
                self._first = max(self._first, trial.proposal.stream + 1)
        return bool(trials)

    def state_dict(self) -> State:
        return {
            "centre": self._centre and stored(self._centre),
            "better": self._better and stored(self._better),
            "first": self._first,
            "seen": " ".join(self._seen),
        }

    def load_state_dict(self, state: State) -> None:
        centre, better = state["centre"], state["better"]
        self._centre, self._better = centre and restored(centre), better and restored(better)
        self._first, self._ring = int(state["first"]), None
        self._seen = dict.fromkeys(state["seen"].split())
