"""The laws of every store: `archwright.loop.Store`."""

from __future__ import annotations

import math
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from archwright.loop import Proposal, Result, Saved, Store, Trial
from archwright.space import sample
from archwright.states import pack
from archwright.testing.searches import Interrupted, Mortal, searched, summary
from archwright.testing.small_spaces import Chain


class StoreContract(ABC):
    """Tests of a store."""

    @abstractmethod
    def make(self, folder: Path) -> Store:
        """Open the store in the folder: a new one, or that of an earlier call, which was closed if it has a `close`."""

    def test_a_new_store_has_nothing_recorded(self) -> None:
        with _folder() as folder, self._open(folder) as store:
            assert store.load() == Saved([], [], 0, None, 0, None)

    def test_what_was_recorded_is_loaded_again(self) -> None:
        """In the order reported; `controller_trials` counts the trials up to the state that was saved last."""
        state = {"weights": np.arange(3.0), "nested": [{"7": None}, True, 0.1]}
        first, second = Trial(1, proposal(1), Result(0.5, {"a": 1.0}, "ValueError: no"), 2.0, {"loss": 1.5}), trial(0)
        proposed = [(0, proposal(0)), (1, proposal(1)), (2, proposal(2, -1.5))]
        saved = self._saved(("proposed", proposed, 3), ("told", [first], state), ("told", [second], None))
        assert list(saved.trials) == [first, second]
        assert list(saved.pending) == [(2, proposal(2, -1.5))]
        assert (saved.streams, saved.controller_trials, saved.evaluator) == (3, 1, None)
        assert saved.controller is not None
        assert pack(saved.controller) == pack(state)

    def test_every_number_and_text_can_be_recorded(self) -> None:
        numbers = (math.nan, math.inf, -math.inf, 1e-310, -0.0, 0.1)
        trials = [
            Trial(n, proposal(n, number), Result(number, {"ü": number, "": 2.0}, f"ü\n\0{n}"), 0.1)
            for n, number in enumerate(numbers)
        ]
        unreadable = trial(9, error="a name that is not UTF-8: \udcff")
        proposed = [(trial.number, trial.proposal) for trial in (*trials, unreadable)]
        *back, odd = self._saved(
            ("proposed", proposed, 10), ("told", trials, None), ("told", [unreadable], None)
        ).trials
        assert list(map(repr, back)) == list(map(repr, trials))  # NaN does not equal itself
        assert (odd.result.error or "").startswith("a name")

    def test_a_record_is_whole_or_absent(self) -> None:
        with _folder() as folder, self._open(folder) as store:
            store.proposed([(0, proposal(0)), (1, proposal(1))], 2)
            store.told([trial(0)], {"n": 1})
            for wrong in ([trial(1), trial(0)], [trial(1), trial(7)]):  # reported before, and never proposed
                refused = False
                try:
                    store.told(wrong, {"n": 2})
                except Exception:
                    refused = True
                assert refused, "a result without a pending proposal is recorded"
                saved = store.load()
                assert ([t.number for t in saved.trials], saved.controller) == ([0], {"n": 1})
            store.told([trial(1)], None)
            assert [t.number for t in store.load().trials] == [0, 1]

    def test_a_checkpoint_is_the_evaluator_and_the_run_as_it_was(self) -> None:
        """The last one counts; what is recorded after it does not change it."""
        saved = self._saved(
            ("checkpoint", {"step": 6}, 20, {"loss": 2.5}),
            ("proposed", [(number, proposal(number)) for number in range(3)], 23),
            ("told", [trial(1)], {"n": 1}),
            ("checkpoint", {"step": 7}, 40, {"loss": 1.5}),
            ("told", [trial(0)], {"n": 2}),
            ("proposed", [(3, proposal(3))], 41),
        )
        assert (saved.evaluator, saved.streams, saved.controller) == ({"step": 7}, 41, {"n": 2})
        then = saved.checkpoint
        assert then is not None
        assert (then.evaluator, then.streams, then.controller, then.controller_trials) == ({"step": 7}, 40, {"n": 1}, 1)
        assert (list(then.trials), then.figures) == ([trial(1)], {"loss": 1.5})
        assert list(then.pending) == [(0, proposal(0)), (2, proposal(2))]

    def test_a_search_that_ends_after_any_record_resumes_to_the_same_end(self) -> None:
        uninterrupted = searched(None)
        for records, seconds in ((2, 60.0), (3, 0.0)):
            with _folder() as folder:
                result = None
                while result is None:
                    with self._open(folder) as store, suppress(Interrupted):
                        _, *states = searched(Mortal(store, records), seconds)
                        result = (summary(store.load().trials), *states)
            assert result == uninterrupted, f"cut off after every {records} records, the search ends differently"

    def _saved(self, *records: tuple[Any, ...]) -> Saved:
        """Return what a new store has after these records, given as a method's name and values, once it is reopened."""
        with _folder() as folder:
            with self._open(folder) as store:
                for name, *values in records:
                    getattr(store, name)(*values)
                before = store.load()
            with self._open(folder) as store:
                saved = store.load()
        assert repr([*saved.trials, *saved.pending]) == repr([*before.trials, *before.pending]), (
            "closing changes records"
        )
        return saved

    @contextmanager
    def _open(self, folder: Path) -> Iterator[Store]:
        store = self.make(folder)
        try:
            yield store
        finally:
            if (close := getattr(store, "close", None)) is not None:
                close()


def proposal(stream: int, log_prob: float | None = None) -> Proposal:
    """Return a proposal; some streams propose the same architecture."""
    return Proposal(stream, sample(Chain(), stream % 7), log_prob)


def trial(number: int, reward: float = 0.5, error: str | None = None) -> Trial:
    """Return the proposal of that stream with a result."""
    return Trial(number, proposal(number), Result(reward, {"accuracy": reward}, error), 0.25)


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "run"
