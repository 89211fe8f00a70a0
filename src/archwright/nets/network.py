"""What every network that a space builds can do, and what is set for a whole network at once."""

from __future__ import annotations

from abc import abstractmethod
from typing import cast

from jaxtyping import Float
from torch import Tensor, nn

from archwright.nets.ops import DropPath
from archwright.space import Architecture


class Network(nn.Module):
    """A classifier of images: a child network, or a supernet that runs the architecture it is given.

    A child ignores `architecture`; a supernet needs it.
    """

    @abstractmethod
    def with_auxiliary(
        self, x: Float[Tensor, "batch channels height width"], architecture: Architecture | None = None
    ) -> tuple[Float[Tensor, "batch classes"], Float[Tensor, "batch classes"] | None]:
        """Logits, and those of the auxiliary head: None outside training or where there is none."""

    def forward(
        self, x: Float[Tensor, "batch channels height width"], architecture: Architecture | None = None
    ) -> Float[Tensor, "batch classes"]:
        """Logits of preprocessed images."""
        return self.with_auxiliary(x, architecture)[0]

    def set_progress(self, progress: float) -> None:
        """Say how far training is, 0 to 1: scheduled drop path grows with it."""
        for module in self.modules():
            if isinstance(module, DropPath):
                module.progress = progress


def initialise(network: nn.Module) -> None:
    """He-normal weights (fan in) for convolutions and classifiers, zero biases: ENAS's official initialisation."""
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
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
