"""The laws of every controller: `archwright.loop.Controller`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from archwright.evaluators.function import Function
from archwright.loop import Controller, Proposal, Result, Trial, Trials, run
from archwright.space import Architecture, Space, check, count
from archwright.states import pack, unpack
from archwright.testing.small_spaces import SMALL

SEED = 3
_BEFORE, _AFTER = 15, 7  # trials of the search that is interrupted


class ControllerContract(ABC):
    """Tests of a controller. `spaces` are those that it can search; all of them are small enough to enumerate."""

    spaces: Sequence[Space] = SMALL

    @abstractmethod
    def make(self, space: Space, seed: int) -> Controller:
        """Make a new controller; one with the same arguments is its twin."""

    def test_it_proposes_architectures_of_the_space_as_it_stands(self) -> None:
        for space in self.spaces:
            controller = self.make(space, SEED)
            assert controller.batch >= 1, f"batch is {controller.batch}; a controller learns from at least one trial"
            assert controller.ask([]) == []
            for stream in range(24):
                for proposal in _asked(controller, stream):
                    check(space.grown(stream), proposal.architecture)
                    controller.tell([trial(proposal)])

    def test_a_proposal_depends_on_the_state_and_its_stream_only(self) -> None:
        """Asked twice, asked in another order, or together with others: the same architecture, and the same state."""
        for space in self.spaces:
            controller = self.make(space, SEED)
            for stream in range(0, 12, 2):
                state = pack(controller.state_dict())
                together = _architectures(controller.ask([stream, stream + 1]))
                backwards = [*_architectures(controller.ask([stream + 1])), *_architectures(controller.ask([stream]))]
                if len(together) == 2:  # otherwise nothing is left to propose
                    assert backwards[::-1] == together, f"{space.name}: streams {stream} and {stream + 1} {_DIFFER}"
                assert pack(controller.state_dict()) == state, f"{space.name}: asking for proposals changed the state"
                _tell(controller, _asked(controller, stream))

    def test_another_seed_proposes_others(self) -> None:
        """Switch this off for a controller without randomness."""
        for space in self.spaces:
            ours, theirs = (_architectures(self.make(space, seed).ask(range(6))) for seed in (SEED, SEED + 1))
            assert ours != theirs or count(space) < 10, f"{space.name}: two seeds propose the same"

    def test_it_says_when_its_state_changes(self) -> None:
        for space in self.spaces:
            controller = self.make(space, SEED)
            for stream in range(12):
                state = pack(controller.state_dict())
                if proposals := _asked(controller, stream):
                    changed = _tell(controller, proposals)
                    assert changed or pack(controller.state_dict()) == state, (
                        f"{space.name}: tell() returned {changed!r}"
                    )

    def test_it_resumes_where_it_was(self) -> None:
        """With the last state that was stored and the trials reported after it, it goes on as the uninterrupted one."""
        for space in self.spaces:
            whole, first, second = (self.make(space, SEED) for _ in range(3))
            stored, later = pack(first.state_dict()), list[Trial]()
            for stream in range(_BEFORE):
                _tell(whole, _asked(whole, stream))
                for proposal in _asked(first, stream):
                    later.append(trial(proposal))
                    if first.tell(later[-1:]):
                        stored, later = pack(first.state_dict()), []
            second.load_state_dict(unpack(stored))
            if later:
                second.tell(later)
            for stream in range(_BEFORE, _BEFORE + _AFTER):
                expected, again = _asked(whole, stream), _asked(second, stream)
                assert _architectures(again) == _architectures(expected), (
                    f"{space.name}: resumed, stream {stream} differs"
                )
                _tell(whole, expected)
                _tell(second, again)
            assert pack(second.state_dict()) == pack(whole.state_dict()), (
                f"{space.name}: a resumed controller ends differently"
            )

    def test_it_goes_on_where_everything_fails_or_scores_the_same(self) -> None:
        space = self.spaces[0]
        for score in (lambda architecture: 0.0, _failing):
            for _ in run(self.make(space, SEED), Function(score), budget=Trials(60)):
                pass


_DIFFER = "are given other architectures when they are asked for by themselves, in another order"


def reward(architecture: Architecture) -> float:
    """Return a made-up reward, from 0 to 1, that depends on every answer."""
    return sum(len(str(answer)) * (place + 1) for place, (_, answer) in enumerate(architecture.answers)) % 17 / 17


def trial(proposal: Proposal) -> Trial:
    """Return the proposal with its made-up reward."""
    return Trial(proposal.stream, proposal, Result(reward(proposal.architecture)), 0.0)


def _asked(controller: Controller, stream: int) -> list[Proposal]:
    """Return the proposal for a stream; none when nothing is left to propose, which only a later stream may say."""
    proposals = controller.ask([stream])
    assert stream > 0 or proposals, "a new controller proposes nothing"
    assert [proposal.stream for proposal in proposals] in ([], [stream]), f"asked for stream {stream}: {proposals}"
    return proposals


def _tell(controller: Controller, proposals: Sequence[Proposal]) -> bool:
    return bool(proposals) and controller.tell([trial(proposal) for proposal in proposals])


def _architectures(proposals: Sequence[Proposal]) -> list[Architecture]:
    return [proposal.architecture for proposal in proposals]


def _failing(architecture: Architecture) -> float:
    raise ValueError("every child fails")
