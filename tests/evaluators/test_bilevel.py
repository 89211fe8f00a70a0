"""Gradients of soft weights: first order is autograd's, second order that of the unrolled step; their search."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from archwright import loop
from archwright.controllers.gradient import Gradient
from archwright.controllers.random import Random
from archwright.errors import ConfigError, Diverged, RunError
from archwright.evaluators.bilevel import Bilevel
from archwright.evaluators.unrolled import second_order
from archwright.loop import Proposal, Trial, Trials, run
from archwright.space import sample
from archwright.spaces import EnasMicro, NasBench201
from archwright.states import pack, unpack
from archwright.store import RunStore
from archwright.training.optimizer import Optimizer
from archwright.training.recipe import DARTS_SEARCH
from small_images import image_data
from test_loop import Interrupted, Mortal

SPACE = NasBench201(repeats=1, filters=4)
RECIPE = replace(DARTS_SEARCH, epochs=3, batch=8, flip=False, pad=1)
DATA = image_data(train=50)  # halves of 25: 3 steps an epoch


def evaluator(**changes: Any) -> Bilevel:
    return Bilevel(**{"space": SPACE, "data": DATA, "recipe": RECIPE, "device": "cpu", "steps": 9, **changes})


def proposals(controller: Gradient) -> Callable[[int], list[Proposal]]:
    return lambda n: controller.ask(range(n))


class Tiny(nn.Module):
    """Two weighed operations in float64, smooth so that finite differences say something."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 5).double(), nn.Linear(5, 3).double()

    def forward(self, x: Tensor, soft: Tensor) -> Tensor:
        hidden = self.first(x)
        return self.second(soft[0] * torch.tanh(hidden) + soft[1] * torch.sigmoid(hidden) + soft[2] * hidden)


def test_images_grow_in_both_halves(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe, sizes = replace(RECIPE, small_from=0.5, small_until=0.6), []
    search = evaluator(recipe=recipe, order=1)
    forward = search.network.with_auxiliary

    def seen(x: Tensor, *rest: Any) -> Any:
        sizes.append(x.shape[2])
        return forward(x, *rest)

    monkeypatch.setattr(search.network, "with_auxiliary", seen)
    list(run(Gradient(SPACE), search, budget=Trials(9)))
    both = [recipe.side(8, step / 9) for step in range(9) for _ in ("alphas", "weights")]
    assert sizes == both[:-1]
    assert (sizes[0], sizes[-1]) == (4, 8)


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("steps", [0, 2])
def test_second_order_is_the_gradient_through_the_unrolled_step(steps: int, nesterov: bool) -> None:
    """With momentum from earlier steps, and weight decay."""
    torch.manual_seed(0)
    network, labels = Tiny(), torch.arange(12) % 3
    x, y = (torch.randn(12, 4, dtype=torch.float64) for _ in range(2))
    recipe = replace(DARTS_SEARCH, nesterov=nesterov, weight_decay=0.1, clip_norm=None)
    optimizer, rate = Optimizer(network, recipe), 0.3
    soft = torch.tensor([0.5, 0.2, 0.3], dtype=torch.float64, requires_grad=True)

    def loss(images: Tensor, parameters: dict[str, Tensor] | None = None) -> Tensor:
        outputs = network(images, soft) if parameters is None else functional_call(network, parameters, (images, soft))
        return nn.functional.cross_entropy(outputs, labels)

    for _ in range(steps):
        loss(x).backward()
        optimizer.step(rate, float(optimizer.gradient_norm()))
        optimizer.clear()
    named, before = dict(network.named_parameters()), pack(network.state_dict())
    slopes = torch.autograd.grad(loss(x), list(named.values()), create_graph=True)
    ahead = {}
    for (name, parameter), slope in zip(named.items(), slopes, strict=True):
        buffer = optimizer._optimizer.state[parameter]["momentum_buffer"] if steps else torch.zeros_like(parameter)
        speed = 0.9 * buffer + slope + 0.1 * parameter
        ahead[name] = parameter - rate * (slope + 0.1 * parameter + 0.9 * speed if nesterov else speed)
    (expected,) = torch.autograd.grad(loss(y, ahead), soft)
    (first,) = torch.autograd.grad(loss(y), soft)
    found, (ours,) = second_order(
        optimizer.parameters,
        [soft],
        lambda: loss(x),
        lambda: loss(y),
        rate=rate,
        velocity=optimizer.velocity,
        gain=optimizer.gain,
    )
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-7)
    assert not torch.allclose(first, expected, rtol=1e-2)
    torch.testing.assert_close(found, loss(y, ahead).detach())
    assert pack(network.state_dict()) == before


def test_the_unrolled_step_is_the_one_that_the_weights_take() -> None:
    """Where nothing is clipped: what `velocity` says is what `step` does."""
    network, other = Tiny(), Tiny()
    other.load_state_dict(network.state_dict())
    optimizer = Optimizer(network, replace(DARTS_SEARCH, clip_norm=None))
    for number in range(3):
        network(torch.full((2, 4), 1.0 + number, dtype=torch.float64), torch.ones(3)).square().sum().backward()
        before = [parameter.detach().clone() for parameter in optimizer.parameters]
        velocity = optimizer.velocity([parameter.grad for parameter in optimizer.parameters])
        optimizer.step(0.01, float(optimizer.gradient_norm()))
        optimizer.clear()
        for parameter, start, speed in zip(optimizer.parameters, before, velocity, strict=True):
            torch.testing.assert_close(parameter.detach(), start - 0.01 * speed)


def test_first_order_is_plain_autograd_on_the_other_half() -> None:
    ours, controller = evaluator(), Gradient(SPACE, init=1.0)
    list(ours.prepare(proposals(controller), 2))
    (proposal,) = controller.ask([0])
    result = ours.evaluate(proposal)
    soft = {name: weights.clone().requires_grad_() for name, weights in (proposal.soft or {}).items()}
    loss, _ = ours._alphas.loss(ours.network.train(), 2, soft)
    expected = torch.autograd.grad(loss, list(soft.values()))
    assert result.gradient is not None
    torch.testing.assert_close(list(result.gradient.values()), list(expected))
    assert result.metrics["validation_loss"] == loss.item()
    assert result.reward == result.metrics["validation_accuracy"]


def test_second_order_differs_and_leaves_all_as_it_was() -> None:
    controller = Gradient(SPACE, init=1.0)
    first, second = evaluator(), evaluator(order=2)
    for each in (first, second):
        list(each.prepare(proposals(controller), 2))
    (proposal,) = controller.ask([0])
    before = pack(second.state_dict())
    plain, unrolled = (each.evaluate(proposal).gradient or {} for each in (first, second))
    assert all(bool(gradient.isfinite().all()) for gradient in unrolled.values())
    assert any(not torch.allclose(plain[name], unrolled[name]) for name in plain)
    assert pack(second.state_dict()) == before


def test_the_halves_are_different_images_and_together_all() -> None:
    ours = evaluator()
    parts = [half.data.train for half in ours_halves(5)]
    assert [len(part) for part in parts] == [25, 25]
    together = torch.cat([part.x.flatten(1) for part in parts])
    assert len(together.unique(dim=0)) == len(DATA.train.x.flatten(1).unique(dim=0)) == 50
    assert not torch.equal(parts[0].x, ours_halves(6)[0].data.train.x)
    assert ours.trials_per_epoch == 3  # 8, 8 and 9 images


def ours_halves(seed: int) -> Any:
    from archwright.modalities import modality

    return modality(DATA).halves(seed)


def test_weights_step_once_a_trial_and_alone_at_first() -> None:
    controller = Gradient(SPACE)
    ours = evaluator(weights_first=0.25)
    assert (ours.first, ours.steps) == (3, 12)
    assert [progress.step for progress in ours.prepare(proposals(controller), 0)] == [1, 2, 3]
    assert [progress.step for progress in ours.prepare(proposals(controller), 2)] == [4, 5]
    assert not list(ours.prepare(proposals(controller), 2))
    plain = evaluator()
    assert not list(plain.prepare(proposals(controller), 0))
    rates = [progress.metrics["learning_rate"] for progress in plain.prepare(proposals(controller), 9)]
    assert rates[0] == 0.025 > rates[4] > rates[8] > 0.001 == pytest.approx(plain.rate)


def test_it_learns() -> None:
    space = NasBench201(repeats=1, filters=8)
    data = image_data(train=96)
    recipe = replace(RECIPE, batch=16, learning_rate=0.05)
    ours = Bilevel(space, data, recipe, device="cpu", steps=40)
    trials = [
        event for event in run(Gradient(space, learning_rate=0.03), ours, budget=Trials(40)) if isinstance(event, Trial)
    ]
    losses = [trial.result.metrics["validation_loss"] for trial in trials]
    assert sum(losses[-8:]) < 0.6 * sum(losses[:8])


def search(store: Any, **changes: Any) -> tuple[bytes, bytes]:
    """The final states of a whole search."""
    controller, ours, ticks = Gradient(SPACE, learning_rate=0.1), evaluator(**changes), count()
    for _ in run(controller, ours, budget=Trials(9), store=store, clock=lambda: float(next(ticks))):
        pass
    return pack(controller.state_dict()), pack(ours.state_dict())


@pytest.mark.parametrize("order", [1, 2])
def test_a_killed_search_ends_with_the_same_bits(tmp_path, monkeypatch, order) -> None:
    uninterrupted = search(None, order=order)
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 20.0)
    RunStore(tmp_path / "run", create=True).close()
    states = None
    while states is None:
        with RunStore(tmp_path / "run") as store, suppress(Interrupted):
            states = search(Mortal(store, 7), order=order)
    assert states == uninterrupted


def test_the_rank_of_architectures_is_that_of_their_children() -> None:
    """Under weights of one the mixture computes what the child computes (the law of spaces that mix)."""
    ours = evaluator()
    list(ours.prepare(proposals(Gradient(SPACE)), 6))
    architectures = [sample(SPACE, seed) for seed in range(3)]
    rewards = ours.rank(architectures, minibatches=None)
    assert rewards == ours.rank(architectures, minibatches=None)
    assert all(0 <= reward <= 1 for reward in rewards)


def test_steps_that_are_not_finite_are_skipped_and_a_whole_epoch_of_them_is_an_error() -> None:
    ours, controller = evaluator(), Gradient(SPACE)
    with torch.no_grad():
        ours.network.classify.weight.fill_(torch.inf)
    with pytest.raises(Diverged, match="in a row had no finite loss"):
        list(ours.prepare(proposals(controller), 9))
    assert ours.skipped == ours.trials_per_epoch
    trials = [t for t in run(controller, ours, budget=Trials(1)) if isinstance(t, Trial)]
    assert trials[0].result.error is not None


def test_what_cannot_be_searched_is_said() -> None:
    with pytest.raises(ConfigError, match="no mixture of operations"):
        evaluator(space=EnasMicro(ends="concatenate"))
    with pytest.raises(ConfigError, match="order is 2 and the optimizer adam"):
        evaluator(order=2, recipe=replace(RECIPE, optimizer="adam"))
    with pytest.raises(ConfigError, match="weights_first=1"):
        evaluator(weights_first=1.0)
    with pytest.raises(ConfigError, match="no soft weights"):
        list(run(Random(SPACE), evaluator(), budget=Trials(1)))
    with pytest.raises(RunError, match="has 9 steps"):
        evaluator(steps=8).load_state_dict(unpack(pack(evaluator().state_dict())))
