"""What a training loop needs of its data: the loss of a step, and a measure of the model after an epoch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from archwright.loop import State

if TYPE_CHECKING:
    from archwright.space import Architecture
    from archwright.training.recipe import Recipe


class TrainingData(Protocol):
    """Training data in steps. `scored_by` names the metric of validation. `channels_last`: the model's format now.

    `progress`, 0 to 1, says how far training is at the next step; `finishing` counts the looks at the validation part
    that `finish` takes the time of.
    """

    per_epoch: int
    scored_by: str
    channels_last: bool
    progress: float = 1.0
    finishing: int = 0

    def loss(self, model: Any, step: int, architecture: Architecture | None = None) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of a step, and other figures of its batch.

        `architecture` is for a supernet; a mixture is given its soft weights there.
        """

    def validate(self, model: Any) -> Mapping[str, float]:
        """Return the metrics of the validation part, `validation_loss` among them; none without such a part."""

    def finish(self, model: Any) -> Mapping[str, float]:
        """Fit what a trained model takes from the validation part; return its metrics if that changed them."""
        return {}

    def restart(self) -> None:
        """Discard what the last step left for the next one, because it was not finite."""
        return

    def state_dict(self) -> State:
        """Return what the next step needs to know of those before it."""
        return {}

    def load_state_dict(self, state: State) -> None:
        """Restore what `state_dict` returned."""
        return


class TrainingSource(Protocol):
    """Anything that training data can be made of."""

    def training_data(
        self, model: Any, recipe: Recipe, *, seed: int, device: torch.device, channels_last: bool = True
    ) -> TrainingData:
        """Move the model to the device and return its training data."""
