"""The best weights of a training so far: text that is read too often is learned by heart, and validation gets worse."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from archwright.training.placement import saved_network

PATIENCE = 2  # looks in a row that are worse than the best one


class BestWeights:
    """Keeps the weights of the look with the least validation loss."""

    def __init__(self) -> None:
        self.worse = 0  # looks in a row
        self.step = 0  # at which the best look was
        self.metrics: Mapping[str, float] = {}
        self._weights: dict[str, Any] = {}

    def look(self, network: nn.Module, metrics: Mapping[str, float], step: int) -> None:
        """Take in what was measured of the network as it is now."""
        if self.metrics and metrics["validation_loss"] >= self.metrics["validation_loss"]:
            self.worse += 1
            return
        self.worse, self.step, self.metrics = 0, step, dict(metrics)
        self._weights = saved_network(network)

    @property
    def turned(self) -> bool:
        """Whether validation has been worse for some looks."""
        return self.worse >= PATIENCE

    def restore(self, network: nn.Module) -> None:
        """Give the network the best weights."""
        network.load_state_dict(self._weights)

    def state_dict(self) -> dict[str, Any]:
        return {
            **{"worse": self.worse, "step": self.step},
            "metrics": dict(self.metrics),
            "weights": dict(self._weights),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.worse, self.step = int(state["worse"]), int(state["step"])
        self.metrics, self._weights = dict(state["metrics"]), dict(state["weights"])
