"""Scores architectures with weights that all of them share: ENAS's two phases (Pham et al. 2018, section 2.2)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from archwright.errors import ChildFailure, ConfigError, Diverged, RunError
from archwright.evaluators.objective import OBJECTIVES, Objective, require, reward
from archwright.evaluators.ranked import rewards_of
from archwright.loop import Ask, Progress, Proposal, Result, State
from archwright.modalities import modality
from archwright.space import Architecture, Open, sample
from archwright.training.device import resolve_device
from archwright.training.failures import out_of_memory
from archwright.training.optimizer import Optimizer
from archwright.training.placement import saved_network
from archwright.training.randomness import Stream, seeded
from archwright.training.recipe import ENAS_MICRO_SEARCH, Recipe

if TYPE_CHECKING:
    from archwright.modalities.protocol import Batch, Data, Modality
    from archwright.space import Space

SAMPLING = ("policy", "uniform")
ASK_AT_ONCE = 32  # proposals: a batched controller answers 32 in little more time than one


class SharedWeights:
    """Trains one supernet on sampled architectures (phase 1), scores proposals with its weights (phase 2).

    `prepare` trains epoch k when k * `trials_per_epoch` trials have been reported: a whole pass over the training part,
    each step on `architectures_per_step` freshly sampled architectures and one batch, their gradients averaged. The
    learning rate moves once an epoch; after `recipe.epochs` it stays at its last value. `evaluate` runs the proposal on
    one minibatch of the validation part, chosen by the seed and the proposal's stream number, without augmentation or
    dropout; for text that is a piece of many rows, from zero states. The space's supernet decides which statistics
    normalise there (for shared weights: those of the minibatch). The score ranks architectures; a trained child reaches
    another.

    Unlike the official code: weights that a step did not sample get no momentum or decay, gradients are clipped in
    fact, the auxiliary head is trained, and dropout is off while scoring. As in it: weight decay is on all parameters,
    and drop path is off (it is for final training). A step whose loss or gradient is not finite is skipped and counted
    in `skipped` (enas_lm goes back to its last checkpoint); an epoch of only such steps raises `Diverged`.

    Args:
        space: its `network(Open.all(space), task)` is the supernet.
        data: trained on its training part, scored on its validation part.
        recipe: how the shared weights are trained; the default is the official micro search.
        trials_per_epoch: proposals scored after each epoch; official micro search: 30 controller steps of 10.
        steps_per_epoch: shared training steps between two rounds of trials; None is a whole pass, as in the paper. With
            fewer, the next epoch goes on in the same pass.
        warmup: epochs of shared training before the first trial, on proposals of the untrained controller. ENAS: none;
            but hardly trained weights make operations without weights look best, so short searches need some.
        architectures_per_step: M of section 2.2; 1 "works just fine".
        sampling: where a step's architectures come from: the "policy" (ENAS), or "uniform" over the space, so that the
            controller's early favourites are not trained most (Guo et al. 2020, single path one-shot).
        trials_per_minibatch: trials in a row that are scored on the same minibatch, so that chance favours none.
        evaluation_batch: at most so many images, or rows of text, in a minibatch; None is the training batch.
        objective: from metrics (`validation_loss` and `validation_accuracy`, or for text `validation_perplexity`) to
            the reward; None is the accuracy, or 80 / perplexity (ENAS).
        seed: of weights, order, augmentation, dropout and minibatches.
        device: see `resolve_device`.
        channels_last: keep channels innermost where that works: depthwise convolutions are several times faster.
    """

    stateful = True
    failure_reward = 0.0

    def __init__(
        self,
        space: Space,
        data: Data | Modality,
        recipe: Recipe = ENAS_MICRO_SEARCH,
        *,
        trials_per_epoch: int = 300,
        steps_per_epoch: int | None = None,
        warmup: int = 0,
        architectures_per_step: int = 1,
        sampling: Literal["policy", "uniform"] = "policy",
        trials_per_minibatch: int = 1,
        evaluation_batch: int | None = None,
        objective: Objective | None = None,
        seed: int = 0,
        device: str | torch.device = "auto",
        channels_last: bool = True,
    ) -> None:
        if not space.shares_weights:
            raise ConfigError(f"SharedWeights: the space {space.name} as configured shares no weights; use FromScratch")
        counts = {"trials_per_epoch": trials_per_epoch, "steps_per_epoch": steps_per_epoch, "warmup": warmup}
        counts |= {"architectures_per_step": architectures_per_step, "evaluation_batch": evaluation_batch}
        counts |= {"trials_per_minibatch": trials_per_minibatch}
        for name, value in counts.items():
            least = {"warmup": 0, "evaluation_batch": 2}.get(name, 1)  # BatchNorm cannot normalise one value
            if value is not None and value < least:
                raise ConfigError(f"SharedWeights: {name} is {value}; it must be at least {least}")
        if sampling not in SAMPLING:
            raise ConfigError(f"SharedWeights: sampling is {sampling!r}; it must be one of {', '.join(SAMPLING)}")
        source = modality(data)
        self.space, self.recipe, self.sampling = space, recipe, sampling
        self.trials_per_epoch: float = trials_per_epoch
        self.objective: Objective = objective or OBJECTIVES[source.objective]()
        self.epoch = self.step = 0  # complete epochs of shared training, and steps of the one under way
        self.skipped = self._skipped_in_epoch = 0  # steps not taken so far
        self._queue: list[Architecture] = []  # asked for, and not yet trained on
        self._warmup, self._each, self._seed = warmup, architectures_per_step, seed
        self._together = trials_per_minibatch
        self._device = device = resolve_device(device)
        with seeded(torch.device("cpu"), Stream.WEIGHTS, seed):
            self.network: Any = space.network(Open.all(space), source.data.task)
        size = evaluation_batch or recipe.batch
        with out_of_memory(f"the shared weights and the data on {device}"):
            self._data = source.training_data(
                self.network, recipe, seed=seed, device=device, channels_last=channels_last
            )
            self._scoring = source.scoring(recipe, size, device, channels_last=self._data.channels_last)
        require(self.objective, self._scoring.metrics, "SharedWeights")
        self._steps = steps_per_epoch or self._data.per_epoch
        self._optimizer = Optimizer(self.network, recipe)

    def prepare(self, ask: Ask, told: int) -> Iterator[Progress]:
        while self.epoch <= self._warmup + told // self.trials_per_epoch:
            yield from self._train_epoch(ask)

    def _train_epoch(self, ask: Ask) -> Iterator[Progress]:
        steps, epoch = self._steps, self.epoch
        rate = self.recipe.rate(epoch)
        while self.epoch == epoch:
            if not self._queue:
                self._queue = self._next(min(-(-ASK_AT_ONCE // self._each), steps - self.step) * self._each, ask)
            sampled, self._queue = self._queue[: self._each], self._queue[self._each :]
            metrics = self._train_step(sampled, rate)
            self.step = step = self.step + 1
            if step == steps:
                if self._skipped_in_epoch == steps:
                    raise Diverged(
                        f"shared weights: no step of epoch {epoch + 1} had a finite loss and gradient at learning rate "
                        f"{rate:g}; lower it"
                    )
                self.epoch, self.step, self._skipped_in_epoch = epoch + 1, 0, 0
            yield Progress("shared weights", step, steps, metrics)

    @property
    def _position(self) -> int:
        return self.epoch * self._steps + self.step

    def _next(self, count: int, ask: Ask) -> list[Architecture]:
        """Return the next architectures to train on; uniform ones depend on the seed and their number alone."""
        if self.sampling == "policy":
            return [proposal.architecture for proposal in ask(count)]
        first = self._position * self._each
        return [sample(self.space, (self._seed, Stream.SAMPLING, first + index)) for index in range(count)]

    def _train_step(self, sampled: Sequence[Architecture], rate: float) -> dict[str, float]:
        if not self.network.training:
            self.network.train()
        position = self._position
        self._data.progress = min(1.0, position / (self._steps * self.recipe.epochs))
        with (
            out_of_memory(f"a step of the shared weights with a batch of {self.recipe.batch}"),
            seeded(self._device, Stream.NOISE, self._seed, position),
        ):
            figures: list[dict[str, Tensor]] = []
            for architecture in sampled:
                loss, others = self._data.loss(self.network, position, architecture)
                (loss / len(sampled)).backward()  # type: ignore[no-untyped-call]
                figures.append({"loss": loss.detach(), **others})
            means = {name: torch.stack([found[name] for found in figures]).mean() for name in figures[0]}
            metrics, moved = self._optimizer.descend(rate, means)
            if not moved:
                self.skipped += 1
                self._skipped_in_epoch += 1
                self._data.restart()
        return {**metrics, "learning_rate": rate, "epoch": self.epoch + 1, "skipped": self.skipped}

    def evaluate(self, proposal: Proposal) -> Result:
        with out_of_memory(f"scoring with a minibatch of {self._scoring.size}"):
            batch = self._scoring.batch(self._scoring.whole(self._seed, proposal.stream // self._together)[0])
            metrics = self._score(proposal.architecture, batch)
        return Result(self._reward(metrics), metrics)

    def _reward(self, metrics: Mapping[str, float]) -> float:
        if not math.isfinite(metrics["validation_loss"]):
            raise ChildFailure(f"with the shared weights the architecture's loss is {metrics['validation_loss']}")
        return reward(self.objective, metrics)

    def rank(self, architectures: Sequence[Architecture], *, minibatches: int | None = 1) -> list[float]:
        """Return the rewards of several architectures on the same validation data, in their order.

        ENAS derives its architecture from samples ranked on a single minibatch (section 2.3). None takes all that have
        the full size. An architecture with a loss that is not finite has the reward of a failure.
        """
        return rewards_of(
            architectures,
            self._scoring,
            self._score,
            self._reward,
            seed=self._seed,
            minibatches=minibatches,
            failure_reward=self.failure_reward,
        )

    def _score(self, architecture: Architecture, batch: Batch) -> Mapping[str, float]:
        if self.network.training:  # walks thousands of modules, so only when the phase changes
            self.network.eval()
        return self._scoring.score(self.network, architecture, batch)

    def state_dict(self) -> State:
        return {
            "network": saved_network(self.network),
            "momentum": self._optimizer.state_dict(),
            "epoch": self.epoch,
            "step": self.step,
            "steps": self._steps,
            "skipped": self.skipped,
            "skipped_in_epoch": self._skipped_in_epoch,
            "queue": [architecture.to_json() for architecture in self._queue],
            "lessons": self._data.state_dict(),  # the key of version 0.1
        }

    def load_state_dict(self, state: State) -> None:
        """Restore the state. Raises `RunError` if it is from other data or another batch."""
        if state["steps"] != self._steps:
            raise RunError(
                f"the stored shared training has {state['steps']} steps an epoch, this one has "
                f"{self._steps}: data, batch and steps_per_epoch must be those it was begun with"
            )
        self.network.load_state_dict(state["network"])
        self._optimizer.load_state_dict(state["momentum"])
        self._data.load_state_dict(state["lessons"])
        self.epoch, self.step, self.skipped = int(state["epoch"]), int(state["step"]), int(state["skipped"])
        self._skipped_in_epoch = int(state["skipped_in_epoch"])
        self._queue = [Architecture.from_json(data) for data in state["queue"]]
