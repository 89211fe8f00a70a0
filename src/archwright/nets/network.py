"""What every network that a space builds can do, and what is set for a whole network at once."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias, TypeVar, cast

from jaxtyping import Float
from torch import Tensor, nn

from archwright.errors import SpaceError
from archwright.nets.ops import DropPath
from archwright.space import Architecture

Wired = TypeVar("Wired")
Images: TypeAlias = Float[Tensor, "batch channels height width"]
Logits: TypeAlias = Float[Tensor, "batch classes"]
# What a drawing shows: the first word of a graph's title, the name of a node, and the module or the number of weights.
Drawn: TypeAlias = "tuple[str, str, nn.Module | int]"


class Network(nn.Module):
    """A classifier of images: a child network, or a supernet that runs the architecture it is given.

    A child ignores `architecture`; a supernet needs it.
    """

    @abstractmethod
    def with_auxiliary(self, x: Images, architecture: Architecture | None = None) -> tuple[Logits, Logits | None]:
        """Return logits, and those of the auxiliary head: None outside training or where there is none."""

    def forward(self, x: Images, architecture: Architecture | None = None) -> Logits:
        return self.with_auxiliary(x, architecture)[0]

    def drawn(self) -> Iterator[Drawn]:
        """Yield what the nodes of the space's graphs are here; those of a repeated cell come once for each cell."""
        return iter(())

    def set_progress(self, progress: float) -> None:
        """Say how far training is, 0 to 1: scheduled drop path grows with it."""
        for module in self.modules():
            if isinstance(module, DropPath):
                module.progress = progress


def wired(fixed: Wired | None, wire: Callable[[Architecture], Wired], architecture: Architecture | None) -> Wired:
    """Return a child's own wiring (`fixed`), or what `wire` reads from the architecture that shared weights run."""
    if fixed is not None:
        return fixed
    if architecture is None:
        raise SpaceError("a network with shared weights needs an architecture to run")
    return wire(architecture)


def stem(inputs: int, filters: int, stride: int, *, padded: bool = True) -> nn.Sequential:
    """Build the first layers: a 3x3 convolution (5x5 from stride 4), BatchNorm."""
    kernel = 3 if stride < 4 else 5
    padding = kernel // 2 if padded else 0
    convolution = nn.Conv2d(inputs, filters, kernel, stride, padding=padding, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(filters))


def without_auxiliary(network: Any) -> Any:
    """Remove the auxiliary head, which is for training only, and return the network."""
    if getattr(network, "auxiliary", None) is not None:
        network.auxiliary = None
    return network


def initialise(network: nn.Module, *, truncated: bool = False) -> None:
    """He-normal weights (fan in) for convolutions and classifiers, zero biases: ENAS's official initialisation.

    `truncated` is NASNet's instead, TF-slim's variance scaling of factor 2 by fan out: normal of variance 1.3 x 2 / fan
    out, cut off at two standard deviations. The fan out of a depthwise convolution is its kernel's size, as there.
    """
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            if truncated:
                groups = module.groups if isinstance(module, nn.Conv2d) else 1
                fan_out = module.weight.shape[0] // groups * module.weight[0, 0].numel()
                deviation = math.sqrt(1.3 * 2 / fan_out)
                nn.init.trunc_normal_(module.weight, std=deviation, a=-2 * deviation, b=2 * deviation)
            else:
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def use_batch_statistics(network: nn.Module) -> None:
    """Make every BatchNorm use the statistics of its batch, in evaluation too.

    While weights are shared, running ones would mix the architectures that share them (DARTS 2019; ENAS's micro code).
    """
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.track_running_stats = False
            module.running_mean = module.running_var = cast(Tensor, None)
            module.num_batches_tracked = None


def remove_scales(network: nn.Module) -> None:
    """Take scale and shift away from every BatchNorm."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.affine = False
            module.weight = module.bias = cast(nn.Parameter, None)


def set_norms(network: nn.Module, *, epsilon: float, momentum: float) -> None:
    """Set every BatchNorm: TensorFlow's decay d is a momentum of 1 - d here."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps, module.momentum = epsilon, momentum
