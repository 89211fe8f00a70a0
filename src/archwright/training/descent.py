"""Gradient descent over the parameters that took part in a step: SGD with momentum, Adam, RMSProp."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim.adam import adam
from torch.optim.rmsprop import rmsprop
from torch.optim.sgd import sgd

from archwright.training.recipe import Recipe
from archwright.training.regularisation import clip_to, total_norm

# What each optimizer keeps for a parameter; "steps" is one number.
SLOTS: Mapping[str, tuple[str, ...]] = {
    "sgd": ("momentum",),
    "adam": ("first", "second", "steps"),
    "rmsprop": ("second", "momentum", "steps"),
}


class Descent:
    """PyTorch's optimizers, whose memory and weight decay reach only parameters with a gradient.

    In a supernet most operations are not sampled in a step; those keep weights and momentum as they are. (TensorFlow's
    dense optimizers, which the official code uses, move them all.) What is kept of a parameter goes by its name, so the
    state is plain data. `torch.optim.SGD` does the same sums but walks all parameters several times a step.
    """

    def __init__(self, network: nn.Module, recipe: Recipe) -> None:
        self._parameters = [(name, p) for name, p in network.named_parameters() if p.requires_grad]
        self._recipe = recipe
        without = {"momentum"} if recipe.momentum == 0 else set()
        self._slots = [slot for slot in SLOTS[recipe.optimizer] if slot not in without]
        self._kept: dict[str, dict[str, Tensor]] = {}
        self._active: list[tuple[str, Tensor]] = []
        self._gradients: list[Tensor] = []

    def gradient_norm(self) -> Float[Tensor, ""]:
        """Take up the gradients of the backward passes since the last `clear`, and return their total norm."""
        self._active = [(name, p) for name, p in self._parameters if p.grad is not None]
        self._gradients = [p.grad for _, p in self._active if p.grad is not None]
        return total_norm(self._gradients)

    def step(self, learning_rate: float, norm: float) -> None:
        """Clip the gradients that `gradient_norm` took up, whose norm it gave, and move the parameters."""
        recipe = self._recipe
        clip_to(self._gradients, norm, recipe.clip_norm)
        for name, parameter in self._active:
            if name not in self._kept:
                self._kept[name] = {slot: _zeros(slot, parameter) for slot in self._slots}
        parameters = [p for _, p in self._active]
        kept = {slot: [self._kept[name][slot] for name, _ in self._active] for slot in self._slots}
        fused = self._gradients[0].device.type in ("cpu", "cuda")
        common: dict[str, Any] = {"lr": learning_rate, "weight_decay": recipe.weight_decay, "maximize": False}
        with torch.no_grad():
            if recipe.optimizer == "sgd":
                buffers: list[Any] = kept.get("momentum") or [None] * len(parameters)
                sgd(
                    parameters,
                    self._gradients,
                    buffers,
                    fused=fused,
                    momentum=recipe.momentum,
                    dampening=0.0,
                    nesterov=recipe.nesterov,
                    **common,
                )
            elif recipe.optimizer == "adam":
                adam(
                    parameters,
                    self._gradients,
                    kept["first"],
                    kept["second"],
                    [],
                    kept["steps"],
                    fused=fused,
                    amsgrad=False,
                    beta1=recipe.momentum,
                    beta2=recipe.second_decay,
                    eps=recipe.epsilon,
                    **common,
                )
            else:
                rmsprop(
                    parameters,
                    self._gradients,
                    kept["second"],
                    [],
                    kept.get("momentum", []),
                    kept["steps"],
                    alpha=recipe.second_decay,
                    eps=recipe.epsilon,
                    momentum=recipe.momentum,
                    centered=False,
                    **common,
                )

    def clear(self) -> None:
        """Drop the gradients."""
        for _, parameter in self._active:
            parameter.grad = None
        self._active, self._gradients = [], []

    def state_dict(self) -> dict[str, Any]:
        """What is kept of every parameter that has moved, as NAME/SLOT."""
        return {f"{name}/{slot}": saved(tensor) for name, kept in self._kept.items() for slot, tensor in kept.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        parameters = dict(self._parameters)
        self._kept = {}
        for key, value in state.items():
            name, slot = key.rsplit("/", 1)
            self._kept.setdefault(name, {})[slot] = _zeros(slot, parameters[name]).copy_(value)


def _zeros(slot: str, parameter: Tensor) -> Tensor:
    return parameter.new_zeros((), dtype=torch.float32) if slot == "steps" else torch.zeros_like(parameter)


def saved(tensor: Tensor) -> Tensor:
    """A copy for a state dict: on the CPU, contiguous, and no longer changed by training."""
    return tensor.detach().to("cpu", copy=True).contiguous()


def saved_network(network: nn.Module) -> dict[str, Any]:
    """Parameters and buffers of a network by name, as `saved` copies."""
    return {name: saved(tensor) for name, tensor in network.state_dict().items()}
