"""Muon: a convolution turns and keeps its norm, everything else is moved by SGD."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from archwright.errors import ConfigError
from archwright.training.muon import SHARE, Muon, orthogonalised
from archwright.training.optimizer import Optimizer
from archwright.training.recipe import Recipe

RECIPE = Recipe(optimizer="muon", weight_decay=0.01, decay_norms=False, clip_norm=None)


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        *(nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3, groups=8), nn.Flatten()),
        nn.Linear(8 * 16, 2),
    ).to(memory_format=torch.channels_last)


def advance(model: nn.Sequential, optimizer: Optimizer, step: int) -> None:
    x = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(step))
    model(x).square().sum().backward()
    optimizer.step(0.1, float(optimizer.gradient_norm()))
    optimizer.clear()


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 40), st.integers(1, 200), st.integers(0, 1000))
def test_singular_values_become_about_one(rows: int, columns: int, seed: int) -> None:
    matrix = torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))
    u, s, v = torch.linalg.svd(matrix, full_matrices=False)
    made = orthogonalised(matrix)
    # The same singular vectors; values that were not tiny are near 1, and none is far above it.
    values = (u.T @ made @ v.T).diagonal()
    torch.testing.assert_close(made, u @ torch.diag(values) @ v, atol=1e-3, rtol=1e-3)
    assert float(values.max()) < 1.3
    assert float(values[s / matrix.norm() > 0.05].min()) > 0.5


def test_a_convolution_turns_by_its_share_and_keeps_its_norm() -> None:
    model = network()
    optimizer = Optimizer(model, RECIPE)
    before = model[0].weight.detach().clone()
    advance(model, optimizer, 0)
    after = model[0].weight.detach()
    torch.testing.assert_close(after.norm(), before.norm())
    # An orthogonal matrix of rank r has the norm sqrt(r): the step is about SHARE x 0.1 of the weight's norm.
    turned = float((after - before).norm() / before.norm())
    assert 0.5 * SHARE * 0.1 < turned < 1.2 * SHARE * 0.1


def test_all_else_is_moved_as_by_sgd() -> None:
    ours, theirs = network(), network()
    first = Optimizer(ours, RECIPE)
    second = Optimizer(theirs, replace(RECIPE, optimizer="sgd"))
    advance(ours, first, 0)
    advance(theirs, second, 0)
    for (name, a), b in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-6) == (name != "0.weight"), name


def test_it_resumes_to_the_same_bits() -> None:
    whole, halved = network(), network()
    optimizer, first = Optimizer(whole, RECIPE), Optimizer(halved, RECIPE)
    for step in range(4):
        advance(whole, optimizer, step)
        if step < 2:
            advance(halved, first, step)
    second = Optimizer(halved, RECIPE)
    second.load_state_dict(first.state_dict())
    for step in (2, 3):
        advance(halved, second, step)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), halved.parameters(), strict=True))


def test_a_convolution_of_zeros_stays_a_number() -> None:
    weight = nn.Parameter(torch.zeros(4, 3, 3, 3))
    weight.grad = torch.ones_like(weight)
    Muon([{"params": [weight]}], lr=0.1, momentum=0.9).step()
    assert bool(weight.isfinite().all())


def test_other_names_are_told_which_there_are() -> None:
    with pytest.raises(ConfigError, match="sgd, adam, rmsprop, muon"):
        Recipe(optimizer="lion")  # type: ignore[arg-type]
