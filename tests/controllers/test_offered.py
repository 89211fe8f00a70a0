"""Choices that offer some of their vocabulary, with weights: drawn, masked by policies, and handed to Optuna."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch

from archwright.controllers.optuna_sampler import OptunaSampler
from archwright.controllers.policy import Policy
from archwright.controllers.reinforce import Reinforce
from archwright.errors import SpaceError
from archwright.loop import Proposal, Result, Trial
from archwright.space import Architecture, Choice, Program, Space, check, mutate, sample

WORDS = ("x", "y", "z")


@dataclass(frozen=True)
class Some(Space):
    """Asks twice from one vocabulary; after "y" for some of it, where "z" is three times as likely as "x"."""

    name: ClassVar[str] = "some"
    reads: ClassVar[tuple[str, ...]] = ("offered", "weights")
    offered: tuple[str, ...] = ("x", "z")
    weights: tuple[float, ...] | None = (1.0, 3.0)

    @property
    def vocabularies(self) -> Mapping[str, tuple[str, ...]]:
        return {"word": WORDS}

    def decide(self) -> Program:
        first = yield Choice("first", WORDS, "word")
        if first == "y":
            yield Choice("second", self.offered, "word", weights=self.weights)


def test_a_draw_follows_the_weights() -> None:
    drawn = Counter(dict(sample(Some(), seed).answers).get("second") for seed in range(3000))
    assert drawn["z"] / (drawn["x"] + drawn["z"]) == pytest.approx(0.75, abs=0.05)
    assert {mutate(Some(), sample(Some(), 1), seed).answers[0][1] for seed in range(20)} <= set(WORDS)


@pytest.mark.parametrize("offered", [("z", "x"), ("x", "w"), (), ("x", "x")])
def test_what_is_offered_is_declared_and_in_its_order(offered: tuple[str, ...]) -> None:
    with pytest.raises(SpaceError, match="second offers"):
        [sample(Some(offered=offered, weights=None), seed) for seed in range(20)]


@pytest.mark.parametrize("weights", [(1.0,), (0.0, 1.0), (math.inf, 1.0)])
def test_weights_are_numbers_above_zero_for_each_option(weights: tuple[float, ...]) -> None:
    with pytest.raises(SpaceError, match="second needs a weight above 0"):
        [sample(Some(weights=weights), seed) for seed in range(20)]


def test_a_policy_begins_at_the_weights_and_samples_only_what_is_offered() -> None:
    policy = Policy(Some(), init=0.0)
    rollout = policy.sample([Some()] * 300, range(300))
    log_probs: dict[Architecture, float] = {}
    for architecture, log_prob in zip(rollout.architectures, rollout.log_prob.tolist(), strict=True):
        check(Some(), architecture)
        log_probs[architecture] = math.exp(log_prob)
    assert sum(log_probs.values()) == pytest.approx(1)
    assert sorted(log_probs.values()) == pytest.approx([1 / 12, 3 / 12, 1 / 3, 1 / 3])


def test_a_policy_scores_what_it_sampled() -> None:
    spaces = [Some(), Some(weights=None)] * 10
    policy = Policy(Some(), seed=3, init=0.5)
    sampled = policy.sample(spaces, range(20))
    scored = policy.score(spaces, sampled.architectures)
    torch.testing.assert_close(scored.log_prob, sampled.log_prob, rtol=0, atol=1e-6)
    torch.testing.assert_close(scored.entropy, sampled.entropy, rtol=0, atol=1e-6)
    scored.log_prob.sum().backward()
    assert policy.head.grad is not None
    assert policy.head.grad.isfinite().all()


@pytest.mark.parametrize("kind", [Reinforce, OptunaSampler])
def test_a_controller_learns_among_what_is_offered(kind: Any) -> None:
    if kind is OptunaSampler:
        pytest.importorskip("optuna")
    controller = kind(Some(), batch=4)
    for start in range(0, 24, 4):
        proposals: list[Proposal] = controller.ask(range(start, start + 4))
        for proposal in proposals:
            check(Some(), proposal.architecture)
        controller.tell([Trial(p.stream, p, Result(float(len(p.architecture.answers))), 1.0) for p in proposals])
