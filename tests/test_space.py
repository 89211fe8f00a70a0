"""Laws of asking, answering and storing: what is in `archwright.space` before anything is explored."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archwright.errors import ConfigError, SpaceError, UnknownOption
from archwright.space import (
    Anchor,
    Architecture,
    Choice,
    Link,
    Links,
    Open,
    Space,
    Walk,
    check,
    checked,
    decisions_of,
    generator,
    operations_of,
    replay,
    sample,
)
from archwright.testing.small_spaces import MIXED, SIZES, SMALL, Chain, Growing, Ragged, Skips, Static
from archwright.testing.spaces import fields_read

SEEDS = st.integers(0, 2**64) | st.lists(st.integers(0, 2**40), min_size=1, max_size=3).map(tuple)


def program(*asked: Any, **vocabularies: tuple[Any, ...]) -> Space:
    """A space that asks just this."""

    @dataclasses.dataclass(frozen=True)
    class Fixed(Space):
        name = "fixed"
        vocabularies = {}

        def decide(self) -> Any:
            for question in asked:
                _ = yield question  # not `yield from`: a tuple cannot be sent answers

    Fixed.vocabularies = vocabularies
    return Fixed()


# Sampling and replay


@given(st.sampled_from(SMALL), SEEDS)
def test_a_sample_is_an_architecture_of_its_space(space: Space, seed: Any) -> None:
    architecture = sample(space, seed)
    assert check(space, architecture) == architecture
    assert replay(space, dict(reversed(architecture.answers))) == architecture
    assert sample(space, seed) == architecture
    assert [decision.name for decision in decisions_of(space, architecture)] == [n for n, _ in architecture.answers]


@given(st.sampled_from(SMALL), SEEDS)
def test_an_architecture_survives_json(space: Space, seed: Any) -> None:
    architecture = sample(space, seed)
    text = json.dumps(architecture.to_json(), sort_keys=True)
    back = Architecture.from_json(json.loads(text))
    assert back == architecture
    assert hash(back) == hash(architecture)
    assert back.id == architecture.id
    assert [type(answer) for _, answer in back.answers] == [type(answer) for _, answer in architecture.answers]


def test_streams_of_different_seeds_differ() -> None:
    # numpy pads seeds with zeros: without care a run's seed and its trial 0 would draw the same numbers.
    seeds: list[Any] = [7, (7, 0), (7, 0, 0), (0, 7), (7, 1), 0, (0, 0), (1, 7), (2, 7)]
    assert len({tuple(generator(seed).integers(0, 2**60, 2)) for seed in seeds}) == len(seeds)
    assert list(generator((7,)).integers(0, 99, 9)) == list(generator(7).integers(0, 99, 9))


@pytest.mark.parametrize("seed", [-1, (3, -2)])
def test_a_negative_seed_is_named(seed: Any) -> None:
    with pytest.raises(ConfigError, match=r"-[12]"):
        generator(seed)


def test_a_growing_space_gives_architectures_of_its_own_depth() -> None:
    start = Growing()
    assert [len(sample(start.grown(asked), 0).answers) for asked in (0, 9, 10, 19, 20, 999)] == [1, 1, 2, 2, 3, 3]
    with pytest.raises(SpaceError, match=r"made with \{'layers': 2\}, this space has \{'layers': 1\}"):
        check(start, sample(start.grown(10), 0))


# Stored formats: these never change, so that what was saved once can always be read


GOLDEN = [
    (Static(), {"first": 16, "second": 16, "extra": False}, "700c6301eecd"),
    (Static(), {"first": 8, "second": 32, "extra": 0.5}, "80d32108a3e3"),
    (Chain(nodes=2), {"1/from": "input", "1/op": "conv", "2/from": "1", "2/op": "pool"}, "2f24e21aeeb9"),
    (
        Skips(),
        {"0/size": 8, "0/skips": (), "1/size": 16, "1/skips": ("0",), "2/size": 32, "2/skips": ("0", "1")},
        "d5bc846994a8",
    ),
]


@pytest.mark.parametrize(("space", "answers", "id"), GOLDEN)
def test_ids_are_frozen(space: Space, answers: dict[str, Any], id: str) -> None:
    assert replay(space, answers).id == id


def test_the_stored_form_is_frozen() -> None:
    space = Skips(layers=2)
    architecture = replay(space, {"0/size": 8, "0/skips": [], "1/size": 16, "1/skips": ["0"]})
    assert json.dumps(architecture.to_json()) == (
        '{"format": 1, "space": "skips", "fields": {"layers": 2}, '
        '"answers": [["0/size", 8], ["0/skips", []], ["1/size", 16], ["1/skips", ["0"]]]}'
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "format 2 is unknown"),
        ({"fields": []}, "not an architecture"),
        ({"answers": [["first"]]}, "not an architecture"),
        ({"answers": [["first", 8], ["first", 16]]}, "answers a question twice"),
        ({"space": None}, "belongs to the space"),
        ({"fields": {"nodes": 3}}, "made with"),
        ({"answers": [["first", {"size": 8}]]}, "not an architecture"),
    ],
)
def test_damaged_files_are_errors_that_say_what(change: dict[str, Any], message: str) -> None:
    stored = {**sample(Static(), 0).to_json(), **change}
    with pytest.raises(SpaceError, match=message):
        check(Static(), Architecture.from_json(stored))


@pytest.mark.parametrize("data", [None, [], "text", 3, {}, {"format": 1}])
def test_other_json_is_no_architecture(data: Any) -> None:
    with pytest.raises(SpaceError, match="not an architecture"):
        Architecture.from_json(data)


def test_equal_values_of_other_types_are_other_architectures_on_disk() -> None:
    ids = {Architecture("any", (), (("a", answer),)).id for answer in (True, 1, 1.0, "1")}
    assert len(ids) == 4


# Wrong answers


@pytest.mark.parametrize(
    ("question", "answer", "shown"),
    [
        (Choice("kernel", (3, 5), "k"), 4, ("kernel: 4", "(3, 5)")),
        (Choice("kernel", (3, 5), "k"), "3", ("kernel: '3'", "(3, 5)")),
        (Choice("kernel", (3, 5), "k"), [3], ("kernel: [3]", "(3, 5)")),
        (Link("from", ("a", "b")), "c", ("from: 'c'", "('a', 'b')")),
        (Link("from", ("a", "b")), 0, ("from: 0", "('a', 'b')")),
        (Links("skips", ("a", "b")), ("a", "c"), ("skips: ('a', 'c')", "('a', 'b')")),
        (Links("skips", ("a", "b")), ("a", "a"), ("skips: ('a', 'a')", "('a', 'b')")),
        (Links("skips", ("a", "b")), {"a": 1}, ("skips: {'a': 1}", "('a', 'b')")),
        (Links("skips", ("a", "b")), None, ("skips: None", "('a', 'b')")),
    ],
)
def test_a_wrong_answer_names_the_decision_and_its_options(question: Any, answer: Any, shown: tuple[str, ...]) -> None:
    with pytest.raises(UnknownOption) as caught:
        checked(question, answer)
    assert all(part in str(caught.value) for part in shown)
    assert "\n" not in str(caught.value)


@given(st.sampled_from(MIXED + SIZES), st.sampled_from([True, False, 1, 0, 2, 1.0, 0.0, 2.0, 0.5, 8.0, "2"]))
def test_only_the_same_value_of_the_same_type_is_an_option(option: Any, answer: Any) -> None:
    question = Choice("any", (option,), "any")
    if (type(option), option) == (type(answer), answer):
        assert type(checked(question, answer)) is type(option)
    else:
        with pytest.raises(UnknownOption):
            checked(question, answer)


def test_a_set_is_stored_in_the_order_of_its_anchors() -> None:
    assert checked(Links("skips", ("a", "b", "c")), ["c", "a"]) == ("a", "c")
    assert checked(Links("skips", ("a", "b", "c")), "b") == ("b",)
    assert checked(Links("skips", ()), []) == ()


def test_missing_and_surplus_answers_are_named() -> None:
    answers = {"first": 8, "second": 8, "extra": 2}
    with pytest.raises(SpaceError, match="second: no answer is given"):
        replay(Static(), {"first": 8, "extra": 2})
    with pytest.raises(SpaceError, match="static does not ask: fourth, third"):
        replay(Static(), {**answers, "third": 1, "fourth": 1})
    with pytest.raises(SpaceError, match="'static', not to 'ragged'"):
        check(Ragged(), sample(Static(), 0))


def test_a_walk_is_answered_once_for_every_question() -> None:
    walk = Walk(Chain(nodes=1))
    with pytest.raises(SpaceError, match="input has not been answered"):
        walk.architecture()
    for answer in (None, "input", "conv", None):
        walk.send(answer)
    assert walk.question is None
    assert walk.architecture().answers == (("1/from", "input"), ("1/op", "conv"))
    with pytest.raises(SpaceError, match="no question to answer"):
        walk.send("conv")


# Wrong programs


A, B = Anchor("a"), Anchor("b")


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (program(A, A), "two anchors are called 'a'"),
        (program(Choice("a", (1, 2), "v"), A, v=(1, 2)), "two questions are called 'a'"),
        (program(A, Links("l", ("a",), anchor="a")), "two anchors are called 'a'"),
        (program(B, Links("l", ("b",), anchor="a"), A), "two anchors are called 'a'"),
        (program(A, Link("l", ("a", "z"))), r"l points to \['z'\], but the anchors so far are \['a'\]"),
        (program(Links("l", ("later",)), Anchor("later")), r"l points to \['later'\]"),
        (program(Link("l", ())), "l points to nothing"),
        (program(A, Link("l", ("a", "a"))), "l offers an anchor twice"),
        (program(A, Links("l", ("a", "a"))), "l offers an anchor twice"),
        (program(Choice("c", (1, 2), "v")), r"c offers \(1, 2\), but vocabulary 'v' is declared as None"),
        (program(Choice("c", (1, 2), "v"), v=(2, 1)), r"c offers \(1, 2\), but vocabulary 'v' is declared as \(2, 1\)"),
        (program(Choice("c", (False, True), "v"), v=(0, 1)), r"c offers \(False, True\), but"),
        (program(Choice("c", (1, True), "v"), v=(1, True)), r"vocabulary 'v' needs options that differ"),
        (program(Choice("c", (), "v"), v=()), r"vocabulary 'v' needs options that differ"),
        (program("conv"), "yields 'conv'"),
    ],
)
def test_a_program_that_breaks_a_rule_is_told_which(space: Space, message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        sample(space, 0)


def test_a_step_that_is_its_own_anchor_may_share_its_name() -> None:
    space = program(A, Links("l", ("a",), anchor="l"), Link("m", ("a", "l")))
    assert replay(space, {"l": ["a"], "m": "l"})["m"] == "l"


# What an architecture depends on


def test_a_field_read_through_a_property_is_noticed() -> None:
    @dataclasses.dataclass(frozen=True)
    class Careless(Chain):
        depth: int = 2

        @property
        def twice(self) -> int:
            return 2 * self.depth

        def decide(self) -> Any:
            for layer in range(self.twice):
                yield Choice(f"{layer}", ("conv", "pool"), "op")

    assert fields_read(Careless(), 0) == {"depth", "kinds"}


def test_a_mixture_weighs_choices_and_links_and_stands_for_the_strongest() -> None:
    space = Chain(nodes=2)
    assert space.mixture == {
        "1/from": ("input",),
        "1/op": ("conv", "pool"),
        "2/from": ("input", "1"),
        "2/op": ("conv", "pool"),
    }
    assert Open.mixture(space) == Open(space.mixture, mixed=True)
    soft = {"1/from": [1.0], "1/op": [0.5, 0.5], "2/from": [0.4, 0.6], "2/op": [0.2, 0.8]}
    architecture = space.discrete(soft)
    assert dict(architecture.answers) == {"1/from": "input", "1/op": "conv", "2/from": "1", "2/op": "pool"}
    assert space.one_hot(architecture)["2/from"] == (0.0, 1.0)
    assert space.discrete(space.one_hot(architecture)) == architecture
    assert operations_of(space, architecture) == ("conv", "pool")


def test_options_of_equal_value_and_different_type_have_weights_of_their_own() -> None:
    space = Static()
    architecture = replay(space, {"first": 8, "second": 16, "extra": False})
    assert space.one_hot(architecture)["extra"] == (0.0, 0.0, 0.0, 1.0)
    assert Static().mixture["extra"] == ("relu", 2, 0.5, False)


def test_sets_and_conditional_programs_have_no_mixture() -> None:
    with pytest.raises(SpaceError, match="picks a set"):
        _ = Skips().mixture
    with pytest.raises(SpaceError, match="depends on the answer to depth"):
        Open.mixture(Ragged())
