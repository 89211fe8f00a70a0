"""Sentences that cost about as much as known networks: what is drawn, varied and crossed near them."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archwright.sentences.fitting import measured
from archwright.sentences.shapes import Cost
from archwright.space import Architecture, check, mutate, replay, sample
from archwright.spaces.grammar import Grammar
from archwright.spaces.grammar.trees import crossed, varied

TIMES = 2.0
WIDE = Grammar(channels=1, height=8, width=8)
SEEDS = st.integers(0, 2**32)


@cache
def known() -> tuple[Architecture, ...]:
    return tuple(WIDE.known(0.25).values())


@cache
def near() -> Grammar:
    return WIDE.near(known(), TIMES)


def cost(space: Grammar, architecture: Architecture) -> Cost:
    return measured(space.sentence(architecture), space.input)[1]


@cache
def bounds() -> tuple[float, float]:
    work = [cost(WIDE, one).work for one in known()]
    return min(work) / TIMES, max(work) * TIMES


def test_known_networks_are_sentences_near_themselves() -> None:
    assert len(known()) == 4
    assert near().vocabularies == WIDE.vocabularies
    for one in known():
        assert near().sentence(replay(near(), one.answers)) == WIDE.sentence(one)


def test_random_sentences_cost_about_as_much_as_known_networks() -> None:
    least, most = bounds()
    works = [cost(near(), sample(near(), seed)).work for seed in range(30)]
    assert max(works) <= most
    assert sum(work >= least - 1 for work in works) >= 27  # where shapes leave no room for more, less is done
    usual = [cost(WIDE, sample(WIDE, seed)).work for seed in range(30)]
    assert sum(least <= work <= most for work in usual) < 10  # so it is no accident


@given(seed=SEEDS, number=st.integers(0, 3))
@settings(max_examples=6)
def test_variations_cost_about_as_much(seed: int, number: int) -> None:
    least, most = bounds()
    one = replay(near(), known()[number].answers)
    for step in range(2):
        one = varied(near(), one, (seed, step))
        check(near(), one)
        assert least - 1 <= cost(near(), one).work <= most
    other = replay(near(), known()[(number + 1) % 4].answers)
    if (child := crossed(near(), one, other, seed)) is not None:
        assert least - 1 <= cost(near(), child).work <= most
    check(near(), mutate(near(), one, seed))


@pytest.mark.parametrize("limit", [{"multiply_adds": 200_000}, {"parameters": 3_000}, {"most_work": 300_000}])
def test_limits_of_the_user_stay(limit: dict[str, int]) -> None:
    space = replace(WIDE, **limit).near(known(), TIMES)
    for seed in range(4):
        assert cost(space, sample(space, seed)).within(replace(WIDE, **limit).limits)


def test_near_nothing_is_everything() -> None:
    assert WIDE.near([], TIMES) == WIDE
