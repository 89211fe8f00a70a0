"""What a network costs, as a score: the larger, the better."""

from __future__ import annotations

from typing import TYPE_CHECKING

from archwright.training.measure import parameters as count_parameters

if TYPE_CHECKING:
    from archwright.proxies.untrained import Untrained


def parameters(one: Untrained) -> float:
    """Count the parameters."""
    return count_parameters(one.network)


def multiply_adds(one: Untrained) -> float:
    """Count the multiply-adds of one image or token."""
    return one.kind.multiply_adds(one.network, one.task)


def layers(one: Untrained) -> float:
    """Count the layers with weights: convolutions and matrices."""
    return float(sum(parameter.dim() > 1 for parameter in one.network.parameters()))
