"""What every controller must keep, whatever it does: the protocol of `archwright.loop.Controller`."""

from __future__ import annotations

import importlib.util
from importlib import import_module
from typing import Any

import pytest

from archwright.controllers import CONTROLLERS
from archwright.evaluators.function import Function
from archwright.loop import Controller, Inline, Proposal, Result, Trial, Trials, run
from archwright.space import Architecture, Space, check, count
from archwright.states import pack, unpack
from small_spaces import Chain, Growing, Ragged, Skips, Static

SPACES = pytest.mark.parametrize("space", [Static(), Chain(), Skips(), Ragged(), Growing()], ids=lambda s: s.name)
SETTINGS: dict[str, dict[str, Any]] = {
    "evolution": {"population": 4},
    "guided": {"start": 4, "random": 10, "mutants": 10},
    "reinforce": {"batch": 4, "units": 8},
}
WITH = {
    **{name: (name, SETTINGS.get(name, {})) for name in CONTROLLERS},
    "local-best": ("local", {"step": "best"}),
    "guided-policy": ("guided", {"start": 4, "random": 5, "mutants": 5, "sampled": 5, "updates": 1}),
    "guided-blind": ("guided", {"start": 4, "random": 5, "mutants": 5, "surrogate": False}),
}
EVERY = pytest.mark.parametrize("name", WITH)


def make(name: str, space: Space, seed: int = 3) -> Controller:
    controller, settings = WITH[name]
    if controller == "optuna" and importlib.util.find_spec("optuna") is None:
        pytest.skip("needs archwright[optuna]")
    module, _, cls = CONTROLLERS[controller].partition(":")
    made: Controller = getattr(import_module(module), cls)(space, seed=seed, **settings)
    return made


def reward(architecture: Architecture) -> float:
    return sum(len(str(answer)) * (place + 1) for place, (_, answer) in enumerate(architecture.answers)) % 17 / 17


def trial(proposal: Proposal) -> Trial:
    return Trial(proposal.stream, proposal, Result(reward(proposal.architecture)), 0.0)


@EVERY
@SPACES
def test_proposes_architectures_of_the_space_as_it_stands(name: str, space: Space) -> None:
    controller = make(name, space)
    for stream in range(24):
        (proposal,) = controller.ask([stream])
        assert proposal.stream == stream
        check(space.grown(stream), proposal.architecture)
        controller.tell([trial(proposal)])


@EVERY
@SPACES
def test_a_proposal_depends_on_the_state_and_its_stream_only(name: str, space: Space) -> None:
    """Asked twice, asked in another order, or together with others: the same architecture."""
    controller = make(name, space)
    for stream in range(0, 12, 2):
        together = [p.architecture for p in controller.ask([stream, stream + 1])]
        assert [p.architecture for s in (stream + 1, stream) for p in controller.ask([s])] == together[::-1]
        controller.tell([trial(p) for p in controller.ask([stream])])
    assert make(name, space, seed=4).ask(range(6)) != make(name, space).ask(range(6)) or count(space) < 10


@EVERY
@SPACES
def test_resumes_where_it_was(name: str, space: Space) -> None:
    """With the last state that was stored, and what was told after it told again at once, it goes on the same."""
    whole, first, second = (make(name, space) for _ in range(3))
    stored, later = pack(first.state_dict()), []
    for stream in range(22):
        (proposal,) = whole.ask([stream])
        whole.tell([trial(proposal)])
        if stream < 15:
            later.append(trial(*first.ask([stream])))
            if first.tell(later[-1:]):
                stored, later = pack(first.state_dict()), []
        elif stream == 15:
            second.load_state_dict(unpack(stored))
            if later:
                second.tell(later)
        if stream >= 15:
            (again,) = second.ask([stream])
            assert again.architecture == proposal.architecture
            second.tell([trial(again)])
    assert pack(second.state_dict()) == pack(whole.state_dict())


@EVERY
def test_goes_on_where_everything_has_been_tried_and_failed(name: str) -> None:
    """36 architectures, 60 trials, all with the same reward."""
    found = [
        event
        for event in run(make(name, Static()), Function(lambda a: 0.0), budget=Trials(60), engine=Inline())
        if isinstance(event, Trial)
    ]
    assert len(found) == 60
