"""SynFlow (Tanaka et al. 2020) as a score of architectures (Abdelfattah et al. 2021)."""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from archwright.proxies.untrained import tensor_of

if TYPE_CHECKING:
    from archwright.proxies.untrained import Untrained


def synflow(one: Untrained) -> float:
    """Return log(1 + sum of w dR/dw over all weights).

    R is the sum of the outputs for an input of ones, with the absolute values of the weights and no BatchNorm. In
    double precision, since R grows exponentially with the depth.
    """
    network = copy.deepcopy(one.network).double().eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.register_forward_hook(_its_input)
    weights = list(network.parameters())
    with torch.no_grad():
        for weight in weights:
            weight.abs_()
    first, *others = one.inputs(network, 1)
    with torch.enable_grad():
        total = tensor_of(network(torch.ones_like(first), *others)).sum()
        gradients: tuple[Tensor | None, ...] = torch.autograd.grad(total, weights, allow_unused=True)
    pairs = zip(weights, gradients, strict=True)
    flow = sum((float((weight.detach() * gradient).sum()) for weight, gradient in pairs if gradient is not None), 0.0)
    return math.log1p(max(0.0, flow)) if math.isfinite(flow) else 0.0


def _its_input(module: nn.Module, read: tuple[Tensor, ...], made: Any) -> Tensor:
    return read[0]
