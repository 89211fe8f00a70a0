"""SGD with momentum over the parameters that took part in a step."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim.sgd import sgd

from archwright.training.recipe import Recipe
from archwright.training.regularisation import clip_to, total_norm


class Descent:
    """Nesterov SGD whose momentum and weight decay reach only parameters with a gradient.

    In a supernet most operations are not sampled in a step; those keep weights and momentum as they are. (TensorFlow's
    dense optimiser, which the official code uses, moves them all.) The momentum is kept by parameter name, so its
    state is plain data. `torch.optim.SGD` does the same sums but walks all parameters several times a step.
    """

    def __init__(self, network: nn.Module, recipe: Recipe) -> None:
        self._parameters = [(name, p) for name, p in network.named_parameters() if p.requires_grad]
        self._recipe = recipe
        self._momentum: dict[str, Tensor] = {}
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
            if name not in self._momentum:
                self._momentum[name] = torch.zeros_like(parameter)
        with torch.no_grad():
            sgd(
                [p for _, p in self._active],
                self._gradients,
                [self._momentum[name] for name, _ in self._active],
                fused=self._gradients[0].device.type in ("cpu", "cuda"),
                weight_decay=recipe.weight_decay,
                momentum=recipe.momentum,
                lr=learning_rate,
                dampening=0.0,
                nesterov=recipe.nesterov,
                maximize=False,
            )

    def clear(self) -> None:
        """Drop the gradients."""
        for _, parameter in self._active:
            parameter.grad = None
        self._active, self._gradients = [], []

    def state_dict(self) -> dict[str, Any]:
        """The momentum of every parameter that has moved, by name."""
        return {name: saved(tensor) for name, tensor in self._momentum.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        parameters = dict(self._parameters)
        self._momentum = {name: torch.zeros_like(parameters[name]).copy_(value) for name, value in state.items()}


def saved(tensor: Tensor) -> Tensor:
    """A copy for a state dict: on the CPU, contiguous, and no longer changed by training."""
    return tensor.detach().to("cpu", copy=True).contiguous()


def saved_network(network: nn.Module) -> dict[str, Any]:
    """Parameters and buffers of a network by name, as `saved` copies."""
    return {name: saved(tensor) for name, tensor in network.state_dict().items()}
