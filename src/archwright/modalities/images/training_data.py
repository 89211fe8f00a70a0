"""Training data of images: shuffled, augmented batches; validation by accuracy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from archwright.loop import State
from archwright.training.accuracy import evaluate_accuracy
from archwright.training.batches import Batches
from archwright.training.placement import place
from archwright.training.regularisation import training_loss

if TYPE_CHECKING:
    from archwright.data.images import ImageData
    from archwright.space import Architecture
    from archwright.training.recipe import Recipe


class ImageTrainingData:
    """Implements `TrainingData` for images. A batch depends on its step alone, so nothing is left from step to step."""

    scored_by = "validation_accuracy"

    def __init__(
        self, model: Any, data: ImageData, recipe: Recipe, *, seed: int, device: torch.device, channels_last: bool
    ) -> None:
        self._data, self._recipe, self._device = data, recipe, device
        self.channels_last = place(model, device, channels_last=channels_last)
        self._batches = Batches(
            data.train, data.preprocessing, recipe, seed=seed, device=device, channels_last=self.channels_last
        )
        self.per_epoch = self._batches.per_epoch
        self._current: tuple[int, Tensor, Tensor] | None = None

    def loss(self, model: Any, step: int, architecture: Architecture | None = None) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of a step, and the accuracy of its batch in training mode."""
        if self._current is None or self._current[0] != step:  # the same batch for every architecture of a step
            self._current = step, *self._batches[step]
        _, x, labels = self._current
        loss, accuracy = training_loss(model, x, labels, self._recipe, architecture)
        return loss, {"accuracy": accuracy}

    def restart(self) -> None:
        """Do nothing."""

    def validate(self, model: Any) -> Mapping[str, float]:
        """Return accuracy and loss."""
        data = self._data
        validation = data.validation[: self._recipe.validation_limit]
        if not len(validation):
            return {}
        score = evaluate_accuracy(
            model, validation, data.preprocessing, device=self._device, channels_last=self.channels_last
        )
        return {"validation_accuracy": score.accuracy, "validation_loss": score.loss}

    def state_dict(self) -> State:
        """Return nothing."""
        return {}

    def load_state_dict(self, state: State) -> None:
        """Restore nothing."""
