"""Images in batches: augmented ones to train on, plain ones of the validation part to score architectures on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from archwright.errors import ConfigError
from archwright.training.accuracy import evaluate_accuracy, score_logits
from archwright.training.augmentation import scaled
from archwright.training.batches import Batches, arrange
from archwright.training.placement import place
from archwright.training.randomness import Stream, stream
from archwright.training.regularisation import training_loss
from archwright.training.training_data import TrainingData

if TYPE_CHECKING:
    from archwright.data.images import ImageData
    from archwright.modalities.protocol import Batch
    from archwright.space import Architecture
    from archwright.training.recipe import Recipe


WHITENING = 2000  # training images that a network whitens its inputs by


class ImageTrainingData(TrainingData):
    """Shuffled batches. One depends on its step and `progress` alone: nothing is left for the next."""

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
        if recipe.whiten and hasattr(model, "whiten"):
            model.whiten(self._batches.plain(WHITENING))
        self._current: tuple[int, Tensor, Tensor] | None = None

    def loss(self, model: Any, step: int, architecture: Architecture | None = None) -> tuple[Tensor, dict[str, Tensor]]:
        if self._current is None or self._current[0] != step:  # the same batch for every architecture of a step
            x, labels = self._batches[step]
            height, width = (self._recipe.side(pixels, self.progress) for pixels in x.shape[2:])
            self._current = step, scaled(x, height, width), labels
        loss, accuracy = training_loss(model, *self._current[1:], self._recipe, architecture)
        return loss, {"accuracy": accuracy}  # of the batch, in training mode

    def validate(self, model: Any) -> Mapping[str, float]:
        part, preprocessing = self._data.validation[: self._recipe.validation_limit], self._data.preprocessing
        if not len(part):
            return {}
        precision, channels_last = self._recipe.precision, self.channels_last
        score = evaluate_accuracy(
            model, part, preprocessing, device=self._device, channels_last=channels_last, precision=precision
        )
        return {"validation_accuracy": score.accuracy, "validation_loss": score.loss}


class ImageScoring:
    """Implements `Scoring` with `size` images at a time, without augmentation."""

    metrics: tuple[str, ...] = ("validation_accuracy", "validation_loss")

    def __init__(self, data: ImageData, size: int, device: torch.device, *, channels_last: bool) -> None:
        count = len(data.validation)
        if count < 2:
            raise ConfigError(f"SharedWeights: {count} validation images are too few; scoring needs at least 2")
        self.size = min(size, count)
        self._preprocessing, self._channels_last = data.preprocessing, channels_last
        self._x, self._y = data.validation.x.to(device), data.validation.y.to(device)

    def whole(self, *seeds: int) -> list[Tensor]:
        order = torch.from_numpy(stream(Stream.VALIDATION, *seeds).permutation(len(self._x)))
        return list(order[: len(order) // self.size * self.size].view(-1, self.size))

    def batch(self, name: Tensor) -> Batch:
        chosen = name.to(self._x.device)
        return arrange(self._preprocessing(self._x[chosen]), self._channels_last), self._y[chosen]

    def score(self, network: Any, architecture: Architecture, batch: Batch) -> Mapping[str, float]:
        x, labels = batch
        with torch.no_grad():
            correct, losses = score_logits(network(x, architecture), labels)
            count, loss = torch.stack([correct.sum().float(), losses.mean()]).tolist()
        return {"validation_accuracy": count / len(labels), "validation_loss": loss}

    def mean(self, scores: Sequence[Mapping[str, float]]) -> Mapping[str, float]:
        return {name: sum(score[name] for score in scores) / len(scores) for name in self.metrics}
