"""Training one network: a loop that can be stopped after any step and taken up again, to the same bits on one CPU."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch

from archwright.errors import Diverged, RunError, TimedOut
from archwright.loop import Progress, State
from archwright.training.accuracy import evaluate_accuracy
from archwright.training.batches import Batches
from archwright.training.descent import Descent, saved_network
from archwright.training.device import resolve_device
from archwright.training.failures import out_of_memory
from archwright.training.placement import place
from archwright.training.randomness import Stream, seeded
from archwright.training.recipe import Recipe
from archwright.training.regularisation import training_loss
from archwright.training.schedules import cosine_with_restarts

if TYPE_CHECKING:
    from archwright.data.images import ImageData
    from archwright.nets.network import Network


class Fit:
    """Trains `model` on the training part of `data`. Iterate over it: every step yields a `Progress`.

    Metrics of a step: `loss`, `accuracy` (of the batch, in training mode), `learning_rate`; at the end of an epoch
    `validation_accuracy` and `validation_loss` too. At every yield `state_dict` is consistent, and iterating anew goes
    on after the last step. The learning rate and drop path move with every step. At the end the model is in evaluation
    mode. The test part is not touched.

    Args:
        model: moved to `device` and trained in place.
        data: the images; the training part stays on the device in one piece.
        recipe: how to train.
        seed: of order, augmentation, dropout and drop path. The weights are the caller's.
        device: see `resolve_device`.
        time_limit: seconds of work in here, those before a resume included; what the caller does between steps is free.
        validate_last: measure validation accuracy after the last so many epochs only; None is after each.
        channels_last: keep channels innermost where that works: depthwise convolutions are several times faster.
        phase: the name in `Progress`.

    Raises:
        Diverged: the loss or its gradient is not finite; the step is not taken.
        TimedOut: the time limit has passed.
        ChildFailure: out of memory.
    """

    def __init__(
        self,
        model: Network,
        data: ImageData,
        recipe: Recipe | None = None,
        *,
        seed: int = 0,
        device: str | torch.device = "auto",
        time_limit: float | None = None,
        validate_last: int | None = None,
        channels_last: bool = True,
        phase: str = "training",
    ) -> None:
        self.model, self.data, self.phase = model, data, phase
        self.recipe = recipe = recipe if recipe is not None else Recipe()
        self.step = 0
        self.seconds = 0.0
        self.validation: list[tuple[int, float]] = []  # (epoch counted from 1, accuracy), where it was measured
        self._seed, self._device, self._limit = seed, resolve_device(device), time_limit
        self._validate_from = 0 if validate_last is None else recipe.epochs - validate_last
        with out_of_memory(f"the network and {len(data.train)} training images on {self._device}"):
            self._channels_last = place(model, self._device, channels_last=channels_last)
            self._batches = Batches(
                data.train,
                data.preprocessing,
                recipe,
                seed=seed,
                device=self._device,
                channels_last=self._channels_last,
            )
        self._descent = Descent(model, recipe)

    @property
    def steps(self) -> int:
        """Steps of the whole training."""
        return max(1, round(self.recipe.epochs * self._batches.per_epoch))

    @property
    def validation_accuracy(self) -> float:
        """The last one measured; NaN before the first."""
        return self.validation[-1][1] if self.validation else math.nan

    def __iter__(self) -> Iterator[Progress]:
        while self.step < self.steps:
            began = time.perf_counter()
            metrics = self._advance()
            if self.step % self._batches.per_epoch == 0 or self.step == self.steps:
                metrics |= self._validate(-(-self.step // self._batches.per_epoch))
            self.seconds += time.perf_counter() - began
            if self._limit is not None and self.seconds > self._limit and self.step < self.steps:
                raise TimedOut(
                    f"{self.phase} took more than {self._limit:g} s: stopped at step {self.step} of {self.steps}"
                )
            yield Progress(self.phase, self.step, self.steps, metrics)
        self.model.eval()

    def _advance(self) -> dict[str, float]:
        recipe, step = self.recipe, self.step
        if not self.model.training:
            self.model.train()
        self.model.set_progress(step / self.steps)
        rate = cosine_with_restarts(
            step / self._batches.per_epoch,
            recipe.epochs,
            high=recipe.learning_rate,
            low=recipe.learning_rate_min,
            period=recipe.restart_period,
            factor=recipe.restart_factor,
        )
        with (
            out_of_memory(f"a training step of {recipe.batch} images"),
            seeded(self._device, Stream.NOISE, self._seed, step),
        ):
            x, labels = self._batches[step]
            loss, accuracy = training_loss(self.model, x, labels, recipe)
            loss.backward()  # type: ignore[no-untyped-call]
            norm = self._descent.gradient_norm()
            # The one moment of a step at which the host waits for the device.
            values = torch.stack([loss.detach(), accuracy, norm]).tolist()
            if not math.isfinite(values[0]) or not math.isfinite(values[2]):
                raise Diverged(
                    f"{self.phase}: step {step + 1} of {self.steps} has loss {values[0]:g} and gradient norm "
                    f"{values[2]:g} at learning rate {rate:g}; a lower learning rate may help"
                )
            self._descent.step(rate, values[2])
            self._descent.clear()
        self.step += 1
        return {"loss": values[0], "accuracy": values[1], "learning_rate": rate}

    def _validate(self, epoch: int) -> dict[str, float]:
        if epoch <= self._validate_from or not len(self.data.validation):
            return {}
        with out_of_memory("the validation images"):
            score = evaluate_accuracy(
                self.model,
                self.data.validation,
                self.data.preprocessing,
                device=self._device,
                channels_last=self._channels_last,
            )
        if not math.isfinite(score.loss):
            raise Diverged(f"{self.phase}: after epoch {epoch} the validation loss is {score.loss:g}")
        self.validation.append((epoch, score.accuracy))
        return {"validation_accuracy": score.accuracy, "validation_loss": score.loss}

    def state_dict(self) -> State:
        """Weights, momentum, position and validation accuracies, as copies on the CPU."""
        return {
            "model": saved_network(self.model),
            "momentum": self._descent.state_dict(),
            "step": self.step,
            "steps": self.steps,
            "validation": [list(measured) for measured in self.validation],
            "seconds": self.seconds,
        }

    def load_state_dict(self, state: State) -> None:
        """Take back what `state_dict` gave; `RunError` if it is of a training of another length."""
        if state["steps"] != self.steps:
            raise RunError(
                f"the stored training has {state['steps']} steps, this one has {self.steps}: "
                "data, batch and epochs must be those it was begun with"
            )
        self.model.load_state_dict(state["model"])
        self._descent.load_state_dict(state["momentum"])
        self.step, self.seconds = int(state["step"]), float(state["seconds"])
        self.validation = [(int(epoch), float(accuracy)) for epoch, accuracy in state["validation"]]
