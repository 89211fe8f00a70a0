"""What a training run asks of its data: the loss of a step, and how good the model is after an epoch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from archwright.loop import State
from archwright.training.accuracy import evaluate_accuracy
from archwright.training.batches import Batches
from archwright.training.perplexity import Rows, evaluate_perplexity
from archwright.training.placement import place
from archwright.training.regularisation import token_loss, training_loss

if TYPE_CHECKING:
    from archwright.data.images import ImageData
    from archwright.data.text import TextData
    from archwright.training.recipe import Recipe


class Lessons(Protocol):
    """Training data in steps. `scored_by` names the metric of validation, and whether more of it is better."""

    per_epoch: int
    scored_by: str

    def loss(self, model: Any, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of step number `step`, and other figures of the batch."""

    def validate(self, model: Any) -> Mapping[str, float]:
        """The metrics of the validation part, `validation_loss` among them; nothing if there is no such part."""

    def state_dict(self) -> State:
        """What the next step needs to know of those before it."""

    def load_state_dict(self, state: State) -> None:
        """Take back what `state_dict` gave."""


class ImageLessons:
    """Shuffled, augmented batches; validation by accuracy."""

    scored_by = "validation_accuracy"

    def __init__(
        self, model: Any, data: ImageData, recipe: Recipe, seed: int, device: torch.device, channels_last: bool
    ) -> None:
        self._data, self._recipe, self._device = data, recipe, device
        self._channels_last = place(model, device, channels_last=channels_last)
        self._batches = Batches(
            data.train, data.preprocessing, recipe, seed=seed, device=device, channels_last=self._channels_last
        )
        self.per_epoch = self._batches.per_epoch

    def loss(self, model: Any, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """See `Lessons`; also the accuracy of the batch in training mode."""
        x, labels = self._batches[step]
        loss, accuracy = training_loss(model, x, labels, self._recipe)
        return loss, {"accuracy": accuracy}

    def validate(self, model: Any) -> Mapping[str, float]:
        """See `Lessons`."""
        data = self._data
        validation = data.validation[: self._recipe.validation_limit]
        if not len(validation):
            return {}
        score = evaluate_accuracy(
            model, validation, data.preprocessing, device=self._device, channels_last=self._channels_last
        )
        return {"validation_accuracy": score.accuracy, "validation_loss": score.loss}

    def state_dict(self) -> State:
        """Empty: a batch depends on its step alone."""
        return {}

    def load_state_dict(self, state: State) -> None:
        """Nothing to take back."""


class TextLessons:
    """Consecutive pieces of rows of text (truncated BPTT): the states at the end of one are the start of the next."""

    scored_by = "validation_perplexity"

    def __init__(self, model: Any, data: TextData, recipe: Recipe, seed: int, device: torch.device) -> None:
        model.to(device)
        self._data, self._recipe, self._device = data, recipe, device
        self._rows = Rows(data.train.to(device), recipe.batch, recipe.length)
        self.per_epoch = len(self._rows)
        self._carried: tuple[tuple[Tensor, ...], ...] | None = None

    def loss(self, model: Any, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """See `Lessons`."""
        if step % self.per_epoch == 0 or self._carried is None:
            self._carried = model.start(self._rows.batch)
        tokens, following = self._rows[step % self.per_epoch]
        loss, states = token_loss(model, tokens, following, self._carried, self._recipe)
        self._carried = tuple(tuple(part.detach() for part in state) for state in states)
        return loss, {}

    def validate(self, model: Any) -> Mapping[str, float]:
        """See `Lessons`."""
        validation = self._data.validation[: self._recipe.validation_limit].to(self._device)
        if not len(validation):
            return {}
        score = evaluate_perplexity(model, validation, length=self._recipe.length)
        return {"validation_perplexity": score.perplexity, "validation_loss": score.loss}

    def state_dict(self) -> State:
        """The states carried to the next step."""
        if self._carried is None:
            return {}
        return {"carried": [[part.cpu().clone() for part in state] for state in self._carried]}

    def load_state_dict(self, state: State) -> None:
        """Take back what `state_dict` gave."""
        if "carried" in state:
            self._carried = tuple(tuple(part.to(self._device) for part in layer) for layer in state["carried"])


def lessons(
    model: Any,
    data: ImageData | TextData,
    recipe: Recipe,
    *,
    seed: int,
    device: torch.device,
    channels_last: bool = True,
) -> Lessons:
    """The lessons that fit the data; the model is moved to the device."""
    from archwright.data.text import TextData

    if isinstance(data, TextData):
        return TextLessons(model, data, recipe, seed, device)
    return ImageLessons(model, data, recipe, seed, device, channels_last)
