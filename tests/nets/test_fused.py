"""What edges compute together is what each computes alone, with its gradients of the first and second order."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from archwright.nets import fused
from archwright.nets.edges import Edges
from archwright.nets.feature_map import FeatureMap
from archwright.nets.fused import fuses, mixed_together
from archwright.nets.mixture import MixedOperation
from archwright.nets.network import remove_scales, use_batch_statistics
from archwright.nets.wiring import Operands
from archwright.spaces.darts import OPERATIONS

NAMES = ("none", *OPERATIONS)
Sums = Callable[[list[MixedOperation], FeatureMap, list[Tensor]], list[Tensor]]


def alone(edges: list[MixedOperation], features: FeatureMap, weights: list[Tensor]) -> list[Tensor]:
    return [edge(features, own) for edge, own in zip(edges, weights, strict=True)]


def edges_of(count: int, names: tuple[str, ...], stride: int, partial: int) -> list[MixedOperation]:
    made = []
    for _ in range(count):
        node = Edges([Operands((0,), names)], 4, stride=stride, keep=1.0, normed_pools=True, partial=partial).double()
        remove_scales(node)
        use_batch_statistics(node)
        made.append(node.edges["0"])
    return made  # type: ignore[return-value]


def derived(sums: Sums, edges: list[MixedOperation], x: Tensor, weights: list[Tensor]) -> list[Tensor]:
    """The outputs, the gradients of a loss, and those of a sum of these."""
    outputs = sums(edges, FeatureMap(x), weights)
    parameters = [p for edge in edges for p in edge.parameters()]
    loss = torch.stack([(output * output.detach().cos()).sum() + output.pow(3).mean() for output in outputs]).sum()
    inputs = [x, *weights, *parameters]
    first = torch.autograd.grad(loss, inputs, retain_graph=True)  # by the backward passes that are written out
    again = torch.autograd.grad(loss, inputs, create_graph=True)
    total = torch.stack([gradient.sin().sum() for gradient in again]).sum()
    return [*outputs, *first, *again, *torch.autograd.grad(total, inputs)]


@pytest.mark.parametrize("few", [0, 10**6])
@pytest.mark.parametrize(
    ("count", "names", "stride", "partial"),
    [(1, NAMES, 1, 1), (3, NAMES, 2, 1), (2, NAMES, 1, 2), (2, NAMES[-2:], 2, 1), (2, NAMES[:4], 1, 1)],
)
def test_together_is_alone(
    monkeypatch: pytest.MonkeyPatch, few: int, count: int, names: tuple[str, ...], stride: int, partial: int
) -> None:
    monkeypatch.setattr(fused, "FEW", few)
    torch.manual_seed(0)
    edges = edges_of(count, names, stride, partial)
    x = torch.randn(3, 4, 7, 6, dtype=torch.float64).contiguous(memory_format=torch.channels_last).requires_grad_()
    weights = [torch.rand(len(names), dtype=torch.float64).requires_grad_() for _ in range(count)]
    expected, found = (derived(sums, edges, x, weights) for sums in (alone, mixed_together))
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-8)


def test_only_operations_without_scale_that_use_the_batch_are_fused() -> None:
    node = Edges([Operands((0,), ("sep_conv_3x3",))], 4, stride=1, keep=1.0, normed_pools=True, partial=1)
    operation: nn.Module = node.edges["0"].operations["sep_conv_3x3"]  # type: ignore[index, union-attr]
    assert not fuses(operation)
    remove_scales(operation)
    assert not fuses(operation)
    use_batch_statistics(operation)
    assert fuses(operation)
    assert not fuses(nn.Identity())


def test_bfloat16_is_near() -> None:
    torch.manual_seed(0)
    edges = [edge.float() for edge in edges_of(2, NAMES, 1, 1)]
    x = torch.randn(16, 4, 8, 8).contiguous(memory_format=torch.channels_last)
    weights = [torch.full((8,), 1 / 8)] * 2
    expected = mixed_together(edges, FeatureMap(x), weights)
    with torch.autocast("cpu", torch.bfloat16):
        found = mixed_together(edges, FeatureMap(x), weights)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.dtype == torch.bfloat16
        assert (ours - theirs).abs().max() < 0.05 * theirs.abs().max()
