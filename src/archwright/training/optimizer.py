"""The optimizer of a recipe: PyTorch's SGD, Adam or RMSProp, or Muon. Its state goes by the parameters' names."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from archwright.training.muon import Muon
from archwright.training.placement import saved
from archwright.training.recipe import Recipe
from archwright.training.regularisation import clip_to

# The stored name of each tensor that PyTorch keeps for a parameter; "steps" is one number.
SLOTS: Mapping[str, Mapping[str, str]] = {
    "sgd": {"momentum": "momentum_buffer"},
    "adam": {"first": "exp_avg", "second": "exp_avg_sq", "steps": "step"},
    "muon": {"momentum": "momentum_buffer"},
    "rmsprop": {"second": "square_avg", "momentum": "momentum_buffer", "steps": "step"},
}


class Optimizer:
    """Moves the parameters that have a gradient; momentum and weight decay reach no others.

    In a supernet most operations are not sampled in a step; those keep weights and momentum as they are. (TensorFlow's
    dense optimizers, which the official code uses, move them all.)
    """

    def __init__(self, network: nn.Module, recipe: Recipe) -> None:
        self._parameters = {name: p for name, p in network.named_parameters() if p.requires_grad}
        self._recipe, self._slots, self._clip_norm = recipe, SLOTS[recipe.optimizer], recipe.clip_norm
        self._optimizer = _optimizer(list(self._parameters.values()), recipe)
        # The fused SGD of PyTorch cannot begin for some parameters later than for others.
        self._begins = recipe.optimizer == "sgd" and recipe.momentum > 0
        self._active: list[Tensor] = []
        self._gradients: list[Tensor] = []

    @property
    def parameters(self) -> list[Tensor]:
        """The parameters that it moves."""
        return list(self._parameters.values())

    def velocity(self, gradients: Sequence[Tensor | None]) -> list[Tensor]:
        """Return what a step of SGD on gradients of all `parameters` subtracts, divided by the learning rate.

        With momentum and weight decay, without clipping; nothing is moved.
        """
        found: list[Tensor] = []
        groups = self._optimizer.param_groups
        decays = {parameter: group["weight_decay"] for group in groups for parameter in group["params"]}
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            slope = parameter.detach() * decays[parameter]
            slope = slope if gradient is None else slope + gradient
            buffer = self._optimizer.state.get(parameter, {}).get("momentum_buffer")
            speed = slope if buffer is None else self._recipe.momentum * buffer + slope
            found.append(slope + self._recipe.momentum * speed if self._recipe.nesterov else speed)
        return found

    @property
    def gain(self) -> float:
        """The derivative of `velocity` by a gradient."""
        return 1 + self._recipe.momentum * self._recipe.nesterov

    def descend(self, learning_rate: float, figures: Mapping[str, Tensor]) -> tuple[dict[str, float], bool]:
        """Move the parameters by the gradients collected since the last `clear`, and drop these.

        Returns the figures, the "loss" among them, as numbers, and whether it moved: not where the loss or the gradient
        is not finite.
        """
        # The one moment of a step at which the host waits for the device.
        *values, norm = torch.stack([*figures.values(), self.gradient_norm()]).tolist()
        numbers = dict(zip(figures, values, strict=True))
        finite = math.isfinite(numbers["loss"]) and math.isfinite(norm)
        if finite:
            self.step(learning_rate, norm)
        self.clear()
        return numbers, finite

    def gradient_norm(self) -> Float[Tensor, ""]:
        """Collect the gradients of the backward passes since the last `clear`, and return their total norm."""
        self._active = [p for p in self._parameters.values() if p.grad is not None]
        self._gradients = [p.grad for p in self._active if p.grad is not None]
        return nn.utils.get_total_norm(self._gradients)

    def step(self, learning_rate: float, norm: float) -> None:
        """Clip the gradients that `gradient_norm` collected, of total norm `norm`, and move the parameters."""
        clip_to(self._gradients, norm, self._clip_norm)
        state = self._optimizer.state
        if self._begins:
            for parameter in self._active:
                if parameter not in state:
                    state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate
        self._optimizer.step()

    def clear(self) -> None:
        """Drop the gradients."""
        for parameter in self._active:
            parameter.grad = None
        self._active, self._gradients = [], []

    def state_dict(self) -> dict[str, Tensor]:
        """Return copies of what is kept for every parameter that has moved, as NAME/SLOT."""
        return {
            f"{name}/{slot}": saved(self._optimizer.state[parameter][key])
            for name, parameter in self._parameters.items()
            for slot, key in self._slots.items()
            if key in self._optimizer.state.get(parameter, {})
        }

    def load_state_dict(self, stored: Mapping[str, Tensor]) -> None:
        """Restore what `state_dict` returned."""
        state, fused = self._optimizer.state, self._optimizer.param_groups[0].get("fused")
        state.clear()
        for place, value in stored.items():
            name, slot = place.rsplit("/", 1)
            parameter = self._parameters[name]
            if slot == "steps":
                kept = value.to(parameter.device if fused else "cpu", copy=True)
            else:
                kept = torch.empty_like(parameter, requires_grad=False).copy_(value)
            state[parameter][self._slots[slot]] = kept


def _optimizer(parameters: list[Tensor], recipe: Recipe) -> torch.optim.Optimizer:
    fused = all(parameter.device.type in ("cpu", "cuda") for parameter in parameters)
    common: dict[str, Any] = {"lr": recipe.learning_rate, "weight_decay": recipe.weight_decay}
    decayed = [p for p in parameters if p.ndim > 1 or recipe.decay_norms]
    others = [p for p in parameters if p.ndim <= 1 and not recipe.decay_norms]
    groups: list[dict[str, Any]] = [{"params": decayed}, {"params": others, "weight_decay": 0.0}]
    groups = [group for group in groups if group["params"]]
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, momentum=recipe.momentum, nesterov=recipe.nesterov, fused=fused, **common)
    if recipe.optimizer == "muon":
        return Muon(groups, momentum=recipe.momentum, **common)
    if recipe.optimizer == "adam":
        betas = recipe.momentum, recipe.second_decay
        return torch.optim.Adam(groups, betas=betas, eps=recipe.epsilon, fused=fused, **common)
    return torch.optim.RMSprop(
        groups, momentum=recipe.momentum, alpha=recipe.second_decay, eps=recipe.epsilon, **common
    )
