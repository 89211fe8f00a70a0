"""Depthwise convolutions by the fast kernels are PyTorch's, with their gradients."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from archwright.nets.depthwise import depthwise, improves
from archwright.nets.ops import Convolution


@pytest.mark.parametrize("size", [(8, 8), (9, 10), (12, 7)])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("kernel", "dilation"), [(3, 1), (3, 2), (5, 1), (5, 2), (7, 1)])
def test_outputs_and_gradients_are_those_of_pytorch(
    kernel: int, dilation: int, stride: int, size: tuple[int, int]
) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 8, *size, dtype=torch.float64).contiguous(memory_format=torch.channels_last).requires_grad_()
    weight = torch.randn(8, 1, kernel, kernel, dtype=torch.float64, requires_grad=True)
    found = []
    for made in (
        functional.conv2d(x, weight, None, stride, kernel // 2 * dilation, dilation, 8),
        depthwise(x, weight, stride, dilation),
    ):
        first = torch.autograd.grad(made.sin().sum(), (x, weight), create_graph=True)
        again = torch.autograd.grad(sum(gradient.pow(3).sum() for gradient in first), (x, weight))
        found.append([made, *first, *again])
    torch.testing.assert_close(found[1], found[0])


def test_it_is_for_training_where_it_is_faster() -> None:
    conv = Convolution(8, 8, (5, 5), (1, 1), groups=8)
    x = torch.randn(2, 8, 8, 8)
    innermost = x.contiguous(memory_format=torch.channels_last)
    assert improves(innermost, conv.weight, 1)
    assert not improves(x, conv.weight, 1)
    assert not improves(innermost, conv.weight[..., :3], 1)
    assert improves(innermost, conv.weight[..., :3], 2)
    assert not improves(innermost, conv.weight.detach(), 1)
    with torch.autocast("cpu", torch.bfloat16):
        assert not improves(innermost, conv.weight, 1)
    outputs = [conv.train(training)(innermost) for training in (True, False)]
    torch.testing.assert_close(*outputs)
    assert "Wide" in type(conv.train()(innermost).grad_fn).__name__
