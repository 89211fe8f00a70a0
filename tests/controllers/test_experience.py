"""What a policy remembers: ranks, the best, what was tried; and that a hundred trials are enough to learn with it."""

from __future__ import annotations

from statistics import NormalDist

import pytest

from archwright.controllers.experience import ENOUGH, Experience
from archwright.controllers.ppo import Ppo
from archwright.controllers.random import Random
from archwright.controllers.reinforce import Reinforce
from archwright.errors import ConfigError
from archwright.evaluators.function import Function
from archwright.loop import Controller, Proposal, Result, Trial, Trials, run
from archwright.presets.budget import PAPERS, for_budget
from archwright.space import Architecture, Space, check, sample
from archwright.spaces import EnasMicro, NasBench201
from archwright.testing import ControllerContract
from archwright.testing.small_spaces import Growing, Ragged, Skips

FEW = {"ranks": True, "around": 0.8, "fresh": True, "batch": 1, "units": 4, "entropy_weight": 0.0}


class TestReinforceWithExperience(ControllerContract):
    def make(self, space: Space, seed: int) -> Reinforce:
        return Reinforce(space, seed=seed, **FEW)


class TestPpoWithExperience(ControllerContract):
    def make(self, space: Space, seed: int) -> Ppo:
        return Ppo(space, seed=seed, **FEW | {"batch": 2})


def trials(space: Space, rewards: list[float]) -> list[Trial]:
    return [Trial(n, Proposal(n, sample(space, n)), Result(reward), 0.0) for n, reward in enumerate(rewards)]


def test_a_rank_counts_equal_rewards_half() -> None:
    experience, rewards = Experience(), [3.0, 1.0, 2.0, 2.0]
    experience.add(trials(NasBench201(), rewards), rewards)
    quantile = NormalDist().inv_cdf
    assert experience.scores([1.0, 2.0, 3.0]) == pytest.approx([quantile(1 / 8), quantile(1 / 2), quantile(7 / 8)])
    scaled = Experience()
    scaled.add(trials(NasBench201(), rewards), [reward**3 - 500 for reward in rewards])
    assert scaled.scores([-499.0]) == pytest.approx(experience.scores([1.0]))


@pytest.mark.parametrize("space", [NasBench201(), EnasMicro(nodes=2), Ragged(), Skips(), Growing()], ids=str)
def test_a_proposal_near_the_best_keeps_all_but_a_few_answers(space: Space) -> None:
    experience = Experience()
    rewards = [float(n) for n in range(ENOUGH)]
    made = trials(space, rewards)
    experience.add(made[:-1], rewards[:-1])
    assert experience.near(space, 1.0, (0, 0)) == {}
    experience.add(made[-1:], rewards[-1:])
    assert experience.near(space, 0.0, (0, 0)) == {}
    best = dict(made[-1].architecture.answers)
    anew = [len(best) - len(experience.near(space, 1.0, (0, stream))) for stream in range(60)]
    assert 1 <= min(anew) <= max(anew) <= 4
    policy = Reinforce(space, seed=1, **FEW | {"around": 1.0})
    policy.tell(made)
    for proposal in policy.ask(range(10, 16)):
        check(space.grown(proposal.stream), proposal.architecture)


def worth(architecture: Architecture) -> float:
    return float(sum(len(str(answer)) % 5 * (-1) ** n for n, (_, answer) in enumerate(architecture.answers)))


def found(controller: Controller, count: int) -> list[Trial]:
    return [e for e in run(controller, Function(worth), budget=Trials(count)) if isinstance(e, Trial)]


@pytest.mark.parametrize("name", ["reinforce", "ppo"])
def test_sixty_trials_find_what_four_hundred_random_ones_do(name: str) -> None:
    space = EnasMicro(nodes=2)
    settings = for_budget(name, 60, 16)
    controller = {"reinforce": Reinforce, "ppo": Ppo}[name](space, seed=3, **settings)
    known = found(controller, 60)
    assert max(trial.reward for trial in known) >= max(trial.reward for trial in found(Random(space, seed=3), 400))
    twice = len(known) - len({trial.architecture for trial in known})
    assert twice <= controller.batch - 1  # what is asked for at once may be the same


def test_budgets_of_the_papers_have_their_settings() -> None:
    assert for_budget("reinforce", PAPERS, 6) == for_budget("evolution", 100, 6) == for_budget("ppo", None, 6) == {}
    assert for_budget("ppo", 100, 6)["batch"] > for_budget("reinforce", 100, 6)["batch"]


def test_a_share_is_a_share() -> None:
    with pytest.raises(ConfigError, match="a share is from 0 to 1"):
        Reinforce(NasBench201(), around=1.5)
