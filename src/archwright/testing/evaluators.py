"""The laws of every evaluator: `archwright.loop.Evaluator`."""

from __future__ import annotations

import math
import pickle
import random
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from archwright.loop import Evaluator, Inline, Progress, Proposal, Result, result_of
from archwright.space import Space, sample
from archwright.states import pack, unpack


class EvaluatorContract(ABC):
    """Tests of an evaluator. Make it quick: it scores some dozens of architectures.

    `measured` names the metrics that differ from one evaluation to the next, because they are measured times.
    """

    measured: Sequence[str] = ("seconds", "latency")

    @property
    @abstractmethod
    def space(self) -> Space:
        """The space whose architectures it scores."""

    @abstractmethod
    def make(self) -> Evaluator:
        """Make a new evaluator; another one is its twin."""

    def proposal(self, stream: int) -> Proposal:
        """Return the proposal of a stream, a uniform one; override it for an evaluator that needs soft weights."""
        return Proposal(stream, sample(self.space, (5, stream)))

    def test_it_says_how_a_loop_must_treat_it(self) -> None:
        evaluator = self.make()
        assert isinstance(evaluator.stateful, bool)
        assert math.isfinite(evaluator.failure_reward), "failed children are reported with a reward that is a number"
        assert evaluator.trials_per_epoch > 0

    def test_a_result_can_be_recorded(self) -> None:
        results = self._scores(self._prepared(), range(6))
        assert any(result.error is None for result in results), f"every child fails: {results[0].error}"
        for result in results:
            assert isinstance(result, Result)
            figures = {"reward": result.reward, **result.metrics}
            assert all(isinstance(figure, float | int) for figure in figures.values()), f"not numbers: {figures}"

    def test_a_score_depends_on_the_state_and_the_proposal_alone(self) -> None:
        evaluator = self._prepared()
        state = pack(evaluator.state_dict())
        forwards, backwards = self._scores(evaluator, range(4)), self._scores(evaluator, range(3, -1, -1))
        assert forwards == backwards[::-1], "an architecture is scored differently after another one"
        assert forwards == self._scores(self._prepared(), range(4)), "a twin scores differently"
        assert pack(evaluator.state_dict()) == state, "evaluate() changes the state; that is for prepare()"

    def test_global_random_numbers_are_neither_used_nor_disturbed(self) -> None:
        before = _generators()
        self._scores(self._prepared(), range(2))
        changed = [library for library, state in _generators().items() if state != before[library]]
        assert not changed, f"the global random generator of {changed} was used; draw from a seed and a position"

    def test_what_needs_no_shared_state_works_in_another_process(self) -> None:
        evaluator = self.make()
        if not evaluator.stateful:
            elsewhere = pickle.loads(pickle.dumps(evaluator))
            assert self._scores(elsewhere, range(2)) == self._scores(evaluator, range(2))

    def test_preparing_reports_its_steps_and_is_done_once(self) -> None:
        evaluator, ask = self.make(), _Ask(self)
        for progress in evaluator.prepare(ask, 0):
            assert 1 <= progress.step <= progress.steps
        assert not list(evaluator.prepare(ask, 0)), "prepare() works again though no trial has been reported since"

    def test_a_preparation_that_is_cut_off_goes_on_to_the_same_bits(self) -> None:
        """Cut off after the first step, after the next, in the middle, and when it is done; restored each time."""
        import torch

        whole, ask = self.make(), _Ask(self)
        told = math.ceil(2 * whole.trials_per_epoch)
        expected = list(whole.prepare(ask, told))
        events, stored, again = list[Progress](), pack(self.make().state_dict()), _Ask(self)
        for cut in (*sorted({1, 2, len(expected) // 2, len(expected)}), math.inf):
            part = self.make()
            for draw in (random.random, np.random.rand, lambda: torch.rand(1)):  # nothing may depend on it
                draw()
            part.load_state_dict(unpack(stored))
            for progress in part.prepare(again, told):
                events.append(progress)
                if len(events) >= cut:
                    break
            stored = pack(part.state_dict())
            assert events == expected[: len(events)], f"restored, it prepares differently before step {cut}"
        assert (events, again.streams) == (expected, ask.streams)
        assert stored == pack(whole.state_dict()), "restored, it ends with another state"
        assert self._scores(part, range(3)) == self._scores(whole, range(3))

    def _prepared(self) -> Evaluator:
        evaluator = self.make()
        for _ in evaluator.prepare(_Ask(self), 0):
            pass
        return evaluator

    def _scores(self, evaluator: Evaluator, streams: Sequence[int]) -> list[Result]:
        """Return results as a loop takes them, without measured times."""
        asked = (Inline().submit(evaluator, self.proposal(stream)) for stream in streams)
        results = [result_of(future, evaluator) for future in asked]
        return [replace(r, metrics={k: v for k, v in r.metrics.items() if k not in self.measured}) for r in results]


@dataclass
class _Ask:
    """Numbers its proposals as the loop numbers them."""

    contract: EvaluatorContract
    streams: int = 0

    def __call__(self, n: int) -> list[Proposal]:
        first, self.streams = self.streams, self.streams + n
        return [self.contract.proposal(stream) for stream in range(first, self.streams)]


def _generators() -> dict[str, object]:
    """Return the states of the global generators."""
    import torch

    numpy = [str(part) for part in np.random.get_state()]  # noqa: NPY002
    return {"Python": random.getstate(), "numpy": numpy, "torch": torch.get_rng_state().tolist()}
