"""The laws of every controller: `archwright.loop.Controller`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

from archwright.evaluators.function import Function
from archwright.loop import Controller, Proposal, Result, Saved, Trial, Trials, restore, run
from archwright.space import Architecture, Space, check, count
from archwright.states import pack, unpack
from archwright.testing.small_spaces import SMALL

SEED = 3
BEFORE, AFTER = 15, 7  # trials of the search that is interrupted


class ControllerContract(ABC):
    """Tests of a controller. `spaces` are those that it can search; all of them are small enough to enumerate."""

    spaces: Sequence[Space] = SMALL

    @abstractmethod
    def make(self, space: Space, seed: int) -> Controller:
        """Make a new controller; one with the same arguments is its twin."""

    def test_it_proposes_architectures_of_the_space_as_it_stands(self) -> None:
        for space, controller in self._made():
            assert controller.batch >= 1, f"batch is {controller.batch}; a controller learns from at least one trial"
            assert controller.ask([]) == []
            for stream in range(24):
                for trial in _trials(controller, stream):
                    check(space.grown(stream), trial.architecture)
                    controller.tell([trial])

    def test_a_proposal_depends_on_the_state_and_its_stream_only(self) -> None:
        """Asked twice, asked in another order, or together with others: the same architecture, and the same state."""
        for space, controller in self._made():
            for stream in range(0, 12, 2):
                state = pack(controller.state_dict())
                together = _architectures(controller.ask([stream, stream + 1]))
                second, first = (_architectures(controller.ask([asked])) for asked in (stream + 1, stream))
                if len(together) == 2:  # otherwise nothing is left to propose
                    assert [*first, *second] == together, (
                        f"{space.name}: streams {stream} and {stream + 1} are given other architectures when they are "
                        "asked for by themselves, in another order"
                    )
                assert pack(controller.state_dict()) == state, f"{space.name}: asking for proposals changed the state"
                _step(controller, stream)

    def test_another_seed_proposes_others(self) -> None:
        """Switch this off for a controller without randomness."""
        for space, controller in self._made():
            ours, theirs = (_architectures(c.ask(range(6))) for c in (controller, self.make(space, SEED + 1)))
            assert ours != theirs or count(space) < 10, f"{space.name}: two seeds propose the same"

    def test_it_says_when_its_state_changes(self) -> None:
        for space, controller in self._made():
            for stream in range(12):
                state = pack(controller.state_dict())
                trials = _trials(controller, stream)
                changed = bool(trials) and controller.tell(trials)
                assert changed or pack(controller.state_dict()) == state, f"{space.name}: tell() returned {changed!r}"

    def test_it_resumes_where_it_was(self) -> None:
        """With the last state that was stored and the trials reported after it, it goes on as the uninterrupted one."""
        for space, whole in self._made():
            stored, later = pack(whole.state_dict()), list[Trial]()
            for stream in range(BEFORE):
                later += (trials := _trials(whole, stream))
                if trials and whole.tell(trials):
                    stored, later = pack(whole.state_dict()), []
            resumed = self.make(space, SEED)
            restore(resumed, Saved(later, [], BEFORE, unpack(stored)))
            for stream in range(BEFORE, BEFORE + AFTER):
                expected, found = _step(whole, stream), _step(resumed, stream)
                assert found == expected, f"{space.name}: resumed, stream {stream} differs"
            ends = pack(resumed.state_dict()) == pack(whole.state_dict())
            assert ends, f"{space.name}: a resumed controller ends differently"

    def test_it_goes_on_where_everything_fails_or_scores_the_same(self) -> None:
        for score in (lambda architecture: 0.0, _fail):
            for _ in run(self.make(self.spaces[0], SEED), Function(score), budget=Trials(60)):
                pass

    def _made(self) -> Iterator[tuple[Space, Controller]]:
        return ((space, self.make(space, SEED)) for space in self.spaces)


def _trials(controller: Controller, stream: int) -> list[Trial]:
    """Return the trial of a stream; none when nothing is left to propose, which only a later stream may say."""
    proposals = controller.ask([stream])
    assert stream > 0 or proposals, "a new controller proposes nothing"
    assert [proposal.stream for proposal in proposals] in ([], [stream]), f"asked for stream {stream}: {proposals}"
    return [Trial(stream, proposal, Result(_reward(proposal.architecture)), 0.0) for proposal in proposals]


def _step(controller: Controller, stream: int) -> list[Architecture]:
    """Ask for the proposal of a stream and report its trial."""
    if trials := _trials(controller, stream):
        controller.tell(trials)
    return [trial.architecture for trial in trials]


def _reward(architecture: Architecture) -> float:
    """Return a made-up reward, from 0 to 1, that depends on every answer."""
    return sum(len(str(answer)) * (place + 1) for place, (_, answer) in enumerate(architecture.answers)) % 17 / 17


def _architectures(proposals: Sequence[Proposal]) -> list[Architecture]:
    return [proposal.architecture for proposal in proposals]


def _fail(architecture: Architecture) -> float:
    raise ValueError("every child fails")
