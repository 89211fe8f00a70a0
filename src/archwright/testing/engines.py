"""The laws of every engine: `archwright.loop.Engine`."""

from __future__ import annotations

import os
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable
from concurrent.futures import CancelledError, Future
from contextlib import closing

from archwright.errors import ArchwrightError, ChildFailure, ConfigError, Diverged, WorkerDied
from archwright.evaluators.function import Function
from archwright.loop import Engine, Proposal, Result, Trial, Trials, run
from archwright.space import Architecture, sample
from archwright.testing.small_spaces import Static

SECONDS = 60.0  # for an answer
FAILURES = (ValueError("a wrong value"), Diverged("the loss is nan"), ConfigError("no such data"))
ERRORS = {type(error).__name__: error for error in FAILURES}


class EngineContract(ABC):
    """Tests of an engine. Its workers import `archwright.testing.engines`, where the children are."""

    @abstractmethod
    def make(self, workers: int) -> Engine:
        """Make an engine; one that has no workers of its own may have another number of them."""

    def test_every_proposal_gets_its_own_result(self) -> None:
        with closing(self.make(2)) as engine:
            assert engine.workers >= 1
            assert _rewards(_submit(engine, "x" * length) for length in range(1, 13)) == list(range(1, 13))

    def test_a_child_that_fails_is_an_exception_of_the_same_name_in_its_future(self) -> None:
        """Errors of archwright keep their type too: by it the loop goes on or ends the run."""
        with closing(self.make(2)) as engine:
            for name, error in ERRORS.items():
                before, failed, after = (_submit(engine, what) for what in ("a", name, "bb"))
                found = failed.exception(SECONDS)
                assert (type(found).__name__, str(found)) == (name, str(error))
                assert isinstance(found, type(error) if isinstance(error, ArchwrightError) else Exception)
                assert _rewards([before, after]) == [1, 2], "other children suffer"

    def test_each_evaluator_scores_its_own_proposals(self) -> None:
        with closing(self.make(2)) as engine:
            other = Function(_one_more)
            evaluators = (LENGTH, other, other, LENGTH, other)
            assert _rewards([_submit(engine, "aa", evaluator) for evaluator in evaluators]) == [2, 3, 3, 2, 3]

    def test_a_search_gets_every_trial_once(self) -> None:
        from archwright.controllers.random import Random

        with closing(self.make(2)) as engine:
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


class IsolatedEngineContract(EngineContract):
    """Tests of an engine whose children cannot harm the process that submits them, nor each other."""

    def test_a_worker_that_dies_costs_the_child_it_was_evaluating(self) -> None:
        with closing(self.make(2)) as engine:
            for how in ("exit", "kill"):
                futures = [_submit(engine, what) for what in ("a", how, "bb", "ccc")]
                assert isinstance(futures.pop(1).exception(SECONDS), WorkerDied)
                assert _rewards(futures) == [1, 2, 3]

    def test_what_cannot_be_pickled_is_the_failure_of_its_child(self) -> None:
        with closing(self.make(2)) as engine:
            error = _submit(engine, "stubborn").exception(SECONDS)
            assert (type(error).__name__, str(error)) == ("Stubborn", "cannot travel")
            assert isinstance(error, ChildFailure)
            assert isinstance(_submit(engine, "unpicklable").exception(SECONDS), ChildFailure)
            assert _rewards([_submit(engine, "bb")]) == [2]

    def test_children_are_evaluated_in_other_processes(self) -> None:
        with closing(self.make(2)) as engine:
            assert _submit(engine, "process").result(SECONDS).metrics["pid"] != os.getpid()

    def test_closing_does_not_wait_for_a_child_that_hangs(self) -> None:
        engine = self.make(2)
        future = _submit(engine, "hang")
        _submit(engine, "a").result(SECONDS)  # by now the other child has begun
        began = time.monotonic()
        engine.close()
        assert time.monotonic() - began < SECONDS
        assert isinstance(_outcome(future), ChildFailure | CancelledError)


class Stubborn(Exception):
    """An error that can be neither pickled nor unpickled."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(f"{one} {two}")
        self.lock = lambda: None


def act(architecture: Architecture) -> Result:
    """Do what the architecture says, or return the length of its word."""
    what = str(architecture["do"])
    if what in ERRORS:
        raise ERRORS[what]
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


LENGTH = Function(act)


def _one_more(architecture: Architecture) -> float:
    return len(str(architecture["do"])) + 1


def _score(architecture: Architecture) -> float:
    return int(architecture.id, 16) / 16**12


def _submit(engine: Engine, what: str, evaluator: Function = LENGTH) -> Future[Result]:
    return engine.submit(evaluator, Proposal(0, Architecture("test", (), (("do", what),))))


def _rewards(futures: Iterable[Future[Result]]) -> list[float]:
    return [future.result(SECONDS).reward for future in list(futures)]  # all are submitted before one is waited for


def _outcome(future: Future[Result]) -> Result | BaseException:
    """Return a result, an error or a cancellation, whichever ended the evaluation."""
    try:
        return future.exception(SECONDS) or future.result()
    except CancelledError as error:
        return error
