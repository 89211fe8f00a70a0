"""Guided search finds what is good, and what it proposes at once is not the same."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from archwright.controllers.guided import Guided
from archwright.controllers.random import Random
from archwright.errors import ConfigError
from archwright.evaluators.function import Function
from archwright.loop import Describes, Proposal, Result, Trial, Trials, run
from archwright.space import Architecture, replay, sample
from archwright.spaces import EnasMicro, NasBench201
from archwright.testing.small_spaces import Static


def planted(architecture: Architecture) -> float:
    """The best architecture has its best answers in every other decision, the worst answers in the rest."""
    return sum(len(str(answer)) % 5 * (-1) ** place for place, (_, answer) in enumerate(architecture.answers))


def best(controller: Guided | Random, trials: int) -> float:
    return max(e.reward for e in run(controller, Function(planted), budget=Trials(trials)) if isinstance(e, Trial))


@pytest.mark.parametrize("settings", [{}, {"features": False}, {"sampled": 10, "mutants": 20, "updates": 1}], ids=str)
def test_thirty_trials_find_what_four_hundred_random_ones_do(settings: dict[str, int]) -> None:
    space = EnasMicro(nodes=2)
    assert best(Guided(space, random=20, seed=1, **settings), 30) >= best(Random(space, seed=1), 400)


def test_proposals_at_once_are_different_and_new() -> None:
    space = NasBench201()
    controller = Guided(space, start=5, seed=2)
    for proposal in controller.ask(range(20)):
        controller.tell([Trial(proposal.stream, proposal, Result(planted(proposal.architecture)), 0.0)])
    at_once = [proposal.architecture for proposal in controller.ask(range(20, 28))]
    assert len(set(at_once)) == 8
    assert not set(at_once) & {proposal.architecture for proposal in Random(space, seed=2).ask(range(20))}


def test_features_of_nas_bench_201_are_its_paths() -> None:
    """none cuts, skip_connect leaves nothing: two cells that differ where nothing passes are the same to it."""
    space = NasBench201()
    names = ["1<-0", "2<-0", "2<-1", "3<-0", "3<-1", "3<-2"]
    operations = ["nor_conv_3x3", "none", "skip_connect", "avg_pool_3x3", "none", "nor_conv_1x1"]
    paths = space.features(replay(space, dict(zip(names, operations, strict=True))))["paths"]
    assert paths == {("avg_pool_3x3",): 1, ("nor_conv_3x3", "nor_conv_1x1"): 1}


def test_describes_itself_and_refuses_impossible_settings() -> None:
    assert isinstance(Guided(Static()), Describes)
    with pytest.raises(ConfigError, match="start=0"):
        Guided(Static(), start=0)
    with pytest.raises(ConfigError, match="no candidates"):
        Guided(Static(), random=0, mutants=0)


def test_its_linear_algebra_takes_one_thread_and_the_rest_of_the_program_what_it_had() -> None:
    from threadpoolctl import threadpool_info, threadpool_limits

    def threads() -> set[int]:
        return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}

    seen: list[set[int]] = []

    class Watched(Guided):
        def _learn(self) -> None:
            seen.append(threads())
            super()._learn()

    with threadpool_limits(2, user_api="blas"):
        before = threads()
        best(Watched(Static(), start=3, seed=1), 6)
        assert threads() == before
    assert seen
    assert set().union(*seen) == {1}


def grown(architecture: Architecture) -> float:
    """A score that follows the weights in use, less for pooling, plus what only this architecture has."""
    numbers = NasBench201().magnitudes(architecture)
    own = np.random.default_rng(int(architecture.id, 16)).standard_normal()
    return numbers["live weights"] - numbers["pooled"] - abs(numbers["deep"] - 2) + 0.3 * float(own)


def means(reward: Callable[[Architecture], float], trials: int, **settings: Any) -> tuple[float, float]:
    """Return the mean of the best reward of six searches, of `guided` and of random search."""
    found = []
    for make in (functools.partial(Guided, **settings), Random):
        runs = [run(make(NasBench201(), seed=seed), Function(reward), budget=Trials(trials)) for seed in range(6)]
        found.append(float(np.mean([max(e.reward for e in events if isinstance(e, Trial)) for events in runs])))
    return found[0], found[1]


def test_magnitudes_save_trials_where_scores_follow_them() -> None:
    """Twenty trials: ahead of random search by more than without magnitudes."""
    informed, drawn = means(grown, 20)
    plain, _ = means(grown, 20, magnitudes=False)
    assert informed > plain
    assert informed > drawn + 0.5


def test_noise_does_not_mislead_it() -> None:
    """Scores that nothing explains: the best of thirty is on average that of random search, 2.04 +- 0.49 each."""
    guided, drawn = means(lambda a: float(np.random.default_rng(int(a.id, 16)).standard_normal()), 30)
    assert guided > drawn - 0.6


def test_proposals_are_a_function_of_the_trials_however_they_were_reported() -> None:
    space = NasBench201()
    trials = [
        Trial(n, Proposal(n, one), Result(grown(one)), 0.0) for n, one in enumerate(sample(space, n) for n in range(23))
    ]
    at_once, one_by_one = (Guided(space, seed=4) for _ in range(2))
    at_once.tell(trials)
    for trial in trials:
        one_by_one.tell([trial])
        one_by_one.ask([trial.number + 1])
    assert at_once.ask(range(23, 26)) == one_by_one.ask(range(23, 26))
