"""What shared weights are scored on: minibatches of the validation part, and the metrics of one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from archwright.errors import ConfigError
from archwright.training.accuracy import score_logits
from archwright.training.batches import arrange
from archwright.training.perplexity import Rows, perplexity
from archwright.training.randomness import Stream, stream

if TYPE_CHECKING:
    from archwright.data.images import ImageData
    from archwright.data.text import TextData
    from archwright.space import Architecture

Batch = tuple[Tensor, Tensor]


class Scoring(Protocol):
    """Minibatches of the validation part. `metrics` names what a score has; `size` is what is in a minibatch."""

    metrics: tuple[str, ...]
    size: int

    def draw(self, *seeds: int) -> Batch:
        """The minibatch of these seeds."""

    def whole(self, *seeds: int) -> list[Any]:
        """Names of all minibatches that are whole, shuffled by these seeds; `batch` takes one."""

    def batch(self, name: Any) -> Batch:
        """The minibatch of that name."""

    def score(self, network: Any, architecture: Architecture, batch: Batch) -> Mapping[str, float]:
        """The metrics of an architecture on a minibatch, with a network in evaluation mode."""

    def mean(self, scores: list[Mapping[str, float]]) -> Mapping[str, float]:
        """The metrics over several minibatches."""


class ImageScoring:
    """`size` images at a time, without augmentation."""

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
        """See `Scoring`."""
        return self.batch(self._shuffled(*seeds)[: self.size])

    def whole(self, *seeds: int) -> list[Tensor]:
        """See `Scoring`."""
        order = self._shuffled(*seeds)
        count = len(order) // self.size
        return list(order[: count * self.size].view(count, -1))

    def _shuffled(self, *seeds: int) -> Tensor:
        return torch.from_numpy(stream(Stream.VALIDATION, *seeds).permutation(len(self._x)))

    def batch(self, name: Tensor) -> Batch:
        """See `Scoring`."""
        chosen = name.to(self._x.device)
        return arrange(self._preprocessing(self._x[chosen]), self._channels_last), self._y[chosen]

    def score(self, network: Any, architecture: Architecture, batch: Batch) -> Mapping[str, float]:
        """See `Scoring`."""
        x, labels = batch
        with torch.no_grad():
            correct, losses = score_logits(network(x, architecture), labels)
            count, loss = torch.stack([correct.sum().float(), losses.mean()]).tolist()
        return {"validation_accuracy": count / len(labels), "validation_loss": loss}

    def mean(self, scores: list[Mapping[str, float]]) -> Mapping[str, float]:
        """See `Scoring`."""
        return {name: sum(score[name] for score in scores) / len(scores) for name in self.metrics}


class TextScoring:
    """`size` rows of `length` consecutive tokens, from zero states (enas_lm resets them for every reward)."""

    metrics: tuple[str, ...] = ("validation_perplexity", "validation_loss")

    def __init__(self, data: TextData, size: int, length: int, device: torch.device) -> None:
        self.size = max(2, min(size, len(data.validation) // (length + 1)))
        self._rows = Rows(data.validation.to(device), self.size, length)
        self._count = max(1, self._rows.whole)

    def draw(self, *seeds: int) -> Batch:
        """See `Scoring`."""
        return self.batch(self.whole(*seeds)[0])

    def whole(self, *seeds: int) -> list[int]:
        """See `Scoring`."""
        return [int(piece) for piece in stream(Stream.VALIDATION, *seeds).permutation(self._count)]

    def batch(self, name: int) -> Batch:
        """See `Scoring`."""
        return self._rows[name]

    def score(self, network: Any, architecture: Architecture, batch: Batch) -> Mapping[str, float]:
        """See `Scoring`."""
        tokens, following = batch
        with torch.no_grad():
            logits, _ = network(tokens, network.start(tokens.shape[1]), architecture)
            loss = functional.cross_entropy(logits.flatten(0, 1).float(), following.flatten()).item()
        return self._metrics(loss)

    def mean(self, scores: list[Mapping[str, float]]) -> Mapping[str, float]:
        """See `Scoring`."""
        return self._metrics(sum(score["validation_loss"] for score in scores) / len(scores))

    @staticmethod
    def _metrics(loss: float) -> Mapping[str, float]:
        return {"validation_perplexity": perplexity(loss), "validation_loss": loss}


def scoring(
    data: ImageData | TextData, size: int, length: int, device: torch.device, *, channels_last: bool
) -> Scoring:
    """The scoring that fits the data."""
    from archwright.data.text import TextData

    if isinstance(data, TextData):
        return TextScoring(data, size, length, device)
    return ImageScoring(data, size, device, channels_last=channels_last)
