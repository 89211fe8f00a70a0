"""Weighted sums of operations: their value, what they share, partial channels, and the networks made of them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from archwright.errors import SpaceError
from archwright.nets.feature_map import FeatureMap
from archwright.nets.mixture import MixedOperation
from archwright.nets.network import use_batch_statistics
from archwright.nets.ops import OPERATIONS

NAMES = ("none", "max_3x3", "identity", "conv_3x3", "sep_3x3")
X = torch.randn(2, 8, 6, 7, generator=torch.Generator().manual_seed(1))
WEIGHTS = torch.tensor([0.1, 0.2, 0.3, 0.15, 0.25])


def make(name: str, channels: int, stride: int) -> nn.Module:
    return OPERATIONS[name](channels, stride)


@pytest.mark.parametrize("stride", [1, 2])
def test_the_sum_is_that_of_the_weighted_outputs(stride: int) -> None:
    edge = MixedOperation(NAMES, make, 8, stride=stride)
    alone = {name: edge.operations[name](X.relu() if "conv" in name or "sep" in name else X) for name in NAMES[1:]}
    expected = sum(weight * alone[name] for weight, name in zip(WEIGHTS[1:], NAMES[1:], strict=True))
    assert_close(edge(FeatureMap(X), WEIGHTS), expected)


def test_zeros_have_the_size_of_the_others_and_a_gradient_of_zero() -> None:
    for stride in (1, 2):
        x = X.clone().requires_grad_()
        output = MixedOperation(("none",), make, 8, stride=stride)(FeatureMap(x))
        assert output.shape == MixedOperation(("max_3x3",), make, 8, stride=stride)(FeatureMap(x)).shape
        (gradient,) = torch.autograd.grad(output.sum(), x)
        assert not output.any()
        assert not gradient.any()


@pytest.mark.parametrize("stride", [1, 2])
def test_partial_channels_are_the_official_ones(stride: int) -> None:
    """`MixedOp` and `channel_shuffle` of the official PC-DARTS, K = 4."""
    torch.manual_seed(0)
    edge = MixedOperation(NAMES, make, 8, stride=stride, partial=4)
    read, rest = X[:, :2], X[:, 2:]
    plain = MixedOperation(NAMES, make, 2, stride=stride)
    plain.load_state_dict(edge.state_dict())
    passed = rest if stride == 1 else nn.MaxPool2d(2, 2, ceil_mode=True)(rest)
    joined = torch.cat([plain(FeatureMap(read), WEIGHTS), passed], 1)
    batch, channels, height, width = joined.shape
    shuffled = joined.view(batch, 4, channels // 4, height, width).transpose(1, 2).reshape(batch, -1, height, width)
    assert_close(edge(FeatureMap(X), WEIGHTS), shuffled)
    innermost = X.contiguous(memory_format=torch.channels_last)
    output = edge.to(memory_format=torch.channels_last)(FeatureMap(innermost), WEIGHTS)
    assert output.is_contiguous(memory_format=torch.channels_last)
    assert_close(output, shuffled)
    with pytest.raises(SpaceError, match="6 channels cannot be divided into 4"):
        MixedOperation(NAMES, make, 6, partial=4)


class Counted(nn.Module):
    calls = 0

    def __init__(self, inner: nn.Module, *, after_relu: bool = False) -> None:
        super().__init__()
        self.inner, self.after_relu = inner, after_relu

    def forward(self, x: Tensor) -> Tensor:
        type(self).calls += 1
        return self.inner(x)


@pytest.mark.parametrize(("pool", "calls"), [("plain", 1), ("normalised", 1), ("scaled", 2), ("running", 2)])
def test_operations_without_weights_run_once_for_all_edges_of_a_state(monkeypatch: Any, pool: str, calls: int) -> None:
    monkeypatch.setattr(Counted, "calls", 0)

    def counted(name: str, channels: int, stride: int) -> nn.Module:
        inner: list[nn.Module] = [nn.AvgPool2d(3, stride, 1)]
        if pool != "plain":
            inner.append(nn.BatchNorm2d(channels, affine=pool == "scaled"))
        made = Counted(nn.Sequential(*inner))
        if pool != "running":
            use_batch_statistics(made)
        return made

    edges = [MixedOperation(("none", "pool"), counted, 8) for _ in range(2)]
    features = FeatureMap(X)
    first, second = (edge(features, torch.tensor([0.0, 1.0])) for edge in edges)
    assert Counted.calls == calls
    assert_close(first, second)


def test_a_state_is_divided_and_rectified_once() -> None:
    features = FeatureMap(X)
    assert features.relu() is features.relu()
    assert features.parts(2) is features.parts(2)
    assert features.parts(2)[0] is not features.parts(4)[0]
