"""Laws of `Open`: what a network is built for."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archwright.errors import SpaceError
from archwright.space import Links, Open, Space, Task, count, decisions_of, sample
from archwright.spaces import EnasMicro
from archwright.testing.small_spaces import SMALL, STATIC, Chain, Ragged, Skips, Static

SEEDS = st.integers(0, 2**32)


def size(open: Open) -> int:
    """How many answer lists are still open in a static space."""
    states = [found.values() if isinstance(found, Mapping) else [found] for found in open.answers.values()]
    return math.prod(len(still) for decision in states for still in decision)


@pytest.mark.parametrize("space", [*STATIC, EnasMicro()], ids=lambda space: space.name)
def test_all_leaves_every_architecture_open(space: Space) -> None:
    assert size(Open.all(space)) == count(space)
    assert Open.all(space).architecture is None


@given(st.sampled_from(SMALL), SEEDS)
def test_only_leaves_one_architecture_open(space: Space, seed: int) -> None:
    architecture = sample(space, seed)
    open = Open.only(space, architecture)
    assert size(open) == 1
    assert open.architecture == architecture
    assert list(open.answers) == [name for name, _ in architecture.answers]
    for decision in decisions_of(space, architecture):
        if isinstance(decision, Links):
            chosen = tuple(name for name, states in open.links(decision.name).items() if states == (True,))
            assert chosen == architecture[decision.name]
        else:
            assert open[decision.name] == (architecture[decision.name],)


@given(st.sampled_from(STATIC), SEEDS)
def test_what_one_architecture_opens_is_open_in_all(space: Space, seed: int) -> None:
    everything, one = Open.all(space), Open.only(space, sample(space, seed))
    assert everything.answers.keys() == one.answers.keys()
    for name, found in one.answers.items():
        if isinstance(found, Mapping):
            assert everything.links(name).keys() == found.keys()
            assert all(set(states) < set(everything.links(name)[anchor]) for anchor, states in found.items())
        else:
            assert set(found) <= set(everything[name])


def test_a_conditional_space_has_no_supernet() -> None:
    with pytest.raises(SpaceError, match="depends on the answer to depth"):
        Open.all(Ragged())


def test_only_an_architecture_of_the_space_can_be_open() -> None:
    with pytest.raises(SpaceError, match="belongs to the space 'chain', not to 'static'"):
        Open.only(Static(), sample(Chain(), 0))


def test_sets_and_single_answers_are_asked_for_by_their_own_names() -> None:
    open = Open.all(Skips(layers=2))
    assert open["0/size"] == (8, 16, 32)
    assert open.links("1/skips") == {"0": (False, True)}
    with pytest.raises(SpaceError, match=r"links\('1/skips'\)"):
        open["1/skips"]
    with pytest.raises(SpaceError, match=r"\['0/size'\]"):
        open.links("0/size")
    with pytest.raises(KeyError):
        open["2/size"]


def test_a_space_that_describes_no_network_says_so() -> None:
    with pytest.raises(SpaceError, match="static describes no network"):
        Static().network(Open.all(Static()), Task(channels=1, height=8, width=8, classes=10))
