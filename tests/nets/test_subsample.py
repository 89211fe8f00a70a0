"""Subsampling is slicing, in value and in gradient, and its gradient keeps the memory format."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from archwright.nets.feature_map import subsample


@given(
    height=st.integers(1, 7),
    width=st.integers(1, 7),
    stride=st.integers(2, 3),
    starts=st.lists(st.integers(0, 1), min_size=1, max_size=3),
    channels_last=st.booleans(),
)
def test_it_is_slicing_with_zeros_beyond_the_edge(
    height: int, width: int, stride: int, starts: list[int], channels_last: bool
) -> None:
    layout = torch.channels_last if channels_last else torch.contiguous_format
    torch.manual_seed(0)
    x = torch.randn(2, 3, height, width).contiguous(memory_format=layout).requires_grad_()
    ours = subsample(x, starts, stride=stride, training=True)
    plain = subsample(x, starts, stride=stride, training=False)
    for part, expected in zip(ours, plain, strict=True):
        assert torch.equal(part, expected)
    weights = [torch.randn_like(part) for part in plain]
    gradients = [
        torch.autograd.grad(sum((part * w).sum() for part, w in zip(parts, weights, strict=True)), x)[0]
        for parts in (ours, plain)
    ]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_gradients_keep_the_memory_format(layout: torch.memory_format) -> None:
    x = torch.randn(2, 4, 6, 6).contiguous(memory_format=layout).requires_grad_()
    even, odd = subsample(x, (0, 1), stride=2, training=True)
    assert even.is_contiguous(memory_format=layout)
    (even.sum() + odd.sum()).backward()
    assert x.grad is not None
    assert x.grad.stride() == x.stride()


def test_it_can_be_derived_twice() -> None:
    x = torch.randn(1, 2, 5, 4, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda x: subsample(x, (0, 1), stride=2, training=True), (x,))
