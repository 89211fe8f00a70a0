"""A moving average of a network's weights, which is what is validated and delivered (NASNet 2018, appendix A.3)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from archwright.training.placement import saved


class WeightAverage:
    """Parameters and running statistics of `network`, averaged over the steps of its training.

    average = d * average + (1 - d) * weights, with d = min(decay, (1 + step) / (10 + step)): early weights do not
    linger (TensorFlow's ExponentialMovingAverage with `num_updates`, which the official code uses).
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self._decay = decay
        self._live = {name: value for name, value in network.state_dict().items() if value.is_floating_point()}
        self._averages = {name: value.clone() for name, value in self._live.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Average the weights as they are after step number `step`, counted from 0."""
        decay = min(self._decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self._averages.values()), list(self._live.values()), 1 - decay)

    @torch.no_grad()
    def exchange(self) -> None:
        """Put the averages into the network, and its weights here; a second call puts both back."""
        for name, live in self._live.items():
            kept = live.clone()
            live.copy_(self._averages[name])
            self._averages[name].copy_(kept)

    @contextmanager
    def exchanged(self) -> Iterator[None]:
        """Give the network the averages for a block."""
        self.exchange()
        try:
            yield
        finally:
            self.exchange()

    def state_dict(self) -> dict[str, Tensor]:
        return {name: saved(value) for name, value in self._averages.items()}

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        for name, value in self._averages.items():
            value.copy_(state[name])
