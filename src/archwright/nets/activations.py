"""The functions of recurrent cells, with their derivatives in terms of their outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

_aten = torch.ops.aten


@dataclass(frozen=True)
class Activation:
    """`backward(gradient, output)` is the gradient of the input."""

    forward: Callable[[Tensor], Tensor]
    backward: Callable[[Tensor, Tensor], Tensor]


ACTIVATIONS: Mapping[str, Activation] = {
    "identity": Activation(lambda x: x, lambda gradient, _: gradient),
    "tanh": Activation(torch.tanh, _aten.tanh_backward),
    "sigmoid": Activation(torch.sigmoid, _aten.sigmoid_backward),
    "relu": Activation(torch.relu, lambda gradient, output: _aten.threshold_backward(gradient, output, 0)),
}
