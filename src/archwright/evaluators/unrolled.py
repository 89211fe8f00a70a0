"""The gradient of a validation loss with respect to soft weights: first and second order (DARTS: Liu et al. 2019)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

Loss: TypeAlias = "Callable[[], Float[Tensor, '']]"  # with the parameters as they are at the moment of the call

# Of the finite difference, divided by the norm of the direction (DARTS 2019, footnote 2; official `architect.py`).
EPSILON = 0.01


def first_order(parameters: Sequence[Tensor], soft: Sequence[Tensor], validation: Loss) -> tuple[Tensor, list[Tensor]]:
    """Return the validation loss and its gradient, the weights held fixed (DARTS 2019, section 2.3: xi = 0)."""
    with _frozen(parameters):
        loss = validation()
        return loss.detach(), _gradients(loss, soft)


def second_order(
    parameters: Sequence[Tensor],
    soft: Sequence[Tensor],
    training: Loss,
    validation: Loss,
    *,
    rate: float,
    velocity: Callable[[Sequence[Tensor]], Sequence[Tensor]],
    gain: float = 1.0,
    epsilon: float = EPSILON,
) -> tuple[Tensor, list[Tensor]]:
    """Return the validation loss after a step of the weights, and its gradient through that step.

        grad_a L_val(w', a) - rate * gain * (grad_a L_train(w+, a) - grad_a L_train(w-, a)) / (2 e)

    where w' = w - rate * velocity(grad_w L_train), v = grad_w' L_val(w', a), e = epsilon / |v| and w+- = w +- e v
    (DARTS 2019, equations 7 and 8). `velocity` gives the direction of the optimizer's step, momentum and weight decay
    included, and `gain` its derivative by the gradient (more than 1 under Nesterov's momentum). Afterwards the
    parameters are to the bit what they were.
    """
    start = [parameter.detach().clone() for parameter in parameters]
    try:
        ahead = velocity(_gradients(training(), parameters))
        _move(parameters, start, ahead, -rate)
        del ahead
        loss = validation()
        slopes = _gradients(loss, [*soft, *parameters])
        direct, direction = slopes[: len(soft)], slopes[len(soft) :]
        step = epsilon / torch.linalg.vector_norm(torch.stack(torch._foreach_norm(direction))).item()
        sides = []
        for sign in (1, -1):
            _move(parameters, start, direction, sign * step)
            with _frozen(parameters):
                sides.append(_gradients(training(), soft))
    finally:
        _move(parameters, start)
    gradients = [
        slope - rate * gain * (above - below) / (2 * step) for slope, above, below in zip(direct, *sides, strict=True)
    ]
    return loss.detach(), gradients


@contextmanager
def _frozen(parameters: Sequence[Tensor]) -> Iterator[None]:
    """Compute no gradients of the parameters in a block: that halves its backward passes."""
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)


@torch.no_grad()
def _move(
    parameters: Sequence[Tensor], start: Sequence[Tensor], direction: Sequence[Tensor] | None = None, by: float = 0.0
) -> None:
    torch._foreach_copy_(list(parameters), list(start))
    if direction is not None:
        torch._foreach_add_(list(parameters), list(direction), alpha=by)


def _gradients(loss: Tensor, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Return the gradient of each input; zeros for what the loss does not read."""
    return list(torch.autograd.grad(loss, list(inputs), allow_unused=True, materialize_grads=True))
