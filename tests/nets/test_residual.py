"""The residual network: of the published size, and of whatever size is asked for."""

from __future__ import annotations

import pytest
import torch

from archwright.nets.residual import Residual, residual_network
from archwright.space import Task
from archwright.training.measure import parameters


def test_at_16_channels_it_has_the_published_size() -> None:
    """He et al. 2016, table 6: 20 layers have 0.27M parameters; ours add the 1x1 convolutions of their option B."""
    assert parameters(Residual(Task(3, 32, 32, 10), 16)) == pytest.approx(0.27e6, rel=0.02)


@pytest.mark.parametrize("wanted", [100, 20_000, 300_000])
def test_it_comes_as_near_as_a_whole_number_of_channels_can(wanted: int) -> None:
    task = Task(1, 9, 12, 3)
    network = residual_network(task, wanted, stem_stride=2)
    width = network.classify.in_features // 4
    others = [parameters(Residual(task, w, stem_stride=2)) for w in (max(1, width - 1), width + 1)]
    assert all(abs(parameters(network) - wanted) <= abs(other - wanted) for other in others)
    assert network(torch.rand(2, 1, 9, 12)).shape == (2, 3)
