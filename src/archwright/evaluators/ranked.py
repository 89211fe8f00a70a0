"""Rewards of several architectures on the same validation data, with weights that they share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from archwright.errors import ChildFailure

if TYPE_CHECKING:
    from archwright.modalities.protocol import Batch, Scoring

T = TypeVar("T")
Metrics = Mapping[str, float]


def rewards_of(
    candidates: Sequence[T],
    scoring: Scoring,
    score: Callable[[T, Batch], Metrics],
    reward: Callable[[Metrics], float],
    *,
    seed: int,
    minibatches: int | None,
    failure_reward: float,
) -> list[float]:
    """Return the reward of each candidate over the first `minibatches` of full size; None takes all of them.

    One whose mean metrics `reward` refuses with a `ChildFailure` has the reward of a failure.
    """
    scores = []
    for name in scoring.whole(seed, 0)[:minibatches]:  # outermost: one minibatch at a time in memory
        batch = scoring.batch(name)
        scores.append([score(candidate, batch) for candidate in candidates])
    rewards = []
    for found in zip(*scores, strict=True):
        try:
            rewards.append(reward(scoring.mean(found)))
        except ChildFailure:
            rewards.append(failure_reward)
    return rewards
