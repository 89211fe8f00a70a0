"""Local search: it climbs, tries nothing twice, and begins anew at an optimum."""

from __future__ import annotations

from typing import Literal

import pytest

from archwright.controllers.local import LocalSearch
from archwright.errors import ConfigError
from archwright.evaluators.function import Function
from archwright.loop import Result, Trial, Trials, run
from archwright.space import Architecture, count, neighbours
from archwright.testing.small_spaces import Chain, Static

STEPS = pytest.mark.parametrize("step", ["first", "best"])


def worth(architecture: Architecture) -> float:
    return sum((place + 1) * len(str(answer)) for place, (_, answer) in enumerate(architecture.answers))


def searched(controller: LocalSearch, trials: int) -> list[Trial]:
    return [e for e in run(controller, Function(worth), budget=Trials(trials)) if isinstance(e, Trial)]


@STEPS
def test_tries_nothing_twice_until_everything_has_been_tried(step: Literal["first", "best"]) -> None:
    space = Static()
    everything = count(space)
    tried = [trial.architecture for trial in searched(LocalSearch(space, step=step, seed=1), everything - 4)]
    # A fresh start is uniform, so it alone may meet what is known already.
    assert len(set(tried)) >= everything - 10


@STEPS
def test_begins_anew_only_where_everything_around_has_been_tried_and_nothing_is_better(
    step: Literal["first", "best"],
) -> None:
    space = Chain(nodes=3, kinds=("a", "bb", "ccc"))
    controller = LocalSearch(space, step=step, seed=2)
    tried: dict[Architecture, float] = {}
    earlier: set[Architecture] = set()  # tried before this climb
    moves = climbs = 0
    for stream in range(80):
        (proposal,) = controller.ask([stream])
        before = controller._centre
        if before is None:
            earlier = set(tried)
        if before is not None and proposal.architecture not in tried:
            assert proposal.architecture in set(neighbours(space, before[0]))
        reward = tried[proposal.architecture] = worth(proposal.architecture)
        controller.tell([Trial(stream, proposal, Result(reward), 0.0)])
        if before is None or controller._centre == before:
            continue
        around = {each: tried.get(each) for each in neighbours(space, before[0])}
        if controller._centre is None:
            assert None not in around.values()
            assert {each for each, reward in around.items() if (reward or 0) > before[1]} <= earlier
            climbs += 1
        else:
            assert controller._centre[1] > before[1]
            assert step == "first" or None not in around.values()
            moves += 1
    assert moves >= 2
    assert climbs >= 1


def test_refuses_impossible_settings() -> None:
    with pytest.raises(ConfigError, match="step='worst'"):
        LocalSearch(Static(), step="worst")  # type: ignore[arg-type]
