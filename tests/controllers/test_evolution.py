"""Regularised evolution: who lives, who is a parent, and what a child is."""

from __future__ import annotations

import pytest

from archwright.controllers.evolution import RegularizedEvolution
from archwright.controllers.random import Random
from archwright.errors import ConfigError
from archwright.loop import Proposal, Result, Trial
from archwright.space import Architecture
from archwright.testing.small_spaces import Chain


def told(controller: RegularizedEvolution, stream: int, architecture: Architecture, reward: float) -> None:
    controller.tell([Trial(stream, Proposal(stream, architecture), Result(reward), 0.0)])


def differences(one: Architecture, other: Architecture) -> int:
    return sum(a != b for a, b in zip(one.answers, other.answers, strict=True))


def test_begins_as_random_search_does_and_then_mutates_the_best_of_the_living() -> None:
    """With a tournament of everybody's size many times over the winner is the best, unless it has grown too old."""
    space = Chain(nodes=4)
    controller = RegularizedEvolution(space, population=3, sample=60, seed=5)
    first = controller.ask(range(3))
    assert first == Random(space, seed=5).ask(range(3))
    best, *others = [proposal.architecture for proposal in first]
    for stream, (architecture, reward) in enumerate([(best, 0.9), (others[0], 0.5), (others[1], 0.1)]):
        told(controller, stream, architecture, reward)
    assert all(differences(p.architecture, best) == 1 for p in controller.ask(range(3, 23)))
    told(controller, 3, others[1], 0.2)  # the best was the oldest: it is no parent any more
    assert all(differences(p.architecture, others[0]) == 1 for p in controller.ask(range(4, 24)))


@pytest.mark.parametrize("wrong", [{"population": 0}, {"sample": 0}, {"batch": 0}])
def test_refuses_impossible_settings(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=f"{next(iter(wrong))}=0"):
        RegularizedEvolution(Chain(), **wrong)
