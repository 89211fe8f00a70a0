"""Laws of sampling, mutation, enumeration and counting, for fixed spaces and for programs that hypothesis writes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from archwright.errors import SpaceError, TooMany
from archwright.space import (
    Anchor,
    Architecture,
    Choice,
    Link,
    Links,
    Program,
    Space,
    alternatives,
    check,
    count,
    decisions_of,
    enumerate_space,
    mutate,
    neighbours,
    questions,
    replay,
    sample,
)
from archwright.spaces import SPACES, EnasMicro
from archwright.testing.small_spaces import SMALL, STATIC, Chain, Ragged, Skips, Static
from written_programs import Written

SEEDS = st.integers(0, 2**32)
CONDITIONS = st.none() | st.tuples(st.integers(0, 4), st.integers(0, 2))
STEPS = st.tuples(st.sampled_from(("choice", "choice", "link", "links", "anchor")), st.integers(1, 3), CONDITIONS)
WRITTEN = st.lists(STEPS, max_size=5).map(lambda steps: Written(tuple(steps)))
ANY = st.sampled_from(SMALL) | WRITTEN


def differing(one: Architecture, other: Architecture) -> list[str]:
    """The decisions that only one of two architectures has, or that they answer differently."""
    return sorted({name for name, _ in set(one.answers) ^ set(other.answers)})


# Counting and enumeration


@given(ANY)
def test_enumeration_gives_every_architecture_once_and_count_agrees(space: Space) -> None:
    everything = list(enumerate_space(space))
    assert len(set(everything)) == len(everything) == count(space)
    assert all(check(space, architecture) == architecture for architecture in everything[:20])


def test_enumeration_is_depth_first_in_the_order_of_options() -> None:
    sizes = [tuple(answer for _, answer in architecture.answers) for architecture in enumerate_space(Static())]
    assert sizes[:5] == [(8, 8, "relu"), (8, 8, 2), (8, 8, 0.5), (8, 8, False), (8, 16, "relu")]
    assert sizes[-1] == (32, 32, False)


def test_enumeration_of_a_huge_space_begins_at_once() -> None:
    first = next(enumerate_space(EnasMicro()))
    assert check(EnasMicro(), first) == first


@pytest.mark.parametrize("nodes", [1, 2, 5])
def test_enas_micro_is_counted_without_walking_it(nodes: int) -> None:
    # Per node two of 5 operations and two links, among 2, 3, ... anchors; two cells. The paper counts otherwise.
    assert count(EnasMicro(nodes=nodes)) == (25**nodes * math.factorial(nodes + 1) ** 2) ** 2


@pytest.mark.parametrize("layers", range(6))
def test_sets_of_links_are_counted_by_their_subsets(layers: int) -> None:
    assert count(Skips(layers)) == 3**layers * 2 ** (layers * (layers - 1) // 2)


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_the_spaces_that_come_along_are_counted(space: type[Space]) -> None:
    with suppress(TooMany):  # the grammar's
        assert count(space(), 300) > 1


INSPECTIONS: dict[str, Callable[[Any], object]] = {
    "equal": lambda answer: answer == 2,
    "reflected equal": lambda answer: 2 == answer,  # noqa: SIM300
    "unequal": lambda answer: answer != 2,
    "less": lambda answer: answer < 2,
    "reflected less": lambda answer: 2 > answer,  # noqa: SIM300
    "truth": lambda answer: not answer,
    "boolean operator": lambda answer: (answer or 3) == 3,
    "in a tuple": lambda answer: answer in (1, 2),
    "in a set": lambda answer: answer in {1, 2},
    "key": lambda answer: {1: True, 2: True}.get(answer),
    "index": lambda answer: (False, True, False)[answer],
    "range": lambda answer: len(range(answer)) > 1,
    "sum": lambda answer: answer + 1 > 2,
    "reflected product": lambda answer: 2 * answer > 2,
    "remainder": lambda answer: answer % 2,
    "divmod": lambda answer: divmod(answer, 2)[1],
    "power": lambda answer: 2**answer > 2,
    "bits": lambda answer: answer & 1,
    "shift": lambda answer: 1 << answer > 2,
    "negation": lambda answer: -answer < -1,
    "abs": lambda answer: abs(answer) > 1,
    "round": lambda answer: round(answer) > 1,
    "invert": lambda answer: ~answer == -2,
    "int": lambda answer: int(answer) > 1,
    "float": lambda answer: float(answer) > 1,
    "min": lambda answer: min(answer, 1) == 1,
    "str": lambda answer: str(answer) == "2",
    "repr": lambda answer: repr(answer) == "2",
    "format": lambda answer: f"{answer}" == "2",
    "percent": lambda answer: "%s" % answer == "2",  # noqa: UP031
    "join": lambda answer: "/".join(("cell", "ab"[:answer])) == "cell/ab",
    "isinstance": lambda answer: isinstance(answer, int) and answer == 1,
    "attribute": lambda answer: answer.bit_length() == 2,
    "hasattr": lambda answer: hasattr(answer, "bit_length") and answer > 1,
    "pattern": lambda answer: _matches_two(answer),
}


def _matches_two(answer: Any) -> bool:
    match answer:
        case 2:
            return True
        case _:
            return False


NUMBER = Choice("first", (0, 1, 2), "number")


@dataclass(frozen=True)
class Inspecting(Space):
    """Asks a second question if the program finds something in the answer to the first."""

    look: Callable[[Any], object]
    first: Choice | Link | Links = NUMBER
    name = "inspecting"

    @property
    def vocabularies(self) -> dict[str, tuple[Any, ...]]:
        return {"number": (0, 1, 2), "letter": ("a", "b", "c"), "second": ("x", "y", "z")}

    def decide(self) -> Program:
        for name in ("a", "b"):
            yield Anchor(name)
        answer = yield self.first
        yield Choice("between", (0, 1, 2), "number")
        if self.look(answer):
            yield Choice("second", ("x", "y", "z"), "second")


@pytest.mark.parametrize("look", INSPECTIONS.values(), ids=INSPECTIONS)
def test_a_program_that_looks_at_an_answer_in_any_way_is_counted_right(look: Callable[[Any], object]) -> None:
    space = Inspecting(look)
    asked = [bool(look(answer)) for answer in (0, 1, 2)]
    assert True in asked
    assert False in asked
    assert count(space) == sum(9 if yes else 3 for yes in asked) == len(list(enumerate_space(space)))
    with pytest.raises(SpaceError, match="questions are not fixed"):
        questions(space)


@pytest.mark.parametrize(
    "look",
    [
        lambda answer: "/".join(("cell", answer)) == "cell/b",
        lambda answer: "abc".startswith(answer),
        lambda answer: answer.upper() == "B",
        lambda answer: [*answer] == ["b"],
        lambda answer: "b" in answer,
        lambda answer: answer[0] == "b",
        lambda answer: len(answer + "b") == 2 and answer == "b",
        lambda answer: "b" + answer == "bb",
    ],
)
@pytest.mark.parametrize("first", [Choice("first", ("a", "b", "c"), "letter"), Link("first", ("a", "b"))])
def test_looking_at_text_is_counted_right(look: Callable[[Any], object], first: Choice | Link) -> None:
    space = Inspecting(look, first)
    asked = [bool(look(answer)) for answer in ("a", "b", "c")[: alternatives(first)]]
    assert True in asked
    assert count(space) == sum(9 if yes else 3 for yes in asked) == len(list(enumerate_space(space)))
    with pytest.raises(SpaceError, match="questions are not fixed"):
        questions(space)


@pytest.mark.parametrize("look", [lambda answer: "a" in answer, len, bool, lambda answer: [*answer] == ["b"]])
def test_looking_at_a_set_of_links_is_counted_right(look: Callable[[Any], object]) -> None:
    space = Inspecting(look, Links("first", ("a", "b")))
    asked = [bool(look(answer)) for answer in ((), ("a",), ("b",), ("a", "b"))]
    assert count(space) == sum(9 if yes else 3 for yes in asked) == len(list(enumerate_space(space)))


def test_a_program_that_fails_is_not_counted() -> None:
    with pytest.raises(ZeroDivisionError):
        count(Inspecting(lambda answer: 1 / 0))


@pytest.mark.parametrize("space", STATIC, ids=lambda space: space.name)
def test_a_static_space_has_fixed_questions(space: Space) -> None:
    decisions = [question for question in questions(space) if not isinstance(question, Anchor)]
    assert math.prod(map(alternatives, decisions)) == count(space)
    assert decisions == decisions_of(space, sample(space, 0))


def test_a_conditional_space_has_none_and_says_where() -> None:
    with pytest.raises(SpaceError, match="ragged: what is asked depends on the answer to depth"):
        questions(Ragged())


# Sampling


@pytest.mark.parametrize("space", [Static(), Chain(nodes=2), Skips(), Ragged()], ids=lambda space: space.name)
def test_every_decision_of_a_sample_is_uniform(space: Space) -> None:
    expected = {a: 1 / math.prod(map(alternatives, decisions_of(space, a))) for a in enumerate_space(space)}
    assert sum(expected.values()) == pytest.approx(1)
    draws = 10 * len(expected)
    drawn = Counter(sample(space, (11, stream)) for stream in range(draws))
    statistic = sum((drawn[a] - draws * p) ** 2 / (draws * p) for a, p in expected.items())
    freedom = len(expected) - 1
    assert abs(statistic - freedom) < 3.5 * math.sqrt(2 * freedom)


# Mutation and neighbours


@given(ANY, SEEDS, SEEDS)
def test_a_mutant_is_another_architecture_of_the_space(space: Space, seed: int, step: int) -> None:
    parent = sample(space, seed)
    assume(any(alternatives(decision) > 1 for decision in decisions_of(space, parent)))
    mutant = mutate(space, parent, step)
    assert check(space, mutant) == mutant != parent
    assert mutate(space, parent, step) == mutant


@given(st.sampled_from(STATIC), SEEDS, SEEDS)
def test_a_mutation_changes_one_decision_of_a_static_space(space: Space, seed: int, step: int) -> None:
    parent = sample(space, seed)
    mutant = mutate(space, parent, step)
    assert len(differing(parent, mutant)) == 1
    assert mutant in set(neighbours(space, parent))


@pytest.mark.parametrize("space", STATIC, ids=lambda space: space.name)
def test_every_decision_with_an_alternative_is_as_likely_to_mutate(space: Space) -> None:
    parent = sample(space, 3)
    movable = [d.name for d in decisions_of(space, parent) if alternatives(d) > 1]
    steps = 150 * len(movable)
    mutants = [mutate(space, parent, (5, step)) for step in range(steps)]
    assert set(mutants) == set(neighbours(space, parent))
    changed = Counter(differing(parent, mutant)[0] for mutant in mutants)
    assert set(changed) == set(movable)
    assert all(abs(times - 150) < 4 * math.sqrt(150) for times in changed.values())


@given(ANY, SEEDS, SEEDS)
def test_a_mutation_keeps_what_was_asked_before_it(space: Space, seed: int, step: int) -> None:
    parent = sample(space, seed)
    assume(any(alternatives(decision) > 1 for decision in decisions_of(space, parent)))
    mutant = mutate(space, parent, step)
    (changed, *_) = (i for i, (old, new) in enumerate(zip(parent.answers, mutant.answers, strict=False)) if old != new)
    for name, answer in mutant.answers[changed + 1 :]:  # an old answer that still applies is kept
        if name in parent and answer != parent[name]:
            with pytest.raises(SpaceError):
                replay(space, {**dict(mutant.answers), name: parent[name]})


@given(st.sampled_from(STATIC), SEEDS)
def test_the_neighbours_in_a_static_space_are_all_that_differ_in_one_decision(space: Space, seed: int) -> None:
    def one_apart(other: Architecture) -> bool:
        names = differing(here, other)
        if len(names) != 1:
            return False
        old, new = here[names[0]], other[names[0]]
        return not isinstance(old, tuple) or (isinstance(new, tuple) and len({*old} ^ {*new}) == 1)

    here = sample(space, seed)
    found = list(neighbours(space, here))
    assert len(set(found)) == len(found)
    assert set(found) == {other for other in enumerate_space(space) if one_apart(other)}
    assert all(here in set(neighbours(space, other)) for other in found[:5])


@given(WRITTEN | st.just(Ragged()), SEEDS)
def test_the_neighbours_in_a_conditional_space_are_valid_and_repeatable(space: Space, seed: int) -> None:
    here = sample(space, seed)
    found = list(neighbours(space, here, seed))
    assert all(check(space, other) == other != here for other in found)
    assert found == list(neighbours(space, here, seed))
    assert len(found) == sum(
        len(d.among) if isinstance(d, Links) else alternatives(d) - 1 for d in decisions_of(space, here)
    )


def test_each_neighbour_draws_its_own_new_answers() -> None:
    # Each option of the first decision asks eight decisions of its own.
    space = Written((("choice", 3, None), *(("choice", 3, (0, option)) for option in (0, 1, 2) for _ in range(8))))
    here = sample(space, 0)
    drawn = [
        [answer for name, answer in other.answers[1:]] for other in neighbours(space, here) if other["0"] != here["0"]
    ]
    assert len(drawn) == 2
    assert drawn[0] != drawn[1]


def test_no_decision_with_an_alternative_is_an_error() -> None:
    space = Written((("choice", 1, None), ("link", 1, None)))
    with pytest.raises(SpaceError, match="no decision with an alternative"):
        mutate(space, sample(space, 0), 0)
    assert list(neighbours(space, sample(space, 0))) == []


def test_an_architecture_of_another_space_is_not_changed() -> None:
    stranger = sample(Chain(), 0)
    with pytest.raises(SpaceError, match="belongs to the space 'chain'"):
        mutate(Static(), stranger, 0)
    with pytest.raises(SpaceError, match="made with"):
        list(neighbours(Chain(nodes=2), stranger))
