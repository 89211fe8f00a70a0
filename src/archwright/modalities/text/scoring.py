"""Minibatches of validation text, on which shared weights score an architecture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from archwright.training.perplexity import Rows, perplexity
from archwright.training.randomness import Stream, stream

if TYPE_CHECKING:
    from archwright.data.text import TextData
    from archwright.modalities.protocol import Batch
    from archwright.space import Architecture


class TextScoring:
    """Implements `Scoring` with `size` rows of `length` tokens, from zero states (enas_lm resets them every time)."""

    metrics: tuple[str, ...] = ("validation_perplexity", "validation_loss")

    def __init__(self, data: TextData, size: int, length: int, device: torch.device) -> None:
        self.size = max(2, min(size, len(data.validation) // (length + 1)))
        self._rows = Rows(data.validation.to(device), self.size, length)
        self._count = max(1, self._rows.whole)

    def draw(self, *seeds: int) -> Batch:
        """Return the minibatch of these seeds."""
        return self.batch(self.whole(*seeds)[0])

    def whole(self, *seeds: int) -> list[int]:
        """Return the numbers of all pieces of full length, shuffled."""
        return [int(piece) for piece in stream(Stream.VALIDATION, *seeds).permutation(self._count)]

    def batch(self, name: int) -> Batch:
        """Return a piece: its tokens, and those that follow them."""
        return self._rows[name]

    def score(self, network: Any, architecture: Architecture, batch: Batch) -> Mapping[str, float]:
        """Return perplexity and loss."""
        tokens, following = batch
        with torch.no_grad():
            logits, _ = network(tokens, network.start(tokens.shape[1]), architecture)
            loss = functional.cross_entropy(logits.flatten(0, 1).float(), following.flatten()).item()
        return {"validation_perplexity": perplexity(loss), "validation_loss": loss}

    def mean(self, scores: list[Mapping[str, float]]) -> Mapping[str, float]:
        """Return the mean loss and its perplexity."""
        loss = sum(score["validation_loss"] for score in scores) / len(scores)
        return {"validation_perplexity": perplexity(loss), "validation_loss": loss}
