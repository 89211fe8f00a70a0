"""The LSTM against PyTorch's own, and its gradients against finite differences."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from archwright.controllers.policy import Unrolled
from archwright.controllers.programs import Answers
from archwright.controllers.rollout import Inputs, Step, play
from archwright.space import Choice, Links
from written_programs import Written

EVERYTHING = Written(
    (
        ("choice", 3, None),
        ("anchor", 0, None),
        ("link", 2, None),
        ("anchor", 0, (0, 1)),
        ("links", 3, None),
        ("choice", 2, (2, 0)),
        ("anchor", 0, None),
        ("links", 4, (4, 1)),
        ("link", 4, None),
        ("anchor", 0, None),
    )
)


def run(steps: Sequence[Step], *tensors: torch.Tensor) -> torch.Tensor:
    unrolled = Unrolled(*tensors)
    return torch.stack([unrolled.step(step) for step in steps])


def written_steps(rows: int) -> tuple[tuple[Step, ...], Inputs]:
    """A script in which rows differ in everything: kinds, anchors, lengths."""
    inputs, rng = Inputs.of(EVERYTHING), np.random.default_rng(3)

    def answer(step: Step) -> list[Answers]:
        return [
            rng.random(group.keys.shape) < 0.6 if group.kind is Links else rng.integers(0, group.sizes)
            for group in step.groups
        ]

    script = play([EVERYTHING] * rows, inputs, answer)
    assert {group.kind for step in script.steps for group in step.groups} > {Choice, Links}
    assert any(step.feed is not None for step in script.steps)
    return script.steps, inputs


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("layers", [1, 2])
def test_gradients_equal_finite_differences(layers: int, bias: bool) -> None:
    steps, inputs = written_steps(rows=4)
    units, random = 3, torch.Generator().manual_seed(0)

    def leaf(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=random, dtype=torch.float64).requires_grad_()

    tensors = [leaf(inputs.anchors, units), leaf(layers, 2 * units, 4 * units)]
    tensors += [leaf(layers, 4 * units)] if bias else []
    assert torch.autograd.gradcheck(lambda *tensors: run(steps, *tensors), tensors)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("layers", [1, 2])
def test_is_the_lstm_of_pytorch(layers: int, bias: bool) -> None:
    units, batch, length = 5, 3, 7
    theirs = torch.nn.LSTM(units, units, layers, bias=bias).double()
    x = torch.randn(length * batch, units, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    ours, our_bias = [], []
    for layer in range(layers):
        both = torch.cat([getattr(theirs, f"weight_{end}_l{layer}") for end in ("ih", "hh")], 1).detach()
        i, f, g, o = both.chunk(4)  # PyTorch's order of gates
        ours.append(torch.cat([o, i, f, g]).t())
        if bias:
            i, f, g, o = sum(getattr(theirs, f"bias_{end}_l{layer}") for end in ("ih", "hh")).detach().chunk(4)
            our_bias.append(torch.cat([o, i, f, g]))
    lstm = torch.stack(ours)
    steps = [Step(t, np.arange(t * batch, (t + 1) * batch), None, (), None) for t in range(length)]
    hidden = run(steps, x, lstm, *([torch.stack(our_bias)] if bias else []))
    expected, _ = theirs(x.view(length, batch, units))
    torch.testing.assert_close(hidden, expected.detach())
