"""Training one network: a loop that can be stopped after any step and resumed, to the same bits on one CPU."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import torch

from archwright.errors import Diverged, RunError, TimedOut
from archwright.loop import Progress, State
from archwright.training.average import WeightAverage
from archwright.training.device import resolve_device
from archwright.training.failures import out_of_memory
from archwright.training.optimizer import Optimizer
from archwright.training.placement import saved_network
from archwright.training.randomness import Stream, seeded
from archwright.training.recipe import Recipe
from archwright.training.training_data import TrainingSource


class Fit:
    """Trains `model` on the training part of `data`. Iterate over it: every step yields a `Progress`.

    Metrics of a step: `loss`, `learning_rate`, for images `accuracy` (of the batch, in training mode); at the end of an
    epoch `validation_loss` and `validation_accuracy`, or for text `validation_perplexity`. At every yield `state_dict`
    is consistent, and iterating anew continues after the last step. Learning rate and drop path change with every step.
    At the end the model is in evaluation mode, with the average of its weights if the recipe asks for one. The test
    part is not touched.

    Args:
        model: moved to `device` and trained in place.
        data: what to train on (`archwright.modalities.modality(data)`); it stays on the device in one piece.
        recipe: how to train.
        seed: of order, augmentation, dropout and drop path. The weights are the caller's.
        device: see `resolve_device`.
        time_limit: seconds of training, those before a resume included; the caller's time between steps does not count.
        validate_last: measure validation after the last so many epochs only; None is after each.
        channels_last: keep channels innermost where that works: depthwise convolutions are several times faster.
        phase: the name in `Progress`.

    Raises:
        Diverged: the loss or its gradient is not finite; the step is not taken.
        TimedOut: the time limit has passed.
        ChildFailure: out of memory.
    """

    def __init__(
        self,
        model: Any,
        data: TrainingSource,
        recipe: Recipe | None = None,
        *,
        seed: int = 0,
        device: str | torch.device = "auto",
        time_limit: float | None = None,
        validate_last: int | None = None,
        channels_last: bool = True,
        phase: str = "training",
    ) -> None:
        self.model, self.phase = model, phase
        self.recipe = recipe = recipe or Recipe()
        self.step, self.seconds = 0, 0.0
        self.validation: list[tuple[int, float]] = []  # (epoch counted from 1, score), where it was measured
        self.metrics: dict[str, float] = {}  # of the last validation
        self._seed, self._device, self._limit = seed, resolve_device(device), time_limit
        self._validate_from = 0 if validate_last is None else math.ceil(recipe.epochs) - validate_last
        with out_of_memory(f"the network and the training part on {self._device}"):
            self._data = data.training_data(model, recipe, seed=seed, device=self._device, channels_last=channels_last)
        self._optimizer = Optimizer(model, recipe)
        self._average = WeightAverage(model, recipe.average) if recipe.average else None
        self._delivered = False  # the model has the average instead of the weights

    @property
    def steps(self) -> int:
        """Steps of the whole training."""
        return max(1, round(self.recipe.epochs * self._data.per_epoch))

    @property
    def ends_epoch(self) -> bool:
        """Whether the last step was the last of an epoch, or of the training."""
        return self.step % self._data.per_epoch == 0 or self.step == self.steps

    @property
    def scored_by(self) -> str:
        """The metric in `validation`."""
        return self._data.scored_by

    @property
    def score(self) -> float:
        """The last validation accuracy, or perplexity, that was measured; NaN before the first."""
        return self.validation[-1][1] if self.validation else math.nan

    def __iter__(self) -> Iterator[Progress]:
        while self.step < self.steps:
            began = time.perf_counter()
            metrics = self._advance()
            if self.ends_epoch:
                metrics |= self._validate(-(-self.step // self._data.per_epoch))
            self.seconds += time.perf_counter() - began
            if self._limit is not None and self.seconds > self._limit and self.step < self.steps:
                raise TimedOut(
                    f"{self.phase} took more than {self._limit:g} s: stopped at step {self.step} of {self.steps}"
                )
            yield Progress(self.phase, self.step, self.steps, metrics)
        if self._average is not None and not self._delivered:
            self._average.exchange()
            self._delivered = True
        self.model.eval()

    def _advance(self) -> dict[str, float]:
        recipe, step = self.recipe, self.step
        if not self.model.training:
            self.model.train()
        self.model.set_progress(step / self.steps)
        rate = recipe.rate(step / self._data.per_epoch)
        with (
            out_of_memory(f"a training step of batch {recipe.batch}"),
            seeded(self._device, Stream.NOISE, self._seed, step),
        ):
            loss, figures = self._data.loss(self.model, step)
            loss.backward()  # type: ignore[no-untyped-call]
            norm = self._optimizer.gradient_norm()
            # The one moment of a step at which the host waits for the device.
            value, size, *others = torch.stack([loss.detach(), norm, *figures.values()]).tolist()
            if not math.isfinite(value) or not math.isfinite(size):
                raise Diverged(
                    f"{self.phase}: step {step + 1} of {self.steps} has loss {value:g} and gradient norm "
                    f"{size:g} at learning rate {rate:g}; a lower learning rate may help"
                )
            self._optimizer.step(rate, size)
            self._optimizer.clear()
        if self._average is not None:
            self._average.update(step)
        self.step += 1
        return {"loss": value, **dict(zip(figures, others, strict=True)), "learning_rate": rate}

    def _validate(self, epoch: int) -> dict[str, float]:
        if epoch <= self._validate_from:
            return {}
        with out_of_memory("the validation part"), self._average.exchanged() if self._average else nullcontext():
            metrics = dict(self._data.validate(self.model))
        if not metrics:
            return metrics
        if not math.isfinite(metrics["validation_loss"]):
            raise Diverged(f"{self.phase}: after epoch {epoch} the validation loss is {metrics['validation_loss']:g}")
        self.validation.append((epoch, metrics[self.scored_by]))
        self.metrics = metrics
        return metrics

    def state_dict(self) -> State:
        return {
            "model": saved_network(self.model),
            "momentum": self._optimizer.state_dict(),
            "step": self.step,
            "steps": self.steps,
            "lessons": self._data.state_dict(),  # the key of version 0.1
            **({} if self._average is None else {"average": self._average.state_dict()}),
            "validation": [list(measured) for measured in self.validation],
            "metrics": dict(self.metrics),
            "seconds": self.seconds,
        }

    def load_state_dict(self, state: State) -> None:
        """Restore the state. Raises `RunError` if it is from a training of another length."""
        if state["steps"] != self.steps:
            raise RunError(
                f"the stored training has {state['steps']} steps, this one has {self.steps}: "
                "data, batch and epochs must be those it was begun with"
            )
        self.model.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["momentum"])
        self._data.load_state_dict(state["lessons"])
        if self._average is not None:
            self._average.load_state_dict(state["average"])
        self.step, self.seconds = int(state["step"]), float(state["seconds"])
        self.validation = [(int(epoch), float(score)) for epoch, score in state["validation"]]
        self.metrics = dict(state.get("metrics", {}))  # states of version 0.1 have none
