"""Recurrent cells in bfloat16: products are coarser and faster, states and weights keep their precision."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from archwright.space import Open, Space, TextTask, sample
from archwright.spaces.darts_recurrent import DartsRecurrent
from archwright.spaces.enas_recurrent import EnasRecurrent
from archwright.spaces.nas_recurrent import NasRecurrent

TASK, SEED = TextTask(vocabulary=50), 2
SPACES = [
    EnasRecurrent(nodes=4, units=32, recurrent_dropout=0.0),
    NasRecurrent(units=32),
    DartsRecurrent(nodes=3, units=32),
]


def step(space: Space, open: Open, tokens: Tensor, precision: torch.dtype) -> tuple[Tensor, tuple[Tensor, ...], Tensor]:
    """The logits, the states at the end, and all gradients of one step."""
    torch.manual_seed(0)
    network = space.network(open, TASK).eval()
    with torch.autocast("cpu", precision, enabled=precision != torch.float32):
        logits, states = network(tokens, network.start(8), sample(space, SEED))
    logits.float().logsumexp(2).sum().backward()
    gradients = [p.grad.flatten() for p in network.parameters() if p.grad is not None]
    assert {gradient.dtype for gradient in gradients} == {torch.float32}
    return logits.detach(), states[0], torch.cat(gradients)


@pytest.mark.parametrize(
    ("space", "shared"),
    [(space, shared) for space in SPACES for shared in (False, True) if space.shares_weights or not shared],
)
def test_products_are_coarser_and_states_are_not(space: Space, shared: bool) -> None:
    open = Open.all(space) if shared else Open.only(space, sample(space, SEED))
    tokens = torch.randint(0, 50, (12, 8), generator=torch.Generator().manual_seed(0))
    exact, coarse = (step(space, open, tokens, dtype) for dtype in (torch.float32, torch.bfloat16))
    assert not torch.equal(exact[1][0], coarse[1][0])
    for ours, theirs in zip(coarse[1], exact[1], strict=True):
        assert ours.dtype == torch.float32
        assert cosine_similarity(ours.flatten(), theirs.flatten(), dim=0) > 0.99
    assert cosine_similarity(coarse[2], exact[2], dim=0) > 0.99
