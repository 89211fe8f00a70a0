"""What a policy remembers of its trials: how their rewards rank, the best, and what has been proposed."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Mapping, Sequence
from statistics import NormalDist

from archwright.controllers.evolution import restored, stored
from archwright.decisions import Answer
from archwright.loop import State, Trial
from archwright.space import Architecture, Space, alternatives, decisions_of, generator

ENOUGH = 5  # trials before any proposal is near the best
MOST_CHANGES = 4  # decisions that are made anew: 1, or with half the probability one more
AROUND = 7  # the purpose of a stream, beside the answers


class Experience:
    """All rewards in order, the best architecture, and the ids of all."""

    def __init__(self) -> None:
        self._rewards: list[float] = []  # sorted
        self._best: tuple[Architecture, float] | None = None
        self.tried: dict[str, None] = {}

    def add(self, trials: Sequence[Trial], rewards: Sequence[float]) -> None:
        """Take in trials, with rewards that are finite."""
        for trial, reward in zip(trials, rewards, strict=True):
            insort(self._rewards, reward)
            self.tried[trial.architecture.id] = None
            if self._best is None or reward > self._best[1]:
                self._best = (trial.architecture, reward)

    def scores(self, rewards: Sequence[float]) -> list[float]:
        """Return the normal quantile of each reward's rank among all so far; equal rewards share theirs."""
        scores = []
        for reward in rewards:
            rank = (bisect_left(self._rewards, reward) + bisect_right(self._rewards, reward)) / 2
            scores.append(NormalDist().inv_cdf(rank / len(self._rewards)))
        return scores

    def near(self, space: Space, share: float, seed: Sequence[int]) -> Mapping[str, Answer]:
        """Return the answers of the best architecture that a proposal keeps, with the probability `share`; else none.

        All but a few are kept: one decision is made anew, or with half the probability each one more, up to four.
        """
        rng = generator((*seed, AROUND))
        if self._best is None or len(self._rewards) < ENOUGH or rng.random() >= share:
            return {}
        best = self._best[0]
        asked = decisions_of(space.for_architecture(best), best)
        movable = [question.name for question in asked if alternatives(question) > 1]
        anew = rng.permutation(len(movable))[: min(MOST_CHANGES, int(rng.geometric(0.5)))]
        changed = {movable[place] for place in anew}
        return {name: answer for name, answer in best.answers if name not in changed}

    def state_dict(self) -> State:
        best = self._best and stored(self._best)
        return {"rewards": list(self._rewards), "best": best, "tried": " ".join(self.tried)}

    def load_state_dict(self, state: State) -> None:
        self._rewards = [float(reward) for reward in state["rewards"]]
        self._best = state["best"] and restored(state["best"])
        self.tried = dict.fromkeys(state["tried"].split())
