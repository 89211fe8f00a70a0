"""Muon: convolutions move by a matrix whose singular values are all about 1 (Jordan et al. 2024)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

COEFFICIENTS, ITERATIONS = (3.4445, -4.7750, 2.0315), 3  # airbench94_muon.py
MOMENTUM = 0.6  # of convolutions; the same
SHARE = 0.25  # of the learning rate: how far a convolution turns in a step (docs/value.md)
TINY = 1e-7


class Muon(torch.optim.Optimizer):
    """Turns convolutions, and moves everything else by SGD with Nesterov's momentum.

    A convolution is a matrix, a row for each filter. Its momentum is orthogonalised, and the step is `SHARE` of the
    learning rate times the matrix's own norm, which is then kept: what follows, a BatchNorm, does not see it, so
    neither a norm to decay nor its effect on the rate is left to tune (airbench94_muon.py sets it to a constant).
    Depthwise convolutions, which have no matrix, and classifiers are moved by SGD.

    Args:
        groups: parameters, as for `torch.optim.SGD`.
        lr: the learning rate.
        momentum: of SGD.
        weight_decay: of SGD, where a group has none of its own; no convolution decays.
    """

    def __init__(
        self, groups: Sequence[dict[str, Any]], *, lr: float, momentum: float, weight_decay: float = 0.0
    ) -> None:
        super().__init__(groups, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Move every parameter that has a gradient."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if "momentum_buffer" not in state:
                    state["momentum_buffer"] = torch.zeros_like(parameter)
                if parameter.ndim == 4 and parameter.shape[1] > 1:
                    _turn(parameter, parameter.grad, state["momentum_buffer"], SHARE * group["lr"])
                else:
                    gradient = parameter.grad.add(parameter, alpha=group["weight_decay"])
                    state["momentum_buffer"].mul_(group["momentum"]).add_(gradient)
                    gradient.add_(state["momentum_buffer"], alpha=group["momentum"])
                    parameter.add_(gradient, alpha=-group["lr"])


def _turn(weight: Tensor, gradient: Tensor, momentum: Tensor, rate: float) -> None:
    momentum.mul_(MOMENTUM).add_(gradient)
    matrix = gradient.add(momentum, alpha=MOMENTUM).flatten(1)
    norm, rank = weight.norm(), min(matrix.shape)
    weight.sub_(orthogonalised(matrix).view_as(weight) * (rate * norm / rank**0.5))
    weight.mul_(norm / weight.norm().clamp(min=TINY))


def orthogonalised(matrix: Float[Tensor, "rows columns"]) -> Float[Tensor, "rows columns"]:
    """Return about U V^T of the matrix U S V^T: a few Newton-Schulz steps bring singular values near 1."""
    a, b, c = COEFFICIENTS
    x: Tensor = matrix / matrix.norm().clamp(min=TINY)
    tall = x.shape[0] > x.shape[1]
    if tall:
        x = x.T
    for _ in range(ITERATIONS):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return x.T if tall else x
