"""Weights of a network that differs in one place: the layers that both have are found whatever they are called."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from archwright.nets.grammar import GrammarNetwork
from archwright.sentences.library import parse
from archwright.space import Task
from archwright.training.inherit import held_by, in_common, inherit_alike

TASK = Task(channels=3, height=8, width=8, classes=5)
BLOCK = "sequential(norm, relu, conv3x3(same))"
PARENT = f"sequential(conv3x3(16), residual({BLOCK}), residual({BLOCK}), norm, relu)"
# What stands elsewhere in the child, and the share of its layers that the parent has.
CHILDREN = {
    "sequential(conv3x3(16), residual(sequential(norm, gelu, conv3x3(same))), residual("
    + BLOCK
    + "), norm, relu)": 1.0,
    f"sequential(conv3x3(16), residual({BLOCK}), residual({BLOCK}), residual(attend), norm, relu)": 0.8,
    f"sequential(conv3x3(16), residual({BLOCK}), norm, relu)": 1.0,
    f"sequential(conv5x5(16), residual({BLOCK}), residual({BLOCK}), norm, relu)": 0.75,
}
ATTEND = "routing(im2col(1, 1), attention(4), col2im)"


def network(text: str, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return GrammarNetwork(parse(text.replace("attend", ATTEND)), TASK, fused=True, dropout=0.0)


def trained(text: str) -> nn.Module:
    """Return a network with weights and statistics that none begins with."""
    made = network(text, 1)
    for value in made.state_dict().values():
        if value.is_floating_point():
            value.copy_(torch.rand(value.shape) + 0.1)
    return made


@pytest.mark.parametrize("child", CHILDREN)
def test_what_two_networks_have_in_common_is_taken(child: str) -> None:
    parent, ours = trained(PARENT), network(child, 2)
    before = {name: value.clone() for name, value in ours.state_dict().items()}
    share = in_common(held_by(ours.state_dict()), held_by(parent.state_dict()))
    inherit_alike(ours, parent.state_dict())
    theirs = [value for value in parent.state_dict().values() if value.is_floating_point()]
    taken = kept = 0
    for name, value in ours.state_dict().items():
        if value.is_floating_point():
            same = any(value.shape == one.shape and value.equal(one) for one in theirs)
            assert same or value.equal(before[name])
            taken, kept = taken + same * value.numel(), kept + (not same) * value.numel()
    assert share == pytest.approx(taken / (taken + kept), abs=0.01)
    assert share >= CHILDREN[child]


def test_of_the_same_sentence_all_is_taken_and_of_a_stranger_nothing() -> None:
    parent, again = trained(PARENT), network(PARENT, 3)
    inherit_alike(again, parent.state_dict())
    x = torch.randn(4, 3, 8, 8)
    assert again.eval()(x).equal(parent.eval()(x))
    stranger = network("sequential(conv3x3(24), norm, relu, linear(8))", 3)
    assert in_common(held_by(stranger.state_dict()), held_by(parent.state_dict())) < 0.05


@pytest.mark.parametrize("put_in", [BLOCK, "attend", "sequential(linear(same), norm)"])
def test_a_residual_branch_that_is_put_in_changes_nothing_at_first(put_in: str) -> None:
    parent = trained(PARENT)
    child = network(f"sequential(conv3x3(16), residual({BLOCK}), residual({put_in}), residual({BLOCK}), norm, relu)", 4)
    inherit_alike(child, parent.state_dict())
    x = torch.randn(4, 3, 8, 8)
    torch.testing.assert_close(child.eval()(x), parent.eval()(x), rtol=1e-5, atol=1e-5)
    child.train()(x).sum().backward()
    assert all(p.grad is not None for p in child.parameters())


def test_a_branch_that_ends_in_an_activation_begins_near_zero_not_at_it() -> None:
    plain, loud = (network(f"sequential(conv3x3(16), {b})", 5) for b in ("conv3x3(16)", "residual(conv3x3(16))"))
    last = [[m for m in made.modules() if isinstance(m, nn.Conv2d)][-1] for made in (plain, loud)]
    assert last[0].weight.abs().max() > 0
    assert last[1].weight.abs().max() == 0
    near = network("sequential(conv3x3(16), residual(sequential(conv3x3(16), relu)))", 5)
    quiet = [m for m in near.modules() if isinstance(m, nn.Conv2d)][-1].weight
    assert 0 < quiet.std() < 0.2 * last[0].weight.std()
