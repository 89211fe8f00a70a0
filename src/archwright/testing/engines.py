"""The laws of every engine: `archwright.loop.Engine`."""

from __future__ import annotations

import os
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager

from archwright.errors import ArchwrightError, ChildFailure, ConfigError, Diverged, WorkerDied
from archwright.evaluators.function import Function
from archwright.loop import Engine, Proposal, Result, Trial, Trials, run
from archwright.space import Architecture, sample
from archwright.testing.small_spaces import Static

SECONDS = 60.0  # for an answer


class EngineContract(ABC):
    """Tests of an engine. Its workers import `archwright.testing.engines`, where the children are."""

    @abstractmethod
    def make(self, workers: int) -> Engine:
        """Make an engine; one that has no workers of its own may have another number of them."""

    def test_every_proposal_gets_its_own_result(self) -> None:
        with self._engine() as engine:
            assert engine.workers >= 1
            futures = [_submit(engine, "x" * length) for length in range(1, 13)]
            assert [future.result(SECONDS).reward for future in futures] == list(range(1, 13))

    def test_a_child_that_fails_is_an_exception_of_the_same_name_in_its_future(self) -> None:
        """Errors of archwright keep their type too: by it the loop goes on or ends the run."""
        with self._engine() as engine:
            for error in ERRORS:
                before, failed, after = (_submit(engine, what) for what in ("a", type(error).__name__, "bb"))
                found = failed.exception(SECONDS)
                assert (type(found).__name__, str(found)) == (type(error).__name__, str(error))
                assert isinstance(found, type(error) if isinstance(error, ArchwrightError) else Exception)
                assert (before.result(SECONDS).reward, after.result(SECONDS).reward) == (1, 2), "other children suffer"

    def test_each_evaluator_scores_its_own_proposals(self) -> None:
        with self._engine() as engine:
            other = Function(_one_more)
            futures = [_submit(engine, "aa", evaluator) for evaluator in (LENGTH, other, other, LENGTH, other)]
            assert [future.result(SECONDS).reward for future in futures] == [2, 3, 3, 2, 3]

    def test_a_search_gets_every_trial_once(self) -> None:
        from archwright.controllers.random import Random

        with self._engine() as engine:
            events = run(Random(Static(), seed=1), Function(_score), budget=Trials(15), engine=engine)
            trials = [event for event in events if isinstance(event, Trial)]
        assert sorted(trial.number for trial in trials) == list(range(15))
        for trial in trials:
            assert trial.architecture == sample(Static(), (1, trial.number))
            assert trial.reward == _score(trial.architecture)

    def test_closing_ends_every_evaluation(self) -> None:
        engine = self.make(2)
        futures = [_submit(engine, "a") for _ in range(6)]
        engine.close()
        engine.close()  # a second time does no harm
        for future in futures:
            _outcome(future)

    @contextmanager
    def _engine(self) -> Iterator[Engine]:
        engine = self.make(2)
        try:
            yield engine
        finally:
            engine.close()


class IsolatedEngineContract(EngineContract):
    """Tests of an engine whose children cannot harm the process that submits them, nor each other."""

    def test_a_worker_that_dies_costs_the_child_it_was_evaluating(self) -> None:
        with self._engine() as engine:
            for how in ("exit", "kill"):
                futures = [_submit(engine, what) for what in ("a", how, "bb", "ccc")]
                assert isinstance(futures.pop(1).exception(SECONDS), WorkerDied)
                assert [future.result(SECONDS).reward for future in futures] == [1, 2, 3]

    def test_what_cannot_be_pickled_is_the_failure_of_its_child(self) -> None:
        with self._engine() as engine:
            error = _submit(engine, "stubborn").exception(SECONDS)
            assert (type(error).__name__, str(error)) == ("Stubborn", "cannot travel")
            assert isinstance(error, ChildFailure)
            assert isinstance(_submit(engine, "unpicklable").exception(SECONDS), ChildFailure)
            assert _submit(engine, "bb").result(SECONDS).reward == 2

    def test_children_are_evaluated_in_other_processes(self) -> None:
        with self._engine() as engine:
            assert _submit(engine, "process").result(SECONDS).metrics["pid"] != os.getpid()

    def test_closing_does_not_wait_for_a_child_that_hangs(self) -> None:
        engine = self.make(2)
        future = _submit(engine, "hang")
        _submit(engine, "a").result(SECONDS)  # by now the other child has begun
        began = time.monotonic()
        engine.close()
        assert time.monotonic() - began < SECONDS
        assert isinstance(_outcome(future), ChildFailure | CancelledError)


ERRORS = (ValueError("a wrong value"), Diverged("the loss is nan"), ConfigError("no such data"))


class Stubborn(Exception):
    """An error that can be neither pickled nor unpickled."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(f"{one} {two}")
        self.lock = lambda: None


def act(architecture: Architecture) -> float | Result:
    """Do what the architecture says, or return the length of its word."""
    what = str(architecture["do"])
    for error in ERRORS:
        if type(error).__name__ == what:
            raise error
    if what == "exit":
        os._exit(3)
    elif what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif what == "hang":
        time.sleep(10 * SECONDS)
    elif what == "stubborn":
        raise Stubborn("cannot", "travel")
    elif what == "unpicklable":
        return Result(1.0, {"x": lambda: None})  # type: ignore[dict-item]
    return Result(len(what), {"pid": os.getpid()})


def _one_more(architecture: Architecture) -> float:
    return len(str(architecture["do"])) + 1


def _score(architecture: Architecture) -> float:
    return int(architecture.id, 16) / 16**12


LENGTH = Function(act)


def _submit(engine: Engine, what: str, evaluator: Function = LENGTH) -> Future[Result]:
    return engine.submit(evaluator, Proposal(0, Architecture("test", (), (("do", what),))))


def _outcome(future: Future[Result]) -> Result | BaseException:
    """Return what an evaluation came to, by waiting no longer than is reasonable."""
    try:
        return future.exception(SECONDS) or future.result()
    except CancelledError as error:
        return error
