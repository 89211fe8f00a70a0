"""Minibatches of validation images, on which shared weights score an architecture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from archwright.errors import ConfigError
from archwright.training.accuracy import score_logits
from archwright.training.batches import arrange
from archwright.training.randomness import Stream, stream

if TYPE_CHECKING:
    from archwright.data.images import ImageData
    from archwright.modalities.protocol import Batch
    from archwright.space import Architecture


class ImageScoring:
    """Implements `Scoring` with `size` images at a time, without augmentation."""

    metrics: tuple[str, ...] = ("validation_accuracy", "validation_loss")

    def __init__(self, data: ImageData, size: int, device: torch.device, *, channels_last: bool) -> None:
        if len(data.validation) < 2:
            raise ConfigError(
                f"SharedWeights: {len(data.validation)} validation images are too few; scoring needs at least 2"
            )
        self.size = min(size, len(data.validation))
        self._preprocessing, self._channels_last = data.preprocessing, channels_last
        self._x, self._y = data.validation.x.to(device), data.validation.y.to(device)

    def draw(self, *seeds: int) -> Batch:
        """Return the minibatch of these seeds."""
        return self.batch(self._shuffled(*seeds)[: self.size])

    def whole(self, *seeds: int) -> list[Tensor]:
        """Return the positions of the images of every minibatch."""
        order = self._shuffled(*seeds)
        count = len(order) // self.size
        return list(order[: count * self.size].view(count, -1))

    def _shuffled(self, *seeds: int) -> Tensor:
        return torch.from_numpy(stream(Stream.VALIDATION, *seeds).permutation(len(self._x)))

    def batch(self, name: Tensor) -> Batch:
        """Return the images at these positions, and their labels."""
        chosen = name.to(self._x.device)
        return arrange(self._preprocessing(self._x[chosen]), self._channels_last), self._y[chosen]

    def score(self, network: Any, architecture: Architecture, batch: Batch) -> Mapping[str, float]:
        """Return accuracy and loss."""
        x, labels = batch
        with torch.no_grad():
            correct, losses = score_logits(network(x, architecture), labels)
            count, loss = torch.stack([correct.sum().float(), losses.mean()]).tolist()
        return {"validation_accuracy": count / len(labels), "validation_loss": loss}

    def mean(self, scores: list[Mapping[str, float]]) -> Mapping[str, float]:
        """Return the mean of each metric."""
        return {name: sum(score[name] for score in scores) / len(scores) for name in self.metrics}
