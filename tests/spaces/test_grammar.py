"""The space of sentences: its text, what is offered, how long random ones are, and what sentences have in common."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from archwright.errors import SpaceError, UnknownOption
from archwright.sentences.canonical import canonical, name_of, same
from archwright.sentences.fitting import after, measured
from archwright.sentences.library import NAMED
from archwright.sentences.rules import COMPOSED, COMPUTATIONS, Rule
from archwright.sentences.shapes import Shape
from archwright.space import Anchor, Choice, Open, Task, Walk, draw_answer, generator, mutate, sample
from archwright.spaces import Grammar
from archwright.spaces.grammar import parse, write
from archwright.spaces.grammar.starters import STARTERS, starter
from archwright.testing import SpaceContract

SMALL = Grammar(
    channels=2,
    height=8,
    width=9,
    widths=(4, 8),
    parameters=20_000,
    multiply_adds=2_000_000,
    operations=40,
    values=2**13,
    branches=16,
    steps=80,
    repetitions=(2, 3),
    splits=("clone(2)", "clone(4)", "group(2)", "group(channels)"),
)
IMAGE = SMALL.input
SEEDS = st.integers(0, 10_000)


class TestGrammar(SpaceContract):
    task = Task(channels=2, height=8, width=9, classes=4)
    samples = 8

    def make(self) -> Grammar:
        return SMALL


class TestFewSentences(SpaceContract):
    """A grammar small enough to be counted and enumerated."""

    task = Task(channels=2, height=8, width=9, classes=4)

    def make(self) -> Grammar:
        rules = ("identity", "relu", "linear", "sequential", "routing")
        enters = ("im2col(1, 1)", "im2col(3, 2)")
        return replace(SMALL, rules=rules, widths=(4,), enters=enters, deepest=2, most_parts=2)


@settings(max_examples=15)
@given(SEEDS)
def test_text_and_answers_are_read_back(seed: int) -> None:
    architecture = sample(SMALL, seed)
    sentence = SMALL.sentence(architecture)
    assert parse(write(sentence)) == sentence
    assert SMALL.architecture(sentence) == architecture


@settings(max_examples=15)
@given(SEEDS, SEEDS)
def test_a_mutation_is_a_sentence_within_the_limits(seed: int, other: int) -> None:
    sentence = SMALL.sentence(mutate(SMALL, sample(SMALL, seed), other))
    assert measured(sentence, IMAGE)[1].within(SMALL.limits)


@pytest.mark.parametrize("limit", [{"operations": 7}, {"parameters": 60}, {"multiply_adds": 4000}, {"deepest": 2}])
def test_tight_limits_are_kept_by_what_is_offered(limit: dict[str, int]) -> None:
    space = replace(SMALL, **limit)
    for seed in range(20):
        sentence = space.sentence(sample(space, seed))
        assert measured(sentence, IMAGE)[1].within(space.limits)
        assert depth(sentence) <= space.deepest


def depth(sentence: object) -> int:
    return 1 + max((depth(part) for part in sentence.inner), default=0)  # type: ignore[attr-defined]


def test_random_sentences_are_short() -> None:
    """They have less than 60 operations in the mean, though 300 are allowed."""
    space = Grammar(channels=1, height=16, width=16)
    sizes = [measured(space.sentence(sample(space, seed)), space.input)[1].operations for seed in range(40)]
    assert 5 < sum(sizes) / len(sizes) < 60


@pytest.mark.parametrize(
    "shape", [Shape.map(16, 16, 16), Shape("sequence", 16, 64, (8, 8)), Shape("turned", 64, 16)], ids=str
)
def test_below_the_root_a_part_has_less_than_one_part(shape: Shape) -> None:
    """So sentences end without any limit: the branching process dies out."""
    from archwright.sentences.shapes import Cost
    from archwright.spaces.grammar.composing import NEAR_ROOT, Composer, Place

    space = Grammar()
    place = Place("0", shape, lambda made: Cost(), depth=len(NEAR_ROOT) - 1)
    question = next(Composer(space).part(place))
    assert question.weights is not None
    parts = {"sequential": expected_parts(space), "branching": 2, "routing": 1, "repeat": 1, "recurrence": 1}
    mean = sum(w * parts.get(str(rule), 0) for rule, w in zip(question.options, question.weights, strict=True))
    assert set(COMPOSED) - {"recurrence"} <= set(question.options)
    assert mean / sum(question.weights) < 0.9


def expected_parts(space: Grammar) -> float:
    counts = range(2, space.most_parts + 1)
    return sum(n * 2.0**-n for n in counts) / sum(2.0**-n for n in counts)


def test_a_subset_of_the_vocabulary_is_offered_in_its_order() -> None:
    walk, rng, fewer = Walk(SMALL), generator(3), 0
    while (question := walk.question) is not None:
        assert isinstance(question, Choice)
        whole = SMALL.vocabularies[question.vocabulary]
        assert [option for option in whole if option in question.options] == [*question.options]
        fewer += len(question.options) < len(whole)
        walk.send(None if isinstance(question, Anchor) else draw_answer(question, rng))
    assert fewer


@pytest.mark.parametrize("name", STARTERS)
@pytest.mark.parametrize("image", [(1, 8, 8), (3, 32, 32), (1, 28, 28)], ids=str)
def test_starters_are_sentences_of_the_space(name: str, image: tuple[int, int, int]) -> None:
    space = Grammar(*image)
    sentence = starter(name, space, 0.25)
    assert space.sentence(space.known(0.25)[name]) == sentence
    assert measured(sentence, space.input)[1].parameters > 10_000


WRONG = {
    "sequential(norm,": "position 17: a rule's name is expected, not the end",
    "convolve(3)": "position 1, at 'convolve(3)': 'convolve' is no rule",
    "sequential(norm)": "sequential needs two parts or more, not 1",
    "linear": "linear needs 1 number or word first",
    "linear(8, norm)": "linear has no parts",
    "branching(clone(3), relu, norm, add)": "one for each of 3 branches, not 2",
    "routing(permute, relu, col2im)": "a routing that begins with permute ends with permute, not col2im",
    "relu relu": "'relu' follows the end of the sentence",
    "sequential(relu; norm)": "a comma or ) is expected, not ';'",
    "repeat(0, relu)": "repeat needs a number from 1 to 64",
    "sequential(add, relu)": "add is no part of sequential here",
    "attention(3)": "attention has 1, 2, 4 or 8 heads, not 3",
    "": "a rule's name is expected, not the end",
}


@pytest.mark.parametrize("text", WRONG)
def test_an_error_says_what_is_wrong_and_where(text: str) -> None:
    with pytest.raises(SpaceError) as error:
        parse(text)
    assert WRONG[text] in str(error.value)
    assert "\n" not in str(error.value)


def test_what_does_not_fit_is_named() -> None:
    with pytest.raises(SpaceError, match=r"^softmax does not fit a map of 3 x 32 x 32$"):
        after(parse("sequential(relu, softmax)"), Grammar().input)
    with pytest.raises(SpaceError, match=r"add does not fit a map of 16 x 32 x 32, a map of 3 x 32 x 32"):
        after(parse("residual(conv3x3(16))"), Grammar().input)
    with pytest.raises(UnknownOption, match="0/width"):
        Grammar().architecture(parse("linear(17)"))


def test_a_network_of_other_images_is_built_or_says_what_does_not_fit() -> None:
    space = Grammar(channels=1, height=16, width=16)
    convolution = space.architecture(parse("conv3x3(8, 2)"))
    with torch.device("meta"):
        space.network(Open.only(space, convolution), Task(3, 32, 32, 10))
        with pytest.raises(SpaceError, match="for images of 3 x 1 x 1: im2col"):
            space.network(Open.only(space, convolution), Task(3, 1, 1, 10))


ALIKE = [
    ("sequential(relu, sequential(norm, identity))", "sequential(relu, norm)"),
    ("repeat(3, sequential(norm, relu))", "sequential(norm, relu, norm, relu, norm, relu)"),
    ("branching(clone(2), conv3x3(8), linear(8), add)", "branching(clone(2), linear(8), conv3x3(8), add)"),
    ("routing(im2col(1, 1), linear(8), col2im)", "linear(8)"),
    ("routing(im2col(3, 1), sequential(linear(8), relu), col2im)", "sequential(conv3x3(8), relu)"),
    ("routing(im2col(1, 1), routing(permute, routing(permute, softmax, permute), permute), col2im)",
     "routing(im2col(1, 1), softmax, col2im)"),
    ("linear(quadruple)", "linear(8)"),
    ("branching(group(channels), relu, concat)", "relu"),
    ("branching(group(2), conv3x3(2), concat)", "branching(group(channels), conv3x3(2), concat)"),
    ("branching(clone(4), linear(2), concat)", "branching(clone(2), branching(clone(2), linear(2), linear(2), concat), "
     "branching(clone(2), linear(2), linear(2), concat), concat)"),
    ("residual(residual(norm))", "branching(clone(3), identity, norm, identity, add)"),
    ("sequential(relu, relu)", "relu"),
]  # fmt: skip
DIFFERENT = [
    ("sequential(linear(8), linear(8))", "linear(8)"),
    ("branching(clone(2), relu, norm, concat)", "branching(clone(2), norm, relu, concat)"),
    ("sequential(norm, relu)", "sequential(relu, norm)"),
    ("routing(im2col(3, 1), relu, col2im)", "relu"),
]


@pytest.mark.parametrize(("one", "other"), ALIKE)
def test_sentences_that_compute_the_same_have_one_form(one: str, other: str) -> None:
    assert str(canonical(parse(one), IMAGE)) == str(canonical(parse(other), IMAGE))


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_sentences_that_compute_something_else_have_another_form(one: str, other: str) -> None:
    assert not same(parse(one), parse(other), IMAGE)


def test_known_operations_are_called_by_name() -> None:
    rows = Shape("sequence", 16, 36, (6, 6))
    assert name_of(parse("sequential(routing(im2col(3, 2), linear(8), col2im), identity)"), IMAGE) == "conv3x3(8, 2)"
    assert name_of(parse("branching(group(2), conv5x5(1), concat)"), IMAGE) == "depthwise5x5"
    assert name_of(parse("attention(4)"), rows) == "attention(4)"
    assert name_of(parse("branching(clone(2), identity, excitation, add)"), Shape.map(8, 4, 4)) is None
    assert all(known.about for known in NAMED.values())


def test_a_new_rule_is_one_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    class Square(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * x

    monkeypatch.setitem(COMPUTATIONS, "square", Rule(lambda shape: shape, build=lambda shape, groups: Square()))
    space = Grammar(2, 8, 9, rules=("identity", "square", "sequential"))
    found = {write(space.sentence(sample(space, seed))) for seed in range(30)}
    assert any("square" in text for text in found)
    network = space.network(Open.only(space, space.architecture(parse("sequential(square, square)"))), Task(2, 8, 9, 4))
    x = torch.randn(3, 2, 8, 9)
    torch.testing.assert_close(network.body(x), x**4)
