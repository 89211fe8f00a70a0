"""REINFORCE: its gradient, its baseline, that it learns, and that it resumes where it was."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch

from archwright.controllers.answers import Sets
from archwright.controllers.policy import Policy
from archwright.controllers.random import Random
from archwright.controllers.reinforce import Reinforce, moving_average, reinforce_loss, skip_penalty
from archwright.errors import ConfigError
from archwright.loop import Describes, Proposal, Result, Trial
from archwright.space import (
    Anchor,
    Architecture,
    Choice,
    Link,
    Links,
    Option,
    Program,
    Space,
    check,
    enumerate_space,
)
from archwright.states import pack, unpack
from archwright.testing.small_spaces import Chain, Growing, Ragged, Skips, Static


@dataclass(frozen=True)
class Mixed(Space):
    """A choice, a link and a set, each of which the later ones are conditioned on: 2 * 2 * 4 architectures."""

    name: ClassVar[str] = "mixed"

    @property
    def vocabularies(self) -> Mapping[str, tuple[Option, ...]]:
        return {"op": ("a", "b")}

    def decide(self) -> Program:
        yield Anchor("input", given=True)
        yield Anchor("first")
        yield Choice("op", ("a", "b"), "op")
        yield Link("from", ("input", "first"))
        yield Links("skips", ("input", "first"), anchor="second")


def trials(proposals: Iterable[Proposal], reward: Callable[[Architecture], float]) -> list[Trial]:
    return [Trial(p.stream, p, Result(reward(p.architecture)), 0.0) for p in proposals]


@pytest.mark.parametrize("baseline", [0.0, 0.7])
def test_expected_gradient_is_that_of_the_expected_reward(baseline: float) -> None:
    """Summed over all architectures, p times the gradient of the loss is minus the gradient of E[R]: whatever the
    baseline, and to the accuracy of finite differences in float64."""
    space = Mixed()
    every = list(enumerate_space(space))
    rewards = torch.linspace(0.1, 1.0, len(every), dtype=torch.float64)[torch.tensor([7 * i % 16 for i in range(16)])]
    policy = Policy(space, units=3, init=1.0).double()
    spaces = [space] * len(every)

    rollout = policy.score(spaces, every)
    probabilities = rollout.log_prob.detach().exp()
    for p, log_prob, reward in zip(probabilities, rollout.log_prob, rewards, strict=True):
        (p * reinforce_loss(log_prob[None], reward[None], baseline)).backward(retain_graph=True)

    step = 1e-6
    with torch.no_grad():
        for name, parameter in policy.named_parameters():
            flat = parameter.view(-1)
            assert parameter.grad is not None, name
            for index in range(0, len(flat), 5):  # every fifth parameter of each kind
                original = float(flat[index])
                expected = []
                for moved in (original + step, original - step):
                    flat[index] = moved
                    expected.append(float((policy.score(spaces, every).log_prob.exp() * rewards).sum()))
                flat[index] = original
                slope = (expected[0] - expected[1]) / (2 * step)
                assert -float(parameter.grad.view(-1)[index]) == pytest.approx(slope, abs=1e-9), (name, index)
            assert float(parameter.grad.abs().max()) > 1e-5, name


def planted(space: Space, best: Architecture) -> Callable[[Architecture], float]:
    """The share of decisions that are as in the best architecture."""
    answers = dict(best.answers)
    return lambda architecture: sum(answers.get(n) == a for n, a in architecture.answers) / len(answers)


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("space", [Chain(nodes=3, kinds=("a", "b", "c", "d")), Skips(layers=3)], ids=lambda s: s.name)
def test_learns_a_planted_architecture(space: Space, seed: int) -> None:
    """After 600 trials the mean reward of 100 proposals is far above that of 100 uniform ones."""
    reward = planted(space, Random(space, seed=99).ask([seed])[0].architecture)
    uniform = [reward(proposal.architecture) for proposal in Random(space, seed=seed).ask(range(100))]
    controller = Reinforce(space, learning_rate=3.5e-3, seed=seed)
    for first in range(0, 600, controller.batch):
        assert controller.tell(trials(controller.ask(range(first, first + controller.batch)), reward))
    learned = [reward(proposal.architecture) for proposal in controller.ask(range(1000, 1100))]
    error = math.sqrt((variance(uniform) + variance(learned)) / 100)
    assert mean(learned) - mean(uniform) > max(0.15, 5 * error)


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def variance(values: Sequence[float]) -> float:
    return sum((value - mean(values)) ** 2 for value in values) / (len(values) - 1)


def test_baseline_is_that_of_the_rewards_before() -> None:
    assert moving_average(0.0, [1.0, 1.0], 0.9) == pytest.approx(0.19)
    space = Static()
    controller = Reinforce(space, batch=2, baseline_decay=0.9, entropy_weight=0.0)
    proposals = controller.ask(range(4))
    assert controller.tell(trials(proposals[:2], lambda a: 0.4))
    assert controller.metrics()["baseline"] == pytest.approx(0.4)  # the first minibatch is its own baseline
    controller.tell(trials(proposals[2:], lambda a: 1.0))
    assert controller.metrics()["baseline"] == pytest.approx(0.4 * 0.81 + 0.19)
    assert Reinforce(space, baseline_start=0.0).metrics()["baseline"] == 0.0


def parameters(controller: Reinforce) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in controller.policy.named_parameters()}


def test_equal_rewards_move_nothing_at_first_and_everything_from_a_baseline_of_zero() -> None:
    space = Static()
    for start, moves in ((None, False), (0.0, True)):
        controller = Reinforce(space, batch=4, baseline_start=start, entropy_weight=0.0)
        before = parameters(controller)
        controller.tell(trials(controller.ask(range(4)), lambda a: 0.5))
        after = parameters(controller)
        assert any(not torch.equal(before[name], after[name]) for name in before) is moves


def test_entropy_is_a_part_of_the_reward() -> None:
    """With rewards of zero and a tiny policy near uniform, the baseline is the weight times the entropy."""
    controller = Reinforce(Static(), batch=4, entropy_weight=0.5)
    controller.tell(trials(controller.ask(range(4)), lambda a: 0.0))
    metrics = controller.metrics()
    assert metrics["baseline"] == pytest.approx(0.5 * 3 * metrics["entropy"], rel=1e-6)
    assert metrics["entropy"] == pytest.approx((2 * math.log(3) + math.log(4)) / 3, rel=1e-3)
    assert metrics["reward"] == 0.0


def test_changes_once_per_minibatch() -> None:
    controller = Reinforce(Static(), batch=3)
    proposals = controller.ask(range(7))
    told = trials(proposals, lambda a: float(a["first"] == 8))
    before = parameters(controller)
    assert [controller.tell([trial]) for trial in told[:2]] == [False, False]
    assert all(torch.equal(before[name], now) for name, now in parameters(controller).items())
    assert controller.tell(told[2:3]) is True
    assert any(not torch.equal(before[name], now) for name, now in parameters(controller).items())
    assert controller.tell(told[3:]) is True
    assert controller.metrics()["updates"] == 2


@pytest.mark.parametrize("reward", [math.nan, math.inf, -math.inf])
def test_a_reward_that_is_no_number_counts_as_zero_and_is_counted(reward: float) -> None:
    first, second = (Reinforce(Static(), batch=2, baseline_start=0.1) for _ in range(2))
    proposals = first.ask(range(2))
    for controller, value in ((first, reward), (second, 0.0)):
        good, bad = proposals
        failed = Trial(1, bad, Result(value, error="Diverged: loss is NaN"), 0.0)
        controller.tell([Trial(0, good, Result(0.5), 0.0), failed])
    for name, parameter in parameters(first).items():
        assert torch.equal(parameter, parameters(second)[name])
    assert first.metrics()["not_finite"] == 1
    assert second.metrics()["not_finite"] == 0


@pytest.mark.parametrize("space", [Ragged(), Skips(), Growing()], ids=lambda space: space.name)
def test_resumes_where_it_was(space: Space) -> None:
    """Stored whenever it says that it changed, and told again what came later, it ends the same bit for bit."""

    def reward(architecture: Architecture) -> float:
        return len(str(architecture.answers)) % 7 / 7

    def controller() -> Reinforce:
        return Reinforce(space, units=8, batch=4, seed=3)

    whole, first, second = controller(), controller(), controller()
    stored, later = b"", []
    for stream in range(30):
        proposal = whole.ask([stream])[0]
        assert whole.ask(range(stream, stream + 3))[0].architecture == proposal.architecture
        whole.tell(trials([proposal], reward))
        if stream < 19:
            told = trials(first.ask([stream]), reward)
            later += told
            if first.tell(told):
                stored, later = pack(first.state_dict()), []
    assert len(later) == 3
    second.load_state_dict(unpack(stored))
    second.tell(later)
    for stream in range(19, 30):
        second.tell(trials(second.ask([stream]), reward))
    assert pack(second.state_dict()) == pack(whole.state_dict())
    assert second.metrics() == whole.metrics()
    assert second.ask(range(40, 45)) == whole.ask(range(40, 45))


def test_state_is_a_copy() -> None:
    controller = Reinforce(Static(), batch=2)
    controller.tell(trials(controller.ask(range(2)), lambda a: float(a["first"] == 8) + len(str(a["extra"]))))
    state = controller.state_dict()
    kept = pack(state)
    controller.tell(trials(controller.ask(range(2, 4)), lambda a: float(a["second"] == 8) + len(str(a["extra"]))))
    assert pack(state) == kept
    assert pack(controller.state_dict()) != kept


def test_refuses_a_state_of_other_shapes() -> None:
    state = Reinforce(Static(), units=8).state_dict()
    with pytest.raises(ConfigError, match="of another space, or has other units"):
        Reinforce(Static(), units=9).load_state_dict(state)


def test_grows_with_the_space() -> None:
    space = Growing()
    controller = Reinforce(space, batch=10)
    for first in range(0, 30, 10):
        proposals = controller.ask(range(first, first + 10))
        for proposal in proposals:
            check(space.grown(proposal.stream), proposal.architecture)
        assert controller.tell(trials(proposals, lambda a: float(a["0/size"] == 8)))
    assert {len(proposal.architecture.answers) for proposal in controller.ask([0, 12, 25])} == {1, 2, 3}


def test_nas_has_the_published_settings() -> None:
    controller = Reinforce.nas(Static(), seed=1)
    assert controller.policy.lstm.shape == (2, 70, 140)  # two layers of 35 units
    bounds = [float(parameter.detach().abs().max()) for parameter in controller.policy.parameters()]
    assert 0.07 < max(bounds) <= 0.08
    assert controller._adam.param_groups[0]["lr"] == 6e-4
    assert Reinforce.nas(Static(), batch=3).batch == 3


def test_a_clipped_step_is_a_step_of_a_smaller_gradient() -> None:
    """Adam forgets the length of a single gradient, so a large epsilon is what shows it."""
    moved = []
    for clip in (None, 1e-3):
        controller = Reinforce(Static(), batch=4, clip=clip, epsilon=1.0, learning_rate=1.0, baseline_start=0.0)
        before = parameters(controller)
        controller.tell(trials(controller.ask(range(4)), lambda a: 1.0))
        moved.append(sum(float((now - before[name]).square().sum()) for name, now in parameters(controller).items()))
    assert 0 < moved[1] < 1e-3**2 * 1.01 < moved[0]


def test_describes_itself_and_proposes_with_probabilities() -> None:
    controller = Reinforce(Static())
    assert isinstance(controller, Describes)
    assert controller.metrics() == {"updates": 0.0}
    assert controller.ask([]) == []
    proposal = controller.ask([5])[0]
    assert proposal.stream == 5
    assert proposal.log_prob == pytest.approx(-math.log(36), abs=0.01)  # near uniform at first


def test_leaves_the_number_of_threads_alone() -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    controller = Reinforce(Static(), batch=1)
    controller.tell(trials(controller.ask([0]), lambda a: 1.0))
    assert torch.get_num_threads() == 3
    torch.set_num_threads(threads)


@pytest.mark.parametrize("wrong", [{"batch": 0}, {"learning_rate": 0.0}, {"baseline_decay": 1.5}])
def test_refuses_impossible_settings(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=f"{next(iter(wrong))}={next(iter(wrong.values()))}"):
        Reinforce(Static(), **wrong)


# The skip penalty


def test_the_skip_penalty_is_the_papers_divergence_by_hand() -> None:
    """Two decisions of a row with anchors (p = 0.5 and 0.25; p = 0.9), one without; the mean over the former."""

    def divergence(p: float) -> float:
        return p * math.log(p / 0.4) + (1 - p) * math.log((1 - p) / 0.6)

    valid = torch.tensor([[True, True], [True, False], [False, False]])
    probabilities = torch.tensor([[0.5, 0.25], [0.9, 0.0], [0.0, 0.0]])
    sets = Sets(("a", "b", "c"), torch.tensor([1, 1, 1]), probabilities, valid)
    by_hand = (divergence(0.5) + divergence(0.25) + divergence(0.9)) / 2
    assert skip_penalty(sets, 0.4, 2).tolist() == pytest.approx([0.0, by_hand], rel=1e-5)
    assert skip_penalty(None, 0.4, 2).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("target", [0.1, 0.9])
def test_with_equal_rewards_the_skip_penalty_alone_moves_links_to_its_target(target: float) -> None:
    controller = Reinforce(
        Skips(), learning_rate=0.02, entropy_weight=0.0, skip_weight=1.0, skip_target=target, temperature=None, seed=1
    )
    for first in range(0, 1500, 10):
        controller.tell(trials(controller.ask(range(first, first + 10)), lambda _: 0.5))
    sets = controller.policy.sample([Skips()] * 50, list(range(50))).sets
    assert sets is not None
    assert sets.probabilities[sets.valid].mean().item() == pytest.approx(target, abs=0.05)


def test_a_skip_penalty_out_of_range_is_refused() -> None:
    with pytest.raises(ConfigError, match="target between 0 and 1"):
        Reinforce(Skips(), skip_target=1.0)
