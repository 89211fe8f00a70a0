"""Laws of the policy, on spaces that can be enumerated and on programs that nobody wrote."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_policy import plain

from archwright.controllers.answers import Rollout
from archwright.controllers.policy import Policy, bounded
from archwright.errors import ConfigError, SpaceError, UnknownOption
from archwright.space import Architecture, Space, check, enumerate_space
from archwright.spaces.enas_micro import EnasMicro
from archwright.testing.small_spaces import SMALL, Chain, Growing, Ragged, Skips, Static
from written_programs import Written

ENAS = {"units": 8, "init": 1.0}  # initial values so large that no probability is near uniform
NAS = {"units": 5, "layers": 2, "init": 1.0, "temperature": None, "tanh_constant": None}
SETTINGS = pytest.mark.parametrize("settings", [ENAS, NAS, {**ENAS, "bias": True}], ids=["enas", "nas", "bias"])
SPACES = pytest.mark.parametrize("space", SMALL, ids=lambda space: f"{space.name}-{len(space.fields)}")

conditions = st.none() | st.tuples(st.integers(0, 5), st.integers(0, 2))
programs = st.builds(
    Written,
    st.lists(
        st.tuples(st.sampled_from(("choice", "link", "links", "anchor")), st.integers(1, 3), conditions), max_size=8
    ).map(tuple),
)


def score(policy: Policy, space: Space, architectures: Sequence[Architecture]) -> Rollout:
    with torch.no_grad():
        return policy.score([space] * len(architectures), architectures)


def seeds(count: int) -> list[tuple[int, int]]:
    return [(5, stream) for stream in range(count)]


@SETTINGS
@SPACES
def test_probabilities_sum_to_one(space: Space, settings: dict[str, object]) -> None:
    every = list(enumerate_space(space))
    assert float(score(Policy(space, **settings), space, every).log_prob.exp().sum()) == pytest.approx(1, abs=1e-5)


@SETTINGS
@SPACES
def test_entropy_is_that_of_the_distribution(space: Space, settings: dict[str, object]) -> None:
    """By the chain rule the expected sum of the decisions' entropies is the entropy of the architecture."""
    every = list(enumerate_space(space))
    rollout = score(Policy(space, **settings), space, every)
    probabilities = rollout.log_prob.exp()
    expected = -(probabilities * rollout.log_prob).sum()
    assert float((probabilities * rollout.entropy).sum()) == pytest.approx(float(expected), abs=1e-5)


@SETTINGS
@SPACES
def test_scores_what_it_sampled_as_it_sampled_it(space: Space, settings: dict[str, object]) -> None:
    policy = Policy(space, **settings)
    sampled = policy.sample([space] * 12, seeds(12))
    scored = score(policy, space, sampled.architectures)
    torch.testing.assert_close(scored.log_prob, sampled.log_prob, atol=1e-5, rtol=0)
    torch.testing.assert_close(scored.entropy, sampled.entropy, atol=1e-5, rtol=0)
    assert torch.equal(scored.decisions, sampled.decisions)
    assert scored.decisions.tolist() == [len(architecture.answers) for architecture in sampled.architectures]


def test_scores_forty_decisions_to_the_fifth_decimal() -> None:
    space = EnasMicro()
    policy = Policy(space, init=0.5)
    sampled = policy.sample([space] * 20, seeds(20))
    scored = score(policy, space, sampled.architectures)
    torch.testing.assert_close(scored.log_prob, sampled.log_prob, atol=1e-5, rtol=0)


@given(st.lists(programs, min_size=1, max_size=5), st.integers(1, 2))
@settings(max_examples=60)
def test_any_mixture_of_programs(different: list[Written], copies: int) -> None:
    """Lanes of any programs, some of them the same: each as if it were alone, and as its description says."""
    spaces = different * copies
    policy = Policy(spaces[0], **ENAS)
    sampled = policy.sample(spaces, seeds(len(spaces)))
    with torch.no_grad():
        scored = policy.score(spaces, sampled.architectures)
    torch.testing.assert_close(scored.log_prob, sampled.log_prob, atol=1e-5, rtol=0)
    for row, (space, architecture) in enumerate(zip(spaces, sampled.architectures, strict=True)):
        check(space, architecture)
        assert policy.sample([space], [(5, row)]).architectures == (architecture,)
        expected = plain(policy, space, architecture)
        assert (float(scored.log_prob[row]), float(scored.entropy[row])) == pytest.approx(expected, abs=1e-5)


@SETTINGS
@SPACES
def test_answers_as_its_description_says(space: Space, settings: dict[str, object]) -> None:
    policy = Policy(space, **settings)
    sampled = policy.sample([space] * 5, seeds(5))
    for architecture, log_prob, entropy in zip(
        sampled.architectures, sampled.log_prob.tolist(), sampled.entropy.tolist(), strict=True
    ):
        assert (log_prob, entropy) == pytest.approx(plain(policy, space, architecture), abs=1e-5)


@SPACES
def test_samples_as_often_as_it_says(space: Space) -> None:
    every = list(enumerate_space(space))
    policy, count = Policy(space, **ENAS), 3000
    probabilities = score(policy, space, every).log_prob.exp().numpy()
    numbers = {architecture: number for number, architecture in enumerate(every)}
    drawn = policy.sample([space] * count, seeds(count)).architectures
    found = np.bincount([numbers[architecture] for architecture in drawn], minlength=len(every))
    frequent = probabilities * count >= 5  # the usual condition for a chi-squared test; the rest are counted together
    expected = np.append(probabilities[frequent], probabilities[~frequent].sum()) * count
    observed = np.append(found[frequent], found[~frequent].sum())
    statistic = ((observed - expected)[expected > 0] ** 2 / expected[expected > 0]).sum()
    freedom = (expected > 0).sum() - 1
    assert statistic < freedom + 5 * math.sqrt(2 * freedom)  # mean and deviation of the distribution of such statistics


def test_a_row_does_not_depend_on_its_neighbours() -> None:
    """Growing spaces of three depths, alone, together, in another order, and with some left out."""
    space = Growing()
    spaces = [space.grown(stream) for stream in range(30)]
    policy = Policy(space, **ENAS)
    together = policy.sample(spaces, seeds(30)).architectures
    assert {len(architecture.answers) for architecture in together} == {1, 2, 3}
    for rows in ([[row] for row in range(30)], [range(29, -1, -1)], [range(0, 30, 7), range(3, 30, 2)]):
        for part in rows:
            some = policy.sample([spaces[row] for row in part], [seeds(30)[row] for row in part])
            assert some.architectures == tuple(together[row] for row in part)


@pytest.mark.parametrize("space", [Ragged(), Skips(), EnasMicro(nodes=2)], ids=lambda space: space.name)
def test_scores_do_not_depend_on_the_batch(space: Space) -> None:
    policy = Policy(space, **ENAS)
    sampled = policy.sample([space] * 9, seeds(9))
    for part in (range(9), range(8, -1, -1), (2, 5)):
        some = score(policy, space, [sampled.architectures[row] for row in part])
        torch.testing.assert_close(some.log_prob, sampled.log_prob[list(part)], atol=1e-6, rtol=0)


def test_sets_are_independent_bernoulli_decisions() -> None:
    """Where only sets are decided, the published probabilities say everything; and a penalty on them can be learned."""
    space = Written(tuple((kind, 3, None) for kind in ("anchor", "links", "anchor", "links", "anchor", "links")))
    among = {"1": ("input", "0"), "3": ("input", "0", "2"), "5": ("0", "2", "4")}
    policy = Policy(space, **ENAS)
    architectures = policy.sample([space] * 6, seeds(6)).architectures
    rollout = policy.score([space] * 6, architectures)
    sets = rollout.sets
    assert sets is not None
    assert sorted(zip(sets.names, sets.rows.tolist(), strict=True)) == [(n, row) for n in among for row in range(6)]
    expected = torch.zeros(6, dtype=torch.float64)
    for name, row, p, valid in zip(sets.names, sets.rows.tolist(), sets.probabilities, sets.valid, strict=True):
        chosen = torch.tensor([anchor in architectures[row][name] for anchor in among[name]])
        expected[row] += torch.where(chosen, p[valid], 1 - p[valid]).log().sum().double()
    torch.testing.assert_close(rollout.log_prob, expected, atol=1e-5, rtol=0)
    sets.probabilities[sets.valid].sum().backward()
    assert policy.attention.score.grad is not None
    assert float(policy.attention.score.grad.abs().sum()) > 0


def test_is_a_function_of_its_seed() -> None:
    space = Chain()
    first, again, other = Policy(space, seed=1), Policy(space, seed=1), Policy(space, seed=2)
    first.sample([space] * 3, seeds(3))  # changes nothing
    for name, parameter in first.named_parameters():
        assert torch.equal(parameter, dict(again.named_parameters())[name])
        assert not torch.equal(parameter, dict(other.named_parameters())[name])
        assert float(parameter.detach().abs().max()) <= 0.1


def test_parameters_are_those_of_the_declared_vocabularies() -> None:
    space, later = Growing(), Growing().grown(25)
    shapes = {name: tuple(parameter.shape) for name, parameter in Policy(space).named_parameters()}
    assert shapes == {name: tuple(parameter.shape) for name, parameter in Policy(later).named_parameters()}
    assert shapes["embedding"] == shapes["head"] == (3, 100)
    assert shapes["lstm"] == (1, 200, 400)


def test_leaves_the_global_random_state_alone() -> None:
    space = Ragged()
    torch.manual_seed(0)
    before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    policy = Policy(space)
    policy.score([space], policy.sample([space], [7]).architectures)
    assert torch.equal(torch.get_rng_state(), before)
    assert (np.random.get_state()[1] == numpy_before).all()  # noqa: NPY002


def test_logits_are_bounded() -> None:
    u = torch.tensor([[-50.0, -1.0, 0.0, 3.0]])
    torch.testing.assert_close(bounded(u, 5.0, 2.5), 2.5 * torch.tanh(u / 5))
    torch.testing.assert_close(bounded(u, 5.0, None), u / 5)
    torch.testing.assert_close(bounded(u, None, 2.5), 2.5 * torch.tanh(u))


@pytest.mark.parametrize(
    ("constant", "choice_constant", "bound"), [(0.3, None, 0.3), (9.0, 0.3, 0.3), (None, 0.2, 0.2)]
)
def test_bounded_choices_cannot_be_far_apart(
    constant: float | None, choice_constant: float | None, bound: float
) -> None:
    """Where tanh is 1 or -1, two answers of a choice may differ by twice the bound, and three choices by six times."""
    space = Static()
    policy = Policy(space, init=50, temperature=None, tanh_constant=constant, choice_tanh_constant=choice_constant)
    log_prob = score(policy, space, list(enumerate_space(space))).log_prob
    assert float(log_prob.max() - log_prob.min()) == pytest.approx(2 * bound * 3, rel=1e-3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda answers: answers[:-1], "extra: no answer is given"),
        (lambda answers: [("first", 9), *answers[1:]], "first: 9 is not an option"),
        (lambda answers: [*answers, ("more", 8)], "does not ask: more"),
    ],
)
def test_a_wrong_architecture_is_named(change: object, message: str) -> None:
    space = Static()
    good = next(enumerate_space(space))
    wrong = Architecture(space.name, (), tuple(change(list(good.answers))))  # type: ignore[operator]
    with pytest.raises(SpaceError, match=message):
        Policy(space).score([space] * 2, [good, wrong])


def test_wrong_links_are_named() -> None:
    for space, name, answer in ((Chain(), "1/from", "3"), (Skips(), "2/skips", ("0", "2"))):
        good = list(enumerate_space(space))[-1]
        answers = [(asked, answer if asked == name else given) for asked, given in good.answers]
        wrong = Architecture(good.space, good.fields, tuple(answers))
        with pytest.raises(UnknownOption, match=name):
            Policy(space).score([space], [wrong])


def test_another_space_is_refused() -> None:
    policy = Policy(Chain())
    with pytest.raises(SpaceError, match="was made with"):
        policy.score([Chain(nodes=2)], [next(enumerate_space(Chain()))])
    with pytest.raises(SpaceError, match="other vocabularies"):
        policy.sample([Chain(kinds=("conv", "pool", "none"))], [0])
    with pytest.raises(ConfigError, match="0 layers"):
        Policy(Chain(), layers=0)
