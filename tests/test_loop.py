from __future__ import annotations

import contextlib
import math
import os
import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from archwright import loop
from archwright.engines import LocalProcesses
from archwright.errors import ConfigError, RunError
from archwright.evaluators.function import Function
from archwright.loop import Epochs, Minutes, Proposal, Result, Tally, Trial, Trials, run
from archwright.space import Anchor, Architecture, Space, Walk, alternatives, generator, options
from archwright.states import pack, unpack
from archwright.store import RunStore
from archwright.testing.searches import TRIALS, Interrupted, Mortal, Phased, number_of, summary
from archwright.testing.small_spaces import Ragged


class Taught:
    """Learns logits for answers by their position, from four rewards at a time. Deterministic, and order matters."""

    batch = 4

    def __init__(self, space: Space, seed: int = 0) -> None:
        self.space, self.seed = space, seed
        self.logits = np.zeros((2, 4))
        self.heard: list[Trial] = []

    def ask(self, streams: Sequence[int]) -> list[Proposal]:
        return [self._propose(stream) for stream in streams]

    def _propose(self, stream: int) -> Proposal:
        rng, walk, log_prob = generator((self.seed, stream)), Walk(self.space), 0.0
        while (question := walk.question) is not None:
            if isinstance(question, Anchor):
                walk.send(None)
                continue
            p = np.exp(self.logits[len(walk.answers) % 2, : alternatives(question)])
            picked = int(rng.choice(len(p), p=p / p.sum()))
            log_prob += math.log(p[picked] / p.sum())
            walk.send(list(options(question))[picked])
        return Proposal(stream, walk.architecture(), log_prob)

    def tell(self, trials: Sequence[Trial]) -> bool:
        self.heard += trials
        if len(self.heard) < self.batch:
            return False
        for weight, trial in enumerate(self.heard, start=1):
            for place, (_, answer) in enumerate(trial.architecture.answers):
                self.logits[place % 2, number_of(answer) % 4] += 0.1 * weight * trial.reward
        self.logits *= 0.8
        self.heard = []
        return True

    def state_dict(self) -> dict[str, Any]:
        return {"logits": self.logits.copy()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.logits = state["logits"].copy()


class Slow(Phased):
    def prepare(self, *asked):
        for progress in super().prepare(*asked):
            time.sleep(0.004)
            yield progress

    def evaluate(self, proposal):
        time.sleep(0.004)
        return super().evaluate(proposal)


def search(store: RunStore | None, trials: int = TRIALS, scores: type[Phased] = Phased):
    controller, evaluator = Taught(Ragged(), seed=3), scores()
    yield from run(controller, evaluator, budget=Trials(trials), store=store)
    yield controller, evaluator


def finished(store: RunStore | None, trials: int = TRIALS):
    """The trials yielded, and the final states as bytes, of a run to its end."""
    *news, (controller, evaluator) = search(store, trials)
    told = [item for item in news if isinstance(item, Trial)]
    return summary(told), pack(controller.state_dict()), pack(evaluator.state_dict())


@pytest.fixture(scope="module")
def uninterrupted():
    return finished(None)


@pytest.fixture
def folder(tmp_path):
    RunStore(tmp_path / "run", create=True).close()
    return tmp_path / "run"


def killed(folder: Path, lines: int) -> bool:
    """Run the search in a process that is killed after `lines` lines of output; whether that was before its end."""
    command = [sys.executable, __file__, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for _ in range(lines):
            process.stdout.readline()
        time.sleep(random.uniform(0, 0.01))  # anywhere in the work that follows
        process.kill()
        process.stdout.read()
    return process.returncode != 0


def test_a_run_killed_at_any_moment_ends_as_the_run_that_was_not(folder, uninterrupted):
    points = [random.randint(1, 15) for _ in range(3)]
    assert killed(folder, points[0])
    any(not killed(folder, lines) for lines in points[1:])  # until it gets to its end
    with RunStore(folder) as store:
        before = summary(store.trials())
        _, controller, evaluator = finished(store)
        after = summary(store.trials())
    assert before == after[: len(before)], points
    assert (after, controller, evaluator) == uninterrupted, points


def test_the_uninterrupted_run_has_what_makes_resuming_hard(uninterrupted):
    trials, controller, _ = uninterrupted
    assert [number for number, *_ in trials] == list(range(TRIALS))
    assert any((error or "").startswith("ValueError") for *_, error in trials)
    assert any((error or "").startswith("Diverged") for *_, error in trials)
    assert len({name for _, name, *_ in trials}) > 10
    assert not np.array_equal(unpack(controller)["logits"], np.zeros((2, 4)))


@pytest.mark.parametrize("records", [1, 4])
@pytest.mark.parametrize("seconds", [0.0, 0.005, 60.0])  # a checkpoint after each step, in the midst, at the ends
def test_it_resumes_from_between_any_two_records(folder, uninterrupted, monkeypatch, records, seconds):
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", seconds)
    result = None
    while result is None:
        with RunStore(folder) as store, contextlib.suppress(Interrupted):
            _, *states = finished(Mortal(store, records))
            result = (summary(store.trials()), *states)
    assert result == uninterrupted


def test_checkpoints_go_by_time(folder):
    class Noting(RunStore):
        def checkpoint(self, evaluator, streams, figures):
            super().checkpoint(evaluator, streams, figures)
            noted.append(len(list(self.trials())))

    noted: list[int] = []
    ticks = iter(range(100_000))
    with Noting(folder) as store:
        evaluator = Phased()
        for _ in run(Taught(Ragged()), evaluator, budget=Trials(200), store=store, clock=lambda: float(next(ticks))):
            pass
        assert store.load().checkpoint.evaluator["reported"] == evaluator.reported  # the end is saved
    assert noted[0] == 0
    assert 5 < len(noted) < 200 / Taught.batch / 2  # of 50 preparations of three steps


def test_a_run_of_the_first_format_is_read_resumed_and_saved_in_the_present_one(folder, uninterrupted, monkeypatch):
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)  # as it was at the end of each preparation
    with RunStore(folder) as store, contextlib.suppress(Interrupted):
        finished(Mortal(store, 25))
    with sqlite3.connect(folder / "run.sqlite") as connection:
        for table in ("figures", "checkpoint", "digests"):
            connection.execute(f"DROP TABLE {table}")
        connection.execute("PRAGMA user_version = 1")
    connection.close()
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 60.0)
    with RunStore.reading(folder) as store:
        before = store.load()
        assert before.checkpoint is None
        assert len(before.trials) > 4
    with RunStore(folder) as store:
        assert store.load().trials == before.trials
        _, *states = finished(store)
        assert (summary(store.trials()), *states) == uninterrupted


def test_a_run_goes_on_with_a_larger_budget_as_if_it_had_had_it(folder, uninterrupted):
    with RunStore(folder) as store:
        finished(store, 10)
    with RunStore(folder) as store:
        assert len(store.load().pending) == 2
        _, *states = finished(store)
        assert (summary(store.trials()), *states) == uninterrupted


def test_closing_the_generator_leaves_what_was_under_way_to_the_next_run(folder, uninterrupted):
    with RunStore(folder) as store:
        news = search(store)
        told = [next(item for item in news if isinstance(item, Trial)) for _ in range(5)]
        news.close()
        assert summary(store.trials()) == summary(told) == uninterrupted[0][:5]
        assert [number for number, _ in store.load().pending] == [5, 6, 7]


def score(architecture: Architecture) -> float:
    number = number_of(architecture.id)
    if number % 4 == 0:
        raise ValueError(f"{number} cannot be scored")
    if number % 5 == 0:
        os._exit(1)
    return number / 1000


def test_several_workers_evaluate_every_proposal_once(folder):
    told: list[Trial] = []
    for _ in range(2):  # the second run takes up what the first left
        with RunStore(folder) as store, LocalProcesses(2) as engine:
            left = {number for number, _ in store.load().pending}
            budget = Trials(len(told) + 6)
            news = list(run(Taught(Ragged()), Function(score, -1.0), budget=budget, store=store, engine=engine))
            assert len(news) == 6
            told += news
            # Nothing is under way when the count is reached: what is left was proposed, and not begun.
            assert {trial.number for trial in told} == set(range(len(told)))
            assert left <= {trial.number for trial in told} | {number for number, _ in store.load().pending}
            assert summary(store.trials()) == summary(told)
    numbers = [trial.number for trial in told]
    assert len(set(numbers)) == 12
    for trial in told:
        number = number_of(trial.architecture.id)
        if number % 4 == 0:
            assert trial.result == Result(-1.0, {}, f"ValueError: {number} cannot be scored")
        elif number % 5 == 0:
            assert trial.result.error == "WorkerDied: the worker process ended with exit status 1"
        else:
            assert trial.result == Result(number / 1000)


class InTurn:
    """An engine whose children end in the order they began, each when a worker is needed for the next."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self.under_way: list[tuple[Future[Result], Result]] = []

    def submit(self, evaluator: Any, proposal: Proposal) -> Future[Result]:
        self.under_way.append((Future(), evaluator.evaluate(proposal)))
        submitted = self.under_way[-1][0]
        if len(self.under_way) == self.workers:
            future, result = self.under_way.pop(0)
            future.set_result(result)
        return submitted

    def close(self) -> None:
        pass


def test_several_workers_get_what_the_controller_proposes_after_the_last_minibatch():
    """Were they given a minibatch at a time, all of it would be as the policy was a minibatch ago."""
    engine, controller = InTurn(2), Taught(Ragged())
    asked: list[tuple[int, int]] = []  # streams, and how many had been told
    told = 0
    ask = controller.ask
    controller.ask = lambda streams: asked.append((max(streams), told)) or ask(streams)
    for _ in run(controller, Function(lambda architecture: 0.5), budget=Trials(100), engine=engine):
        told += 1
        if told == 40:
            break
    assert max(stream - heard for stream, heard in asked) < 2 * engine.workers


def test_a_stateful_evaluator_and_several_workers_are_refused_before_anything_starts():
    class Engine:
        workers = 2

    with pytest.raises(ConfigError, match="Phased keeps its state in one process"):
        next(run(Taught(Ragged()), Phased(), budget=Trials(1), engine=Engine()))


@pytest.mark.parametrize("budget", [Trials, Epochs, Minutes])
@pytest.mark.parametrize("amount", [0, -1, math.nan])
def test_a_budget_of_nothing_is_refused(budget, amount):
    with pytest.raises(ConfigError, match="a budget must be greater than zero"):
        budget(amount)


def test_a_budget_is_spent_by_what_it_counts():
    tally = Tally(trials=30, epochs=5, seconds=90)
    assert Trials(60).spent(tally) == Epochs(10).spent(tally) == Minutes(3).spent(tally) == 0.5


def test_budgets_count_trials_epochs_and_time():
    def trials(budget, **options):
        return sum(isinstance(item, Trial) for item in run(Taught(Ragged()), Phased(), budget=budget, **options))

    ticks = iter(range(10_000))
    assert trials(Trials(7)) == 7
    assert trials(Epochs(2.5)) == 10  # four trials go with an epoch of Phased
    assert 0 < trials(Minutes(1), clock=lambda: float(next(ticks))) < 60


def test_a_controller_with_nothing_left_to_propose_ends_the_run():
    class Short(Taught):
        def ask(self, streams):
            return super().ask([stream for stream in streams if stream < 6])

    assert len(list(run(Short(Ragged()), Function(lambda architecture: 0.5), budget=Trials(100)))) == 6


def test_an_error_that_the_user_can_mend_ends_the_run_and_leaves_the_proposal(folder):
    def misconfigured(architecture):
        raise RunError("the benchmark's file is missing")

    with RunStore(folder) as store:
        with pytest.raises(RunError, match="benchmark's file"):
            list(run(Taught(Ragged()), Function(misconfigured), budget=Trials(3), store=store))
        assert (list(store.trials()), len(store.load().pending)) == ([], 4)


if __name__ == "__main__":
    with RunStore(sys.argv[1]) as run_store:
        for _ in search(run_store, scores=Slow):
            print("news", flush=True)
