"""PPO: its loss, that it learns, that late results count with their ratio, and that it resumes where it was."""

from __future__ import annotations

import math
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_reinforce import planted, trials

from archwright.controllers.ppo import Ppo, ppo_loss
from archwright.controllers.random import Random
from archwright.controllers.reinforce import Reinforce, reinforce_loss
from archwright.errors import ConfigError
from archwright.evaluators.function import Function
from archwright.loop import Describes, Evaluator, Proposal, Result, Trial, Trials, run
from archwright.space import Architecture, Space
from archwright.spaces.nasnet import NasNet
from archwright.states import pack, unpack
from archwright.store import RunStore
from archwright.testing.small_spaces import Chain, Growing, Ragged, Skips, Static

numbers = st.floats(-3, 3).filter(lambda x: abs(x) > 1e-3)


@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=6), st.floats(0.05, 0.5))
def test_at_a_ratio_of_one_the_gradient_is_that_of_reinforce(pairs: list[tuple[float, float]], clip: float) -> None:
    log_prob, advantage = (torch.tensor(values, dtype=torch.float64) for values in zip(*pairs, strict=True))
    gradients = []
    for loss in (ppo_loss, reinforce_loss):
        leaf = log_prob.clone().requires_grad_()
        value = ppo_loss(leaf, log_prob, advantage, clip) if loss is ppo_loss else reinforce_loss(leaf, advantage, 0.0)
        (gradient,) = torch.autograd.grad(value, leaf)
        gradients.append(gradient)
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "moves"),
    [
        (1.1, 1.0, -1.1, True),  # within the clip
        (1.5, 1.0, -1.2, False),  # good and already likelier: no further
        (0.5, 1.0, -0.5, True),  # good and less likely: back
        (0.5, -1.0, 0.8, False),  # bad and already less likely
        (1.5, -1.0, 1.5, True),  # bad and likelier: all of it counts
    ],
)
def test_the_loss_is_clipped_on_one_side(ratio: float, advantage: float, loss: float, moves: bool) -> None:
    """Schulman et al. 2017, figure 1."""
    log_prob = torch.tensor([math.log(ratio)], requires_grad=True)
    value = ppo_loss(log_prob, torch.zeros(1), torch.tensor([advantage]), 0.2)
    assert value.item() == pytest.approx(loss)
    value.backward()
    assert log_prob.grad is not None
    assert (log_prob.grad.item() != 0) is moves


def test_one_epoch_without_entropy_is_reinforce() -> None:
    space = Static()
    same = {"batch": 4, "learning_rate": 1e-3, "baseline_decay": 0.9, "temperature": None, "tanh_constant": None}
    one, other = Ppo(space, epochs=1, entropy_weight=0.0, **same), Reinforce(space, entropy_weight=0.0, **same)
    for first in (0, 4, 8):
        proposals = one.ask(range(first, first + 4))
        assert [p.architecture for p in proposals] == [p.architecture for p in other.ask(range(first, first + 4))]
        for controller in (one, other):
            controller.tell(trials(proposals, lambda a: float(a["first"] == 8)))
    for ours, theirs in zip(one.policy.parameters(), other.policy.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("space", [Chain(nodes=3, kinds=("a", "b", "c", "d")), Skips(layers=3)], ids=lambda s: s.name)
def test_learns_a_planted_architecture(space: Space) -> None:
    reward = planted(space, Random(space, seed=99).ask([0])[0].architecture)
    uniform = [reward(proposal.architecture) for proposal in Random(space, seed=0).ask(range(100))]
    controller = Ppo(space, learning_rate=3.5e-3, seed=0)
    for first in range(0, 400, controller.batch):
        assert controller.tell(trials(controller.ask(range(first, first + controller.batch)), reward))
    learned = [reward(proposal.architecture) for proposal in controller.ask(range(1000, 1100))]
    assert sum(learned) / 100 - sum(uniform) / 100 > 0.15


def moved(controller: Ppo, before: dict[str, torch.Tensor]) -> float:
    return sum(float((p.detach() - before[name]).square().sum()) for name, p in controller.policy.named_parameters())


def test_a_late_result_counts_with_its_ratio() -> None:
    """What is far likelier now than when it was proposed moves nothing if it was good; unknown counts as new."""
    gradients = []
    for shift in (0.0, -2.0, None):
        controller = Ppo(Static(), batch=2, epochs=1, entropy_weight=0.0, baseline_start=0.0, learning_rate=1e-3)
        before = {name: p.detach().clone() for name, p in controller.policy.named_parameters()}
        proposals = controller.ask(range(2))
        told = [
            replace(trial, proposal=replace(trial.proposal, log_prob=None if shift is None else p.log_prob + shift))
            for trial, p in zip(trials(proposals, lambda a: 1.0), proposals, strict=True)
        ]
        controller.tell(told)
        gradients.append(moved(controller, before))
    assert gradients[1] == 0.0
    assert gradients[0] == pytest.approx(gradients[2], rel=1e-3)
    assert gradients[0] > 0


@pytest.mark.parametrize("space", [Ragged(), Growing()], ids=lambda space: space.name)
def test_resumes_where_it_was(space: Space) -> None:
    """Stored whenever it says that it changed, and told again what came later, it ends the same bit for bit."""

    def reward(architecture: Architecture) -> float:
        return len(str(architecture.answers)) % 7 / 7

    whole, first, second = (Ppo(space, units=8, batch=4, seed=3) for _ in range(3))
    stored, later = b"", []
    for stream in range(30):
        whole.tell(trials(whole.ask([stream]), reward))
        if stream < 19:
            told = trials(first.ask([stream]), reward)
            later += told
            if first.tell(told):
                stored, later = pack(first.state_dict()), []
    second.load_state_dict(unpack(stored))
    second.tell(later)
    for stream in range(19, 30):
        second.tell(trials(second.ask([stream]), reward))
    assert pack(second.state_dict()) == pack(whole.state_dict())
    assert second.metrics() == whole.metrics()
    assert second.ask(range(40, 45)) == whole.ask(range(40, 45))


def test_has_the_published_settings_and_searches_nasnet() -> None:
    controller = Ppo(NasNet())
    assert controller.policy.lstm.shape == (1, 200, 400)  # one layer of 100 units
    assert controller.batch == 20
    assert isinstance(controller, Describes)
    assert controller.ask([3])[0].log_prob == pytest.approx(
        -2 * (sum(2 * math.log(n) for n in range(2, 7)) + 10 * math.log(13) + 5 * math.log(2)), rel=0.01
    )
    for _ in run(Ppo(NasNet(blocks=1), batch=4), Function(lambda a: 0.5), budget=Trials(9)):
        pass


@pytest.mark.parametrize("wrong", [{"clip": 0.0}, {"epochs": 0}, {"batch": 0}])
def test_refuses_impossible_settings(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=f"{next(iter(wrong))}={next(iter(wrong.values()))}"):
        Ppo(Static(), **wrong)


class Slow:
    """An engine of two workers whose first child takes until it is let go; all others are done at once."""

    workers = 2

    def __init__(self) -> None:
        self.held: tuple[Future[Result], Result] | None = None

    def submit(self, evaluator: Evaluator, proposal: Proposal) -> Future[Result]:
        future: Future[Result] = Future()
        if self.held is None:
            self.held = future, evaluator.evaluate(proposal)
        else:
            future.set_result(evaluator.evaluate(proposal))
        return future

    def let_go(self) -> None:
        assert self.held is not None
        future, result = self.held
        future.set_result(result)

    def close(self) -> None:
        pass


def test_nothing_waits_for_the_slowest_child_and_its_late_result_counts() -> None:
    controller, engine = Ppo(Static(), batch=4, learning_rate=0.01), Slow()
    done: list[Trial] = []
    for event in run(controller, Function(lambda a: float(a["first"] == 8)), budget=Trials(16), engine=engine):
        assert isinstance(event, Trial)
        done.append(event)
        if len(done) == 14:
            assert controller.metrics()["updates"] == 3  # of twelve results, while the first child is still trained
            engine.let_go()
    numbers = [trial.number for trial in done]
    assert numbers.index(0) >= 14
    late = done[numbers.index(0)].proposal
    assert late.log_prob is not None
    now = controller.policy.score([Static()], [late.architecture]).log_prob.item()
    assert abs(now - late.log_prob) > 0.01  # the policy has moved on since it proposed
    assert controller.metrics()["updates"] == 4


def test_a_run_that_is_taken_up_counts_late_results_as_one_that_was_not_stopped(tmp_path: Path) -> None:
    """The store keeps what the policy of a proposal said of it: after a resume it is not the policy of now."""

    def searched(folder: Path, stops: tuple[int, ...]) -> bytes:
        state = b""
        for count in (*stops, 24):
            controller = Ppo(Ragged(), units=8, batch=4, learning_rate=0.01, seed=5)
            with RunStore(folder, create=not folder.exists()) as store:
                evaluator = Function(lambda a: len(str(a.answers)) % 5 / 5)
                for _ in run(controller, evaluator, budget=Trials(count), store=store):
                    pass
            state = pack(controller.state_dict())
        return state

    assert searched(tmp_path / "stopped", (6, 11, 18)) == searched(tmp_path / "whole", ())
