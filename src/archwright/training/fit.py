"""Training one network: a loop that can be stopped after any step and resumed, to the same bits on one CPU."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

import torch

from archwright.errors import ConfigError, Diverged, RunError, TimedOut
from archwright.loop import Progress, State
from archwright.training.average import WeightAverage
from archwright.training.best import BestWeights
from archwright.training.device import resolve_device
from archwright.training.failures import out_of_memory
from archwright.training.measure import flush_denormals
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
        self.looking = 0.0  # seconds of looks at the validation part, in this process
        self.validation: list[tuple[int, float]] = []  # (epoch counted from 1, score), where it was measured
        self.metrics: dict[str, float] = {}  # of the last validation
        self._seed, self._device, self._limit = seed, resolve_device(device), time_limit
        self._validate_last = validate_last
        flush_denormals()
        self._replanned: tuple[int, float, int] | None = None  # at which step and progress, and steps since then
        with out_of_memory(f"the network and the training part on {self._device}"):
            self._data = data.training_data(model, recipe, seed=seed, device=self._device, channels_last=channels_last)
        self._optimizer = Optimizer(model, recipe)
        self._average = WeightAverage(model, recipe.average) if recipe.average else None
        self._best = BestWeights() if recipe.looks else None
        self.shortened = False  # validation got worse, so the rate falls early
        self._delivered = False  # the model has the average instead of the weights

    @property
    def steps(self) -> int:
        """Steps of the whole training: the recipe's epochs, or what `replan` made of them."""
        return self._planned if self._replanned is None else self._replanned[2]

    @property
    def _planned(self) -> int:
        return max(1, round(self.recipe.epochs * self._data.per_epoch))

    @property
    def progress(self) -> float:
        """How far the schedule is at the next step, 0 to 1."""
        begun, share, steps = self._replanned or (0, 0.0, self._planned)
        return share + (1 - share) * (self.step - begun) / (steps - begun)

    def replan(self, steps: int) -> None:
        """Change the steps of the whole training, those that are done included, from here on.

        The schedule goes on from where it is (`progress`) and is over after the last of them, so a machine that turns
        out slower or faster still sees all of it. Raises `ConfigError` if no step would be left, or none is.
        """
        if self.step >= min(self.steps, steps):
            raise ConfigError(
                f"{self.phase}: {self.step} of {self.steps} steps are done, so it cannot have {steps}; "
                "replan before the end, to more steps than are done"
            )
        self._replanned = self.step, self.progress, steps

    @property
    def per_epoch(self) -> int:
        """Steps of a pass over the training part."""
        return self._data.per_epoch

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
        """The validation accuracy, or perplexity, measured last, in the end that of the best weights; NaN before."""
        if self.scored_by in self.metrics:
            return self.metrics[self.scored_by]
        return self.validation[-1][1] if self.validation else math.nan

    def __iter__(self) -> Iterator[Progress]:
        return self.until(math.inf)

    def until(self, step: float) -> Iterator[Progress]:
        """Train up to `step`, or the end. A later call, or iterating, goes on; `validate` measures in between."""
        while self.step < min(step, self.steps):
            began = time.perf_counter()
            metrics = self._advance()
            validated = self._validated() if self.ends_epoch else {}
            metrics |= validated
            if self._best is not None:
                self._look(self._best, validated)
            self.seconds += time.perf_counter() - began
            if self._limit is not None and self.seconds > self._limit and self.step < self.steps:
                raise TimedOut(
                    f"{self.phase} took more than {self._limit:g} s: stopped at step {self.step} of {self.steps}"
                )
            yield Progress(self.phase, self.step, self.steps, metrics)
        if self.step < self.steps:
            return
        if self._average is not None and not self._delivered:
            self._average.exchange()
            self._delivered = True
        if self._best is not None and self._best.metrics:
            self._best.restore(self.model)
            self.metrics = dict(self._best.metrics)
        self.model.eval()
        self.metrics |= self._data.finish(self.model)

    def _advance(self) -> dict[str, float]:
        recipe, step = self.recipe, self.step
        if not self.model.training:
            self.model.train()
        self._data.progress = progress = self.progress
        self.model.set_progress(progress)
        rate = recipe.rate(step / self._data.per_epoch if self._replanned is None else progress * recipe.epochs)
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

    @property
    def _epoch(self) -> int:
        return -(-self.step // self._data.per_epoch)

    def validate(self, other: Any = None) -> Mapping[str, float]:
        """Measure the validation part now, with the average of the weights if there is one; nothing is recorded.

        `other` is measured in the model's place.

        Training goes on to the same bits, and the seconds are the caller's. Empty without a validation part.
        """
        average = None if self._delivered else self._average
        began = time.perf_counter()
        with out_of_memory("the validation part"), average.exchanged() if average else nullcontext():
            metrics = self._data.validate(self.model if other is None else other)
        self.looking += time.perf_counter() - began
        if metrics and not math.isfinite(loss := metrics["validation_loss"]):
            raise Diverged(f"{self.phase}: after epoch {self._epoch} the validation loss is {loss:g}")
        return metrics

    @contextmanager
    def averaged(self) -> Iterator[Any]:
        """Give the model as it would be delivered now, in evaluation mode, for a block; training goes on after it."""
        average = None if self._delivered else self._average
        with average.exchanged() if average else nullcontext():
            yield self.model.eval()

    def _look(self, best: BestWeights, validated: Mapping[str, float]) -> None:
        """Take a look if one is due; from the best weights on the rate falls, if validation got worse since.

        `validated` is what has been measured after this step, if anything.
        """
        if self.step < self.steps and self.step % self._between_looks(self.steps):
            return
        if not (metrics := validated or self.validate()):
            return
        with self.averaged() as network:
            best.look(network, metrics, self.step)
        constant = 1 - (self.recipe.decay or 1.0)  # the share of training before the rate falls
        if not best.turned or self.progress >= constant:
            return
        best.restore(self.model)
        if self._average is not None:
            self._average = WeightAverage(self.model, self.recipe.average)
        falling = max(1, round(best.step * (1 - constant) / constant))
        self._replanned = self.step, constant, min(self.steps, self.step + falling)
        self.shortened = True

    def looks(self, steps: int) -> int:
        """Return how many looks at the validation part are to come, if the whole training has so many steps."""
        each = self._data.per_epoch
        coming = -(-steps // each) - self.step // each
        if self._validate_last is not None:
            coming = min(coming, self._validate_last)
            if self.recipe.looks:  # otherwise the ends of epochs serve for them too
                every = self._between_looks(steps)
                coming += (steps - 1) // every - self.step // every
        return coming + self._data.finishing

    def _between_looks(self, steps: int) -> int:
        """Return the steps between two looks at the best weights, whole epochs, in a training of so many steps."""
        return self.per_epoch * math.ceil(steps / self.per_epoch / self.recipe.looks)

    def _validated(self) -> Mapping[str, float]:
        epochs = -(-self.steps // self._data.per_epoch)
        if self._validate_last is not None and self._epoch <= epochs - self._validate_last:
            return {}
        metrics = self.validate()
        if metrics:
            self.validation.append((self._epoch, metrics[self.scored_by]))
            self.metrics = dict(metrics)
        return metrics

    def state_dict(self) -> State:
        return {
            "model": saved_network(self.model),
            "momentum": self._optimizer.state_dict(),
            "step": self.step,
            "steps": self._planned,
            **({} if self._replanned is None else {"replanned": list(self._replanned)}),
            "lessons": self._data.state_dict(),  # the key of version 0.1
            **({} if self._average is None else {"average": self._average.state_dict()}),
            **({} if self._best is None else {"best": self._best.state_dict(), "shortened": self.shortened}),
            "validation": [list(measured) for measured in self.validation],
            "metrics": dict(self.metrics),
            "seconds": self.seconds,
        }

    def load_state_dict(self, state: State) -> None:
        """Restore the state. Raises `RunError` if it is from a training of another length."""
        if state["steps"] != self._planned:
            raise RunError(
                f"the stored training has {state['steps']} steps, this one has {self._planned}: "
                "data, batch and epochs must be those it was begun with"
            )
        self.model.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["momentum"])
        self._data.load_state_dict(state["lessons"])
        if self._average is not None:
            self._average.load_state_dict(state["average"])
        if self._best is not None:
            self._best.load_state_dict(state["best"])
            self.shortened = bool(state["shortened"])
        self.step, self.seconds = int(state["step"]), float(state["seconds"])
        replanned = state.get("replanned")  # a training that keeps its length has none
        self._replanned = None if replanned is None else (int(replanned[0]), float(replanned[1]), int(replanned[2]))
        self.validation = [(int(epoch), float(score)) for epoch, score in state["validation"]]
        self.metrics = dict(state.get("metrics", {}))  # states of version 0.1 have none
