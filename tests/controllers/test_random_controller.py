"""Uniform proposals, and nothing learned."""

from __future__ import annotations

from collections import Counter

import pytest

from archwright.controllers import CONTROLLERS
from archwright.controllers.random import Random
from archwright.errors import ConfigError
from archwright.loop import Proposal, Result, Trial
from archwright.space import sample
from archwright.testing.small_spaces import Growing, Ragged, Skips, Static


def test_decisions_are_uniform() -> None:
    proposals = Random(Static(), seed=4).ask(range(3000))
    counts = Counter(proposal.architecture["extra"] for proposal in proposals)
    assert len(counts) == 4
    assert all(abs(count - 750) < 5 * (3000 * 0.25 * 0.75) ** 0.5 for count in counts.values())
    of_skips = Random(Skips(), seed=4).ask(range(2000))
    taken = sum("0" in proposal.architecture["1/skips"] for proposal in of_skips)
    assert abs(taken - 1000) < 5 * (2000 * 0.25) ** 0.5


def test_a_proposal_is_a_function_of_seed_and_stream() -> None:
    space = Ragged()
    random = Random(space, seed=7)
    together = random.ask(range(20))
    assert [random.ask([stream])[0] for stream in range(20)] == together
    assert together[3] == Proposal(3, sample(space, (7, 3)))
    assert Random(space, seed=8).ask(range(20)) != together


def test_takes_the_space_as_it_stands() -> None:
    early, late = Random(Growing()).ask([0, 25])
    assert len(early.architecture.answers) == 1
    assert len(late.architecture.answers) == 3


def test_learns_nothing() -> None:
    random = Random(Static())
    proposal = random.ask([0])[0]
    assert random.tell([Trial(0, proposal, Result(1.0), 0.0)]) is False
    assert random.state_dict() == {}
    random.load_state_dict({})
    assert random.ask([0])[0] == proposal
    with pytest.raises(ConfigError, match="batch=0"):
        Random(Static(), batch=0)


@pytest.mark.parametrize("name", CONTROLLERS)
def test_the_registry_names_controllers(name: str) -> None:
    from importlib import import_module

    module, _, cls = CONTROLLERS[name].partition(":")
    controller = getattr(import_module(module), cls)(Static())
    assert len(controller.ask(range(3))) == 3
