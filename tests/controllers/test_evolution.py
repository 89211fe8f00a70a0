"""Regularised evolution: who lives, who is a parent, and what a child is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pytest

from archwright.controllers.evolution import RegularizedEvolution
from archwright.controllers.guided import Guided
from archwright.controllers.random import Random
from archwright.errors import ConfigError
from archwright.loop import Proposal, Result, Trial
from archwright.space import Architecture, Choice, Program, Seed, Space, check, generator, replay, sample
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


@pytest.mark.parametrize("wrong", [{"population": 0}, {"sample": 0}, {"batch": 0}, {"crossover": 2}])
def test_refuses_impossible_settings(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="{}={}".format(*next(iter(wrong.items())))):
        RegularizedEvolution(Chain(), **wrong)


@dataclass(frozen=True)
class Crossing(Space):
    """Numbers, whose children have the first of one parent and the rest of the other; a variation adds 10 to one."""

    name: ClassVar[str] = "crossing"
    vocabularies = {"number": tuple(range(100))}

    def decide(self) -> Program:
        for place in range(6):
            yield Choice(f"{place}", self.vocabularies["number"], "number")

    def varied(self, architecture: Architecture, seed: Seed) -> Architecture:
        answers = dict(architecture.answers)
        place = f"{generator(seed).integers(6)}"
        return replay(self, {**answers, place: (answers[place] + 10) % 100})

    def crossed(self, one: Architecture, other: Architecture, seed: Seed) -> Architecture | None:
        cut = int(generator(seed).integers(1, 6))
        child = replay(self, [*one.answers[:cut], *other.answers[cut:]])
        return child if child not in (one, other) else None


def test_parents_are_crossed_and_varied_as_the_space_says() -> None:
    space = Crossing()
    controller = RegularizedEvolution(space, population=4, crossover=0.5, seed=2)
    parents = [proposal.architecture for proposal in controller.ask(range(4))]
    for stream, architecture in enumerate(parents):
        told(controller, stream, architecture, 0.5)
    known = [{answer for _, answer in architecture.answers} for architecture in parents]
    crossed = varied = 0
    for proposal in controller.ask(range(4, 64)):
        check(space, proposal.architecture)
        answers = {answer for _, answer in proposal.architecture.answers}
        if any(differences(proposal.architecture, parent) == 1 for parent in parents) and not answers <= set.union(
            *known
        ):
            varied += 1
        else:
            assert answers <= set.union(*known), "neither a variation nor made of parents"
            crossed += 1
    assert varied >= 15
    assert crossed >= 10
    alone = RegularizedEvolution(space, population=4, crossover=0.0, seed=2)
    alone.load_state_dict(controller.state_dict())
    children = [proposal.architecture for proposal in alone.ask(range(4, 24))]
    assert all(min(differences(child, parent) for parent in parents) == 1 for child in children)


def test_begins_with_variations_of_what_it_was_given() -> None:
    """Nothing is known before the first trial, so that is uniform, unless somebody else proposes it."""
    space = Crossing()
    controller = RegularizedEvolution(space, population=5, first="varied", crossover=0.0, seed=3)
    assert controller.ask([0]) == Random(space, seed=3).ask([0])
    given = sample(space, 1)
    told(controller, 0, given, 0.5)
    assert all(differences(proposal.architecture, given) == 1 for proposal in controller.ask(range(1, 9)))


def test_candidates_of_guided_search_are_crossed_and_varied_too() -> None:
    space = Crossing()
    controller = Guided(space, start=3, random=0, mutants=20, seed=4)
    for proposal in controller.ask(range(3)):
        controller.tell([Trial(proposal.stream, proposal, Result(0.1 * proposal.stream), 0.0)])
    (chosen,) = controller.ask([3])
    tried = [proposal.architecture for proposal in Random(space, seed=4).ask(range(3))]
    tens = {answer % 10 for architecture in tried for _, answer in architecture.answers}
    assert {answer % 10 for _, answer in chosen.architecture.answers} <= tens
