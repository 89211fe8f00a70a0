"""Text in batches: consecutive pieces of rows to train on (truncated BPTT), single pieces to score architectures on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional

from archwright.loop import State
from archwright.nets.memory import memory_of
from archwright.training.perplexity import Rows, evaluate_perplexity, perplexity
from archwright.training.precision import at_precision
from archwright.training.randomness import Stream, stream
from archwright.training.regularisation import token_loss
from archwright.training.remembering import fit_memory
from archwright.training.sampled_softmax import SampledSoftmax

if TYPE_CHECKING:
    from archwright.data.text import TextData
    from archwright.modalities.protocol import Batch
    from archwright.space import Architecture
    from archwright.training.recipe import Recipe


class TextTrainingData:
    """Implements `TrainingData`: the states at the end of one piece are the start of the next."""

    scored_by = "validation_perplexity"
    channels_last = False
    progress = 1.0

    def __init__(self, model: Any, data: TextData, recipe: Recipe, *, device: torch.device) -> None:
        model.to(device)
        self._data, self._recipe, self._device = data, recipe, device
        self._rows = Rows(data.train.to(device), recipe.batch, recipe.length)
        self.per_epoch = len(self._rows)
        self.finishing = 2 if memory_of(model) is not None and len(data.validation) else 0
        self._sampled: SampledSoftmax | None = None
        if recipe.sampled < 1:
            counts = torch.bincount(data.train, minlength=len(data.vocabulary))
            self._sampled = SampledSoftmax(counts.to(device), recipe.sampled)
        self._begun: tuple[int, Any] | None = None  # the step under way and the states at its start
        self._carried: tuple[tuple[Tensor, ...], ...] | None = None

    def loss(self, model: Any, step: int, architecture: Architecture | None = None) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of a step. Its architectures start from the same states; the last one's are carried on."""
        if self._begun is None or self._begun[0] != step:
            fresh = step % self.per_epoch == 0 or self._carried is None
            self._begun = step, model.start(self._rows.batch) if fresh else self._carried
        tokens, following = self._rows[step % self.per_epoch]
        loss, states = token_loss(model, tokens, following, self._begun[1], self._recipe, architecture, self._sampled)
        self._carried = tuple(tuple(part.detach() for part in state) for state in states)
        return loss, {}

    def validate(self, model: Any) -> Mapping[str, float]:
        if not len(self._data.validation):
            return {}
        with at_precision(self._recipe.precision, self._device):
            score = evaluate_perplexity(model, self._looked_at, length=self._recipe.length)
        return {"validation_perplexity": score.perplexity, "validation_loss": score.loss}

    def finish(self, model: Any) -> Mapping[str, float]:
        if not self.finishing:
            return {}
        return fit_memory(model, self._looked_at, length=self._recipe.length)

    @property
    def _looked_at(self) -> Tensor:
        return self._data.validation[: self._recipe.validation_limit].to(self._device)

    def restart(self) -> None:
        self._begun = self._carried = None

    def state_dict(self) -> State:
        if self._carried is None:
            return {}
        return {"carried": [[part.cpu().clone() for part in state] for state in self._carried]}

    def load_state_dict(self, state: State) -> None:
        self._begun = None
        self._carried = (
            tuple(tuple(part.to(self._device) for part in layer) for layer in state.get("carried", ())) or None
        )


class TextScoring:
    """Implements `Scoring` with `size` rows of `length` tokens, from zero states (enas_lm resets them every time)."""

    metrics: tuple[str, ...] = ("validation_perplexity", "validation_loss")

    def __init__(self, data: TextData, size: int, length: int, device: torch.device) -> None:
        self.size = max(2, min(size, len(data.validation) // (length + 1)))
        self._rows = Rows(data.validation.to(device), self.size, length)

    def whole(self, *seeds: int) -> list[int]:
        return [int(piece) for piece in stream(Stream.VALIDATION, *seeds).permutation(max(1, self._rows.whole))]

    def batch(self, name: int) -> Batch:
        return self._rows[name]

    def score(self, network: Any, architecture: Architecture, batch: Batch) -> Mapping[str, float]:
        tokens, following = batch
        with torch.no_grad():
            logits, _ = network(tokens, network.start(tokens.shape[1]), architecture)
            loss = functional.cross_entropy(logits.flatten(0, 1).float(), following.flatten()).item()
        return {"validation_perplexity": perplexity(loss), "validation_loss": loss}

    def mean(self, scores: Sequence[Mapping[str, float]]) -> Mapping[str, float]:
        loss = sum(score["validation_loss"] for score in scores) / len(scores)
        return {"validation_perplexity": perplexity(loss), "validation_loss": loss}
