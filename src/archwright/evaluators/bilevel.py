"""Answers soft weights with a gradient, and trains the weights of the mixture in between (DARTS: Liu et al. 2019)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from archwright.errors import ChildFailure, ConfigError, Diverged, RunError
from archwright.evaluators.objective import OBJECTIVES, Objective, require, reward
from archwright.evaluators.ranked import rewards_of
from archwright.evaluators.unrolled import first_order, second_order
from archwright.loop import Ask, Progress, Proposal, Result, State
from archwright.modalities import modality
from archwright.nets.network import use_batch_statistics
from archwright.space import Architecture, Open
from archwright.training.device import resolve_device
from archwright.training.failures import out_of_memory
from archwright.training.optimizer import Optimizer
from archwright.training.perplexity import perplexity
from archwright.training.placement import saved_network
from archwright.training.randomness import Stream, seeded
from archwright.training.recipe import DARTS_SEARCH, Recipe

if TYPE_CHECKING:
    from archwright.modalities.protocol import Batch, Data, Modality
    from archwright.space import Space


class Bilevel:
    """Takes a step of the weights and answers a proposal, in turn (DARTS 2019, algorithm 1).

    The training part is halved: weights are trained on one half, soft weights on the other (for text: on the validation
    part, as the official code). Trial t is answered with the gradient of the loss on minibatch t of the second half,
    before the weights take their step on minibatch t of the first; both are augmented, as in the official code. The
    learning rate moves with every step and is at its minimum after `steps` trials. BatchNorm uses the statistics of its
    minibatch, always (DARTS 2019, section 3.1). The reward is the objective on the minibatch that the gradient is of,
    before the step: it shows how far the search is and ranks nothing.

    A step of the weights whose loss or gradient is not finite is skipped and counted in `skipped`; a whole epoch of
    them raises `Diverged`. A gradient that is not finite is a failed trial, which teaches nothing.

    Args:
        space: its `network(Open.mixture(space), task)` is trained.
        data: its training part is halved.
        recipe: how the weights are trained; the default is the official search on CIFAR-10.
        steps: trials of the whole search.
        weights_first: share of the search's steps that train the weights alone, before the first trial (PC-DARTS: Xu et
            al. 2020: 15 of 50 epochs, 0.3).
        order: 1 holds the weights fixed; 2 differentiates through their next step (`unrolled.second_order`), for about
            three times the cost.
        objective: from metrics to the reward; None is the accuracy, or 80 / perplexity.
        seed: of weights, order, augmentation and dropout.
        device: see `resolve_device`.
        channels_last: keep channels innermost where that works: depthwise convolutions are several times faster.
    """

    stateful = True
    failure_reward = 0.0

    def __init__(
        self,
        space: Space,
        data: Data | Modality,
        recipe: Recipe = DARTS_SEARCH,
        *,
        steps: int = 19_550,
        weights_first: float = 0.0,
        order: Literal[1, 2] = 1,
        objective: Objective | None = None,
        seed: int = 0,
        device: str | torch.device = "auto",
        channels_last: bool = True,
    ) -> None:
        if not space.mixes:
            raise ConfigError(f"Bilevel: the space {space.name} as configured has no mixture of operations")
        if steps < 1 or not 0 <= weights_first < 1 or order not in (1, 2):
            raise ConfigError(
                f"Bilevel({steps=}, {weights_first=}, {order=}): steps must be at least 1, weights_first from 0 to "
                "less than 1, order 1 or 2"
            )
        if order == 2 and recipe.optimizer != "sgd":
            raise ConfigError(f"order is 2 and the optimizer {recipe.optimizer}: only a step of sgd is differentiated")
        source = modality(data)
        self.space, self.recipe, self.order = space, recipe, order
        self.objective: Objective = objective or OBJECTIVES[source.objective]()
        self._metric = source.metric
        require(self.objective, (f"validation_{self._metric}", "validation_loss"), "Bilevel")
        self.first = first_steps(steps, weights_first)
        self.steps = steps + self.first
        self.step = self.skipped = self._skipped_in_a_row = 0  # steps of the weights, and those not taken
        self._seed = seed
        self._device = device = resolve_device(device)
        with seeded(torch.device("cpu"), Stream.WEIGHTS, seed):
            self.network: Any = space.network(Open.mixture(space), source.data.task)
        use_batch_statistics(self.network)
        with out_of_memory(f"the mixture and the data on {device}"):
            self._weights, self._alphas = (
                half.training_data(self.network, recipe, seed=seed, device=device, channels_last=channels_last)
                for half in source.halves(seed)
            )
            self._scoring = source.scoring(recipe, recipe.batch, device, channels_last=self._weights.channels_last)
        self.trials_per_epoch: float = self._weights.per_epoch
        self._optimizer = Optimizer(self.network, recipe)

    @property
    def rate(self) -> float:
        """The learning rate of the next step."""
        return self.recipe.rate(self.recipe.epochs * min(1.0, self.step / self.steps))

    def prepare(self, ask: Ask, told: int) -> Iterator[Progress]:
        while self.step < self.first + told:
            (proposal,) = ask(1)
            metrics = self._train_step(self._soft(proposal))
            yield Progress("search", self.step, self.steps, metrics)

    def _soft(self, proposal: Proposal, *, leaves: bool = False) -> dict[str, Tensor]:
        if proposal.soft is None:
            raise ConfigError("the controller proposes no soft weights; use the controller gradient")
        soft = {name: weights.detach().to(self._device) for name, weights in proposal.soft.items()}
        return {name: weights.clone().requires_grad_() for name, weights in soft.items()} if leaves else soft

    def _train_step(self, soft: Any) -> dict[str, float]:
        rate = self.rate
        with out_of_memory(f"a step of the mixture with a batch of {self.recipe.batch}"):
            loss, others = self._training_loss(soft)
            loss.backward()  # type: ignore[no-untyped-call]
            metrics, moved = self._optimizer.descend(rate, {"loss": loss.detach(), **others})
        self._skipped_in_a_row = 0 if moved else self._skipped_in_a_row + 1
        if not moved:
            self.skipped += 1
            self._weights.restart()
            if self._skipped_in_a_row == self._weights.per_epoch:
                raise Diverged(
                    f"a gradient search: {self._skipped_in_a_row} steps in a row had no finite loss and gradient, at "
                    f"learning rate {rate:g}; lower it"
                )
        self.step += 1
        return {**metrics, "learning_rate": rate, "skipped": self.skipped}

    def _training_loss(self, soft: Any) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of the next step of the weights, under the dropout of that step."""
        self.network.train()
        self._weights.progress = min(1.0, self.step / self.steps)
        with seeded(self._device, Stream.NOISE, self._seed, self.step):
            return self._weights.loss(self.network, self.step, soft)

    def evaluate(self, proposal: Proposal) -> Result:
        soft: Any = self._soft(proposal, leaves=True)
        others: dict[str, Tensor] = {}
        weights, alphas = self._weights.state_dict(), self._alphas.state_dict()

        def training() -> Tensor:
            return self._training_loss(soft)[0]

        def validation() -> Tensor:
            self.network.train()
            self._alphas.progress = min(1.0, self.step / self.steps)
            with seeded(self._device, Stream.VALIDATION, self._seed, self.step):
                loss, found = self._alphas.loss(self.network, self.step, soft)
            others.update(found)
            return loss

        try:
            with out_of_memory(f"the gradient of a batch of {self.recipe.batch}"):
                loss, gradients = self._gradient(list(soft.values()), training, validation)
        finally:  # what the next step begins with is as it was
            self._weights.load_state_dict(weights)
            self._alphas.load_state_dict(alphas)
        metrics = {f"validation_{name}": float(value) for name, value in {"loss": loss, **others}.items()}
        metrics.setdefault(f"validation_{self._metric}", perplexity(metrics["validation_loss"]))
        kept = {name: gradient.cpu() for name, gradient in zip(soft, gradients, strict=True)}
        if not all(bool(gradient.isfinite().all()) for gradient in kept.values()):
            raise ChildFailure("the gradient of the soft weights is not finite")
        return Result(self._reward(metrics), metrics, gradient=kept)

    def _gradient(self, soft: Sequence[Tensor], training: Any, validation: Any) -> tuple[Tensor, list[Tensor]]:
        optimizer = self._optimizer
        if self.order == 1:
            return first_order(optimizer.parameters, soft, validation)
        return second_order(
            optimizer.parameters,
            soft,
            training,
            validation,
            rate=self.rate,
            velocity=optimizer.velocity,
            gain=optimizer.gain,
        )

    def _reward(self, metrics: Mapping[str, float]) -> float:
        if not math.isfinite(metrics["validation_loss"]):
            raise ChildFailure(f"under these soft weights the loss is {metrics['validation_loss']}")
        return reward(self.objective, metrics)

    def rank(self, architectures: Sequence[Architecture], *, minibatches: int | None = 1) -> list[float]:
        """Return the rewards of architectures with the mixture's weights, on the same validation data.

        None takes all minibatches of full size. An architecture whose loss is not finite has the reward of a failure.
        """
        self.network.eval()
        weights = [
            {name: torch.tensor(values, device=self._device) for name, values in self.space.one_hot(one).items()}
            for one in architectures
        ]
        return rewards_of(
            weights,
            self._scoring,
            self._score,
            self._reward,
            seed=self._seed,
            minibatches=minibatches,
            failure_reward=self.failure_reward,
        )

    def _score(self, soft: Any, batch: Batch) -> Mapping[str, float]:
        return self._scoring.score(self.network, soft, batch)

    def state_dict(self) -> State:
        return {
            "network": saved_network(self.network),
            "momentum": self._optimizer.state_dict(),
            "step": self.step,
            "steps": self.steps,
            "per_epoch": self._weights.per_epoch,
            "skipped": [self.skipped, self._skipped_in_a_row],
            "data": self._weights.state_dict(),
        }

    def load_state_dict(self, state: State) -> None:
        """Restore the state. Raises `RunError` if it is from other data, another batch or another number of steps."""
        stored, own = (state["steps"], state["per_epoch"]), (self.steps, self._weights.per_epoch)
        if stored != own:
            raise RunError(
                f"the stored search has {stored[0]} steps, {stored[1]} in an epoch, this one has {own[0]} and "
                f"{own[1]}: data, batch and trials must be those it was begun with"
            )
        self.network.load_state_dict(state["network"])
        self._optimizer.load_state_dict(state["momentum"])
        self._weights.load_state_dict(state["data"])
        self.step = int(state["step"])
        self.skipped, self._skipped_in_a_row = map(int, state["skipped"])


def first_steps(steps: int, share: float) -> int:
    """Return the steps of the weights alone, such that `share` of all are before the first of `steps` trials."""
    return round(steps * share / (1 - share))
