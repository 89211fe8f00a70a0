from __future__ import annotations

import pytest
import torch
from torch import nn

from archwright.training.placement import place

CPU = torch.device("cpu")


def innermost(convolution: nn.Conv2d, *, asked: bool = True) -> bool:
    result = place(nn.Sequential(convolution), CPU, channels_last=asked)
    weight = convolution.weight
    assert weight.is_contiguous(memory_format=torch.channels_last if result else torch.contiguous_format)
    return result


@pytest.mark.parametrize("inputs", range(2, 7))
def test_networks_whose_backward_pass_would_corrupt_memory_keep_channels_outermost(inputs):
    assert not innermost(nn.Conv2d(inputs, 4, 1, stride=2))


def test_other_networks_have_them_innermost_where_that_is_asked_for():
    assert innermost(nn.Conv2d(8, 4, 1, stride=2))
    assert innermost(nn.Conv2d(4, 4, 1))
    assert innermost(nn.Conv2d(4, 4, 3, stride=2, groups=4))
    assert not innermost(nn.Conv2d(8, 4, 1), asked=False)
