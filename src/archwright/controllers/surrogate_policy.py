"""An LSTM policy trained by policy gradient on a surrogate's scores of its samples, between real evaluations."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from archwright.controllers.features import Floats
from archwright.controllers.policy import Policy
from archwright.controllers.reinforce import reinforce_loss
from archwright.controllers.threads import one_thread
from archwright.space import Architecture, Space

BATCH = 24  # architectures in a minibatch
CLIP = 1.0  # of the gradient's norm: the values come from a model that changes with every trial


class SurrogatePolicy:
    """A policy rewarded by a model. Its advantages are the values of a minibatch, centred and scaled.

    Args:
        space: as for `Policy`, whose other arguments are its defaults (ENAS).
        learning_rate: of Adam; the official micro search's for real rewards is 0.0035, a model's rewards cost nothing.
        seed: of the parameters and of every sample.
    """

    def __init__(self, space: Space, *, learning_rate: float = 0.01, seed: int = 0) -> None:
        self._policy = Policy(space, seed=seed)
        self._adam = torch.optim.Adam(self._policy.parameters(), lr=learning_rate)
        self._seed = seed

    def train(
        self, space: Space, value: Callable[[Sequence[Architecture]], Floats], *, updates: int, number: int
    ) -> None:
        """Take `updates` steps; `number` counts the calls, for the random streams."""
        spaces = [space] * BATCH
        with one_thread():
            for update in range(updates):
                seeds = [(self._seed, number, update, row) for row in range(BATCH)]
                sampled = self._policy.sample(spaces, seeds).architectures
                values = torch.from_numpy(value(sampled))
                advantages = (values - values.mean()) / (values.std() + 1e-9)
                loss = reinforce_loss(self._policy.score(spaces, sampled).log_prob, advantages, 0.0)
                if loss.requires_grad:  # not if nothing was asked
                    self._adam.zero_grad()
                    loss.backward()  # type: ignore[no-untyped-call]
                    torch.nn.utils.clip_grad_norm_(self._policy.parameters(), CLIP)
                    self._adam.step()

    def sample(self, space: Space, count: int, *, number: int) -> Sequence[Architecture]:
        """Sample `count` architectures from the present policy."""
        seeds = [(self._seed, number, row) for row in range(count)]
        with one_thread():
            return self._policy.sample([space] * count, seeds).architectures
