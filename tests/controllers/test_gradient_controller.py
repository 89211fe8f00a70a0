"""The controller of a gradient search: Adam on alphas, beta-decay, and the straight-through sample of GDAS."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from archwright.controllers.gradient import Gradient, beta_decay, straight_through
from archwright.errors import ConfigError
from archwright.loop import Proposal, Result, Trial
from archwright.space import generator
from archwright.spaces import NasBench201
from archwright.spaces.nas_bench_201 import NAMES, OPERATIONS
from archwright.states import pack, unpack

SPACE = NasBench201(repeats=1, filters=4)


def told(controller: Gradient, stream: int, slope: Any) -> Proposal:
    """Report a trial whose gradient is `slope` of each soft weight's place."""
    (proposal,) = controller.ask([stream])
    gradient = {name: torch.tensor([float(slope(name, place)) for place in range(5)]) for name in NAMES}
    assert controller.tell([Trial(stream, proposal, Result(0.5, gradient=gradient), 0.0)])
    return proposal


def varied(name: str, place: int) -> float:
    return (NAMES.index(name) + 1) * (place - 1.5)


def test_it_begins_with_small_normal_alphas_of_its_seed() -> None:
    alphas = torch.stack([*Gradient(SPACE, init=1.0, seed=3).alphas.values()])
    assert alphas.shape == (6, 5)
    assert 0.6 < float(alphas.detach().std()) < 1.4
    torch.testing.assert_close(torch.stack([*Gradient(SPACE, seed=3).alphas.values()]), 1e-3 * alphas)
    assert not torch.equal(alphas, torch.stack([*Gradient(SPACE, init=1.0, seed=4).alphas.values()]))


def test_a_step_is_adams_through_the_softmax() -> None:
    controller = Gradient(SPACE, seed=1)
    alphas = torch.stack([*controller.alphas.values()]).detach().clone().requires_grad_()
    adam = torch.optim.Adam([alphas], lr=3e-4, betas=(0.5, 0.999), weight_decay=1e-3)  # DARTS 2019, appendix A.1.1
    slopes = torch.tensor([[varied(name, place) for place in range(5)] for name in NAMES])
    for stream in range(3):
        proposal = told(controller, stream, varied)
        assert proposal.soft is not None
        expected = alphas.softmax(1)
        torch.testing.assert_close(torch.stack([proposal.soft[name] for name in NAMES]), expected.detach())
        adam.zero_grad()
        expected.backward(slopes)
        adam.step()
    torch.testing.assert_close(torch.stack([*controller.alphas.values()]), alphas)


def test_it_proposes_what_its_weights_stand_for() -> None:
    controller = Gradient(SPACE, learning_rate=1.0)
    for stream in range(5):
        told(controller, stream, lambda name, place: -1.0 if OPERATIONS[place] == "skip_connect" else 0.0)
    (proposal,) = controller.ask([9])
    assert {answer for _, answer in proposal.architecture.answers} == {"skip_connect"}
    assert controller.metrics()["skips"] == 1.0
    assert controller.metrics()["entropy"] < Gradient(SPACE).metrics()["entropy"] == pytest.approx(1.609, abs=1e-3)


def test_beta_decay_is_the_mean_logsumexp_and_grows_to_its_weight() -> None:
    alphas = [torch.tensor([0.0, 1.0]), torch.tensor([2.0, 2.0])]
    assert float(beta_decay(alphas)) == pytest.approx((1.3132617 + 2.6931472) / 2)
    held = Gradient(SPACE, beta_decay=50.0, weight_decay=0.0, steps=4)
    before = torch.stack([*held.alphas.values()]).detach().clone()
    told(held, 0, lambda name, place: 0.0)  # its weight is 0 in the first step
    assert torch.equal(torch.stack([*held.alphas.values()]), before)
    told(held, 1, lambda name, place: 0.0)
    assert bool((torch.stack([*held.alphas.values()]) < before).all())
    # Its gradient is softmax(alpha) / 6: Adam's mean gradient has the weight 50 of 1/4 of the search, half of it new.
    moment = held._adam.state[held.alphas["1<-0"]]["exp_avg"]
    expected = 0.5 * 50 * 0.25 * before[0].softmax(0) / 6
    torch.testing.assert_close(moment, expected)


def test_a_straight_through_sample_is_one_option_with_the_gradient_of_its_soft_weights() -> None:
    alpha = torch.tensor([0.3, -0.5, 1.0], requires_grad=True)
    noise, slope = torch.tensor([0.1, 2.0, -0.4]), torch.tensor([1.0, -2.0, 0.5])
    sampled = straight_through(alpha, noise, 0.7)
    assert sampled.tolist() == [0.0, 1.0, 0.0]
    soft = ((alpha.log_softmax(0) + noise) / 0.7).softmax(0)
    (ours,), (expected,) = torch.autograd.grad(sampled, alpha, slope), torch.autograd.grad(soft, alpha, slope)
    torch.testing.assert_close(ours, expected)
    rng, counts = generator(0), torch.zeros(3)
    for _ in range(4000):
        counts += straight_through(alpha.detach(), torch.tensor(rng.gumbel(size=3), dtype=torch.float32), 10.0)
    assert bool(((counts / 4000 - alpha.detach().softmax(0)).abs() < 0.03).all())


def test_a_gumbel_search_proposes_samples_and_goes_on_where_it_was() -> None:
    whole, steps = Gradient(SPACE, sample="gumbel", steps=10, beta_decay=1.0), 8
    states = []
    for stream in range(steps):
        proposal = told(whole, stream, varied)
        assert proposal.soft is not None
        assert all(sorted(weights.tolist()) == [0, 0, 0, 0, 1] for weights in proposal.soft.values())
        states.append(pack(whole.state_dict()))
    again = Gradient(SPACE, sample="gumbel", steps=10, beta_decay=1.0)
    again.load_state_dict(unpack(states[3]))
    for stream in range(4, steps):
        told(again, stream, varied)
        assert pack(again.state_dict()) == states[stream]


def test_trials_without_a_gradient_teach_nothing() -> None:
    controller = Gradient(SPACE)
    (proposal,) = controller.ask([0])
    before = pack(controller.state_dict())
    assert not controller.tell([Trial(0, proposal, Result(0.0, {}, "ChildFailure: not finite"), 0.0)])
    assert pack(controller.state_dict()) == before


def test_wrong_settings_and_other_states_are_said() -> None:
    with pytest.raises(ConfigError, match="sample is 'hard'"):
        Gradient(SPACE, sample="hard")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="steps=0"):
        Gradient(SPACE, steps=0)
    state = Gradient(SPACE).state_dict()
    del state["alphas"]["1<-0"]
    with pytest.raises(ConfigError, match="another space"):
        Gradient(SPACE).load_state_dict(state)
