"""Sentences as trees: variations and crossings stay in the space, and features tell what decisions do not."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import count, islice, pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from archwright.controllers.evolution import RegularizedEvolution
from archwright.controllers.features import Featurizer
from archwright.controllers.reinforce import Reinforce
from archwright.controllers.surrogate import Surrogate, fit, normal_scores
from archwright.errors import SpaceError, UnknownOption
from archwright.loop import Proposal, Result, Trial
from archwright.sentences.fitting import measured
from archwright.sentences.library import parse
from archwright.sentences.sentence import Sentence
from archwright.space import Architecture, check, sample
from archwright.spaces.grammar import Grammar, trees
from archwright.spaces.grammar.trees import crossed, drawn, nodes, replaced, tree_features, varied

SPACE = Grammar(channels=3, height=16, width=16, operations=60, parameters=200_000, multiply_adds=20_000_000)
SHORT = replace(SPACE, operations=20, deepest=6)
SEEDS = st.integers(0, 2**32)
BLOCK = "sequential(routing(im2col(3, 1), linear(16), col2im), norm, relu)"
NET = f"sequential({BLOCK}, branching(clone(2), {BLOCK}, identity, add), max, linear(32))"


@cache
def net() -> Architecture:
    return SPACE.architecture(parse(NET))


def within(architecture: Architecture) -> None:
    """Check that an architecture is one of the space, and that its sentence costs no more than the space allows."""
    check(SPACE, architecture)
    cost = measured(SPACE.sentence(architecture), SPACE.input)[1]
    assert cost.within(SPACE.limits)


@given(seed=SEEDS, known=st.booleans(), times=st.integers(1, 2))
@settings(max_examples=10)
def test_a_variation_is_another_sentence_of_the_space(seed: int, known: bool, times: int) -> None:
    architecture = net() if known else sample(SPACE, (seed, 1))
    for number in range(times):
        new = varied(SPACE, architecture, (seed, number))
        assert new != architecture
        assert new == varied(SPACE, architecture, (seed, number))
        within(new)
        architecture = new


@given(seed=SEEDS)
@settings(max_examples=10)
def test_a_crossing_is_made_of_both_parents(seed: int) -> None:
    one, other = (net(), sample(SPACE, (seed, 1))) if seed % 2 else (sample(SPACE, (seed, 2)), net())
    child = crossed(SPACE, one, other, seed)
    assert child == crossed(SPACE, one, other, seed)
    if child is None:
        return
    within(child)
    assert child not in (one, other)
    theirs, ours = [{*nodes(SPACE.sentence(a), SPACE.input)} for a in (other, one)]
    given_ = {(node.before, node.after, node.sentence) for node in theirs}
    into = SPACE.sentence(one)
    assert any(
        replaced(into, node.path, new) == SPACE.sentence(child)
        for node in ours
        for before, after, new in given_
        if (before, after) == (node.before, node.after)
    )


def test_crossing_finds_what_fits() -> None:
    """Two networks of the same shapes always have something to exchange; single rules have not."""
    other = SPACE.architecture(parse(NET.replace("relu", "gelu").replace("max", "average")))
    children = {crossed(SPACE, net(), other, seed) for seed in range(20)}
    assert None not in children
    assert len(children) >= 4
    one, two = (SPACE.architecture(Sentence(rule)) for rule in ("relu", "gelu"))
    assert crossed(SPACE, one, two, 0) is None


@given(seed=SEEDS)
@settings(max_examples=15)
def test_a_drawn_sub_tree_keeps_the_shape_and_the_rest(seed: int) -> None:
    sentence = SPACE.sentence(net())
    every = list(nodes(sentence, SPACE.input))
    node = every[seed % len(every)]
    new = drawn(SPACE, node, np.random.default_rng(seed))
    assume(new is not None)  # a network as a whole is more than one computation
    assert new is not None
    assert measured(new, node.before)[0] == node.after
    whole = replaced(sentence, node.path, new)
    assert [n.sentence for n in nodes(whole, SPACE.input) if n.path == node.path] == [new]
    elsewhere = {
        n.path: n for n in every if n.path[: len(node.path)] != node.path and node.path[: len(n.path)] != n.path
    }
    assert elsewhere == {n.path: n for n in nodes(whole, SPACE.input) if n.path in elsewhere}


def test_variations_put_in_take_out_set_and_redraw() -> None:
    sentences = [SPACE.sentence(varied(SPACE, net(), seed)) for seed in range(40)]
    sizes = {len(list(sentence.walk())) for sentence in sentences}
    assert min(sizes) < len(list(SPACE.sentence(net()).walk())) < max(sizes)
    texts = [str(sentence) for sentence in sentences]
    assert any("identity, add)" in text and text.count("add") == 2 for text in texts), "no way around anything"
    every, rng = list(nodes(SPACE.sentence(net()), SPACE.input)), np.random.default_rng(0)
    linear = next(node for node in every if node.sentence.rule == "linear")
    wider = {str(trees._set(SPACE, SPACE.sentence(net()), linear, rng)).count("linear(16)") for _ in range(30)}
    assert wider >= {0, 1}, "one width is changed, or all that are equal"


def test_features_are_rules_steps_and_sub_trees() -> None:
    found = tree_features(parse("sequential(norm, branching(clone(2), relu, linear(3), add), norm)"))
    assert found["rules"] == {
        **{("sequential", ()): 1, ("norm", ()): 2, ("branching", ()): 1, ("clone", (2,)): 1, ("relu", ()): 1},
        **{("linear", (3,)): 1, ("add", ()): 1},
    }
    assert found["steps"][("norm", "branching")] == found["steps"][("linear", "add")] == 1
    branching = ("branching", "clone", "relu", "linear", "add")
    assert found["sub-trees 1"] == {("sequential", "norm", "branching", "norm"): 1, branching: 1}
    assert found["sub-trees 2"] == {("sequential", "norm", branching, "norm"): 1, branching: 1}
    three = SPACE.architecture(parse("sequential(norm, branching(clone(2), relu, linear(same), add), norm)"))
    assert SPACE.magnitudes(three)["parameters"] == pytest.approx(np.log2(1 + 6 + 12 + 6))


def linear_steps(sentence: Sentence) -> int:
    """Count the linear maps that another rule follows."""
    pairs = pairwise(part.rule for part in sentence.parts)
    return sum(a == "linear" != b for a, b in pairs) + sum(map(linear_steps, sentence.parts))


class Placed(Grammar):
    """The same sentences, compared by the answer at each place of the tree."""

    aligned = True


def test_a_surrogate_that_sees_trees_orders_unseen_sentences_better() -> None:
    """The score is what follows what. In two trees a place seldom is the same thing, so answers by place say little."""
    drawn_ = (sample(SPACE, seed) for seed in count())
    pool = list(dict.fromkeys(islice((one for one in drawn_ if 8 <= len(one.answers) <= 90), 75)))
    scores = np.array([linear_steps(SPACE.sentence(one)) for one in pool])
    rank = {}
    for space, features in ((SPACE, True), (Placed(**vars(SPACE)), False)):
        featurizer = Featurizer(space, features=features)
        for one in pool[:45]:
            featurizer.learn(featurizer.read(one))
        learned, values = featurizer.learned, normal_scores(scores[:45])
        model = Surrogate(learned, values, fit(learned, values))
        mean, _ = model.predict(featurizer.describe([featurizer.read(one) for one in pool[45:]]))
        rank[features] = float(spearmanr(mean, scores[45:]).statistic)
    assert rank[True] > rank[False] + 0.1
    assert rank[True] > 0.6


def shallow(architecture: Architecture) -> float:
    return 1.0 / len(architecture.answers)


def test_reinforce_decides_conditionally_and_learns_from_sentences_of_different_lengths() -> None:
    controller = Reinforce(SHORT, batch=8, seed=1, learning_rate=0.04)
    lengths: list[float] = []
    for first in range(0, 8 * 8, 8):
        proposals = controller.ask(range(first, first + 8))
        for proposal in proposals:
            check(SHORT, proposal.architecture)
        lengths += [len(proposal.architecture.answers) for proposal in proposals]
        controller.tell([Trial(p.stream, p, Result(shallow(p.architecture)), 0.0) for p in proposals])
    assert len(set(lengths[:24])) > 10
    assert np.mean(lengths[-24:]) < 0.7 * np.mean(lengths[:24])


def norms(architecture: Architecture) -> float:
    return str(SPACE.sentence(architecture)).count("norm")


def test_evolution_from_a_given_network_gets_better() -> None:
    """More norms are better: an aim that variations and crossings reach a step at a time."""
    controller = RegularizedEvolution(SPACE, first="varied", seed=2)
    proposal, found = Proposal(0, net()), [norms(net())]
    for stream in range(1, 40):
        controller.tell([Trial(stream - 1, proposal, Result(found[-1]), 0.0)])
        (proposal,) = controller.ask([stream])
        found.append(norms(proposal.architecture))
    assert max(found) >= found[0] + 2


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises((SpaceError, UnknownOption)):
        SPACE.architecture(replaced(parse(NET), (1, 1), parse("linear(8)")))
