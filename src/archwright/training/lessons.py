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
    from archwright.space import Architecture
    from archwright.training.recipe import Recipe


class Lessons(Protocol):
    """Training data in steps. `scored_by` names the metric of validation. `channels_last`: the model's format now."""

    per_epoch: int
    scored_by: str
    channels_last: bool

    def loss(self, model: Any, step: int, architecture: Architecture | None = None) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of step number `step`, and other figures of the batch. `architecture` is for a supernet."""

    def restart(self) -> None:
        """Forget what the last step left for the next one: it was not finite."""

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
        self.channels_last = place(model, device, channels_last=channels_last)
        self._batches = Batches(
            data.train, data.preprocessing, recipe, seed=seed, device=device, channels_last=self.channels_last
        )
        self.per_epoch = self._batches.per_epoch
        self._drawn: tuple[int, Tensor, Tensor] | None = None

    def loss(self, model: Any, step: int, architecture: Architecture | None = None) -> tuple[Tensor, dict[str, Tensor]]:
        """See `Lessons`; also the accuracy of the batch in training mode."""
        if self._drawn is None or self._drawn[0] != step:  # the same batch for every architecture of a step
            self._drawn = step, *self._batches[step]
        _, x, labels = self._drawn
        loss, accuracy = training_loss(model, x, labels, self._recipe, architecture)
        return loss, {"accuracy": accuracy}

    def restart(self) -> None:
        """Nothing is left from step to step."""

    def validate(self, model: Any) -> Mapping[str, float]:
        """See `Lessons`."""
        data = self._data
        validation = data.validation[: self._recipe.validation_limit]
        if not len(validation):
            return {}
        score = evaluate_accuracy(
            model, validation, data.preprocessing, device=self._device, channels_last=self.channels_last
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
    channels_last = False

    def __init__(self, model: Any, data: TextData, recipe: Recipe, seed: int, device: torch.device) -> None:
        model.to(device)
        self._data, self._recipe, self._device = data, recipe, device
        self._rows = Rows(data.train.to(device), recipe.batch, recipe.length)
        self.per_epoch = len(self._rows)
        self._begun: tuple[int, Any] | None = None  # the step under way and the states at its start
        self._carried: tuple[tuple[Tensor, ...], ...] | None = None

    def loss(self, model: Any, step: int, architecture: Architecture | None = None) -> tuple[Tensor, dict[str, Tensor]]:
        """See `Lessons`. All architectures of a step start from the same states; the last one's are carried on."""
        if self._begun is None or self._begun[0] != step:
            fresh = step % self.per_epoch == 0 or self._carried is None
            self._begun = step, model.start(self._rows.batch) if fresh else self._carried
        tokens, following = self._rows[step % self.per_epoch]
        loss, states = token_loss(model, tokens, following, self._begun[1], self._recipe, architecture)
        self._carried = tuple(tuple(part.detach() for part in state) for state in states)
        return loss, {}

    def restart(self) -> None:
        """The next step starts from zero states."""
        self._begun = self._carried = None

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
