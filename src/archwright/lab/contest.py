"""Runs many searches of a table, in memory and in several processes, each with the same budget."""

from __future__ import annotations

import math
import multiprocessing
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache

from archwright.controllers.threads import one_blas_thread
from archwright.engines import worker
from archwright.errors import ArchwrightError, ConfigError, RunError
from archwright.evaluators.table import COST, Table
from archwright.lab.strategies import Strategy
from archwright.lab.tables import load_table
from archwright.lab.volumes import improvements as front_so_far
from archwright.loop import Budget, Controller, Minutes, Proposal, Result, Stateless, Trial, Trials, run
from archwright.report.words import counted

CHUNKS = 25  # pieces of work for each process and strategy; a piece is recorded at its end, and lost with a kill


@dataclass(frozen=True)
class Allowance:
    """What one search may use: `seconds` of the table's training, or a number of `trials`."""

    seconds: float | None = None
    trials: int | None = None

    @property
    def total(self) -> float:
        return float(self.trials if self.trials is not None else self.seconds or 0.0)

    @property
    def unit(self) -> str:
        return "trials" if self.trials is not None else "seconds of training"

    @property
    def words(self) -> str:
        return f"{counted(self.total, 'second')} of training" if self.trials is None else counted(self.trials, "trial")

    def budget(self) -> Budget:
        """Return the budget for `archwright.loop.run` on the clock of the table."""
        return Trials(self.trials) if self.trials is not None else Minutes((self.seconds or 0.0) / 60)


def allowance(text: str) -> Allowance:
    """Read `12000s`, `200m` or `3h` of training, or `100t`: trials."""
    units, unit = {"s": 1.0, "m": 60.0, "h": 3600.0}, text[-1:]
    with suppress(ValueError):
        value = float(text[:-1])
        if unit == "t" and value > 0 and value.is_integer():
            return Allowance(trials=int(value))
        if unit in units and 0 < value < math.inf:
            return Allowance(seconds=value * units[unit])
    raise ConfigError(f"--budget {text}: expected seconds of training, such as 12000s, or trials, such as 100t")


@dataclass(frozen=True)
class Course:
    """The course of one search. `own_seconds` are the controller's, on this machine.

    `improvements` are (used, reward, score) of each trial that was the best so far: `used` of the budget at its end;
    reward and score as the table has them, also where less is better.
    """

    strategy: str
    run: int
    trials: int
    improvements: tuple[tuple[float, float, float], ...]
    own_seconds: float

    @property
    def reward(self) -> float:
        return self.improvements[-1][1]

    @property
    def score(self) -> float:
        """The score of the trial with the best reward."""
        return self.improvements[-1][2]

    def at(self, used: float) -> float | None:
        """Return the score of the best trial that had ended when so much was used; None before the first."""
        return next((score for end, _, score in reversed(self.improvements) if end <= used), None)


def best_so_far(ended: Iterable[tuple[float, Trial]]) -> list[tuple[float, Trial]]:
    """Return those trials, with the budget used at their end, that were the best so far."""
    found: list[tuple[float, Trial]] = []
    for used, trial in ended:
        if trial.result.error is None and (not found or trial.reward > found[-1][1].reward):
            found.append((float(used), trial))
    return found


class _Metered(Stateless):
    """A table with a clock that counts the training its trials would have taken.

    `free`: whether an evaluation may cost nothing; with a budget in seconds the search would never end.
    """

    def __init__(self, table: Table, *, free: bool) -> None:
        self._table, self._free, self.seconds = table, free, 0.0

    def evaluate(self, proposal: Proposal) -> Result:
        name, answers = self._table.name, dict(proposal.architecture.answers)
        try:
            result = self._table.evaluate(proposal)
        except ArchwrightError:
            raise
        except Exception as error:  # as a failed trial it would cost the search nothing
            raise ConfigError(f"the table {name!r} failed at {answers}: {type(error).__name__}: {error}") from error
        if COST not in result.metrics:
            if self._free:
                return result
            advice = "give a budget of trials, as in 100t, or say which metric holds seconds with Table(cost=...)"
            missing = f"the table {name!r} has no metric {self._table.cost!r}, and a budget in seconds needs it"
            raise ConfigError(f"{missing}; {advice}")
        cost = result.metrics[COST]
        if not math.isfinite(cost) or cost < 0 or (cost == 0 and not self._free):
            advice = "costs greater than zero (a number of trials, as in 100t, takes zeros too)"
            found = f"the table {name!r} has a cost of {cost:g} seconds for {answers}"
            raise ConfigError(f"{found}; a budget in seconds needs {advice}")
        self.seconds += cost
        return result

    def clock(self) -> float:
        return self.seconds


class Timed:
    """A controller that counts the processor `seconds` that it takes."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self.space, self.batch, self.seconds = controller.space, controller.batch, 0.0
        self.state_dict, self.load_state_dict = controller.state_dict, controller.load_state_dict

    @contextmanager
    def _timed(self) -> Iterator[None]:
        begun = time.process_time()
        yield
        self.seconds += time.process_time() - begun

    def ask(self, streams: Sequence[int]) -> list[Proposal]:
        with self._timed():
            return self._controller.ask(streams)

    def tell(self, trials: Sequence[Trial]) -> bool:
        with self._timed():
            return self._controller.tell(trials)


def search(table: Table, strategy: Strategy, number: int, allowed: Allowance, *, seed: int = 0) -> Course:
    """Run one search. A trial that would end after the budget does not count (as in Dong & Yang's code)."""
    metered = _Metered(table, free=allowed.trials is not None)
    ended: list[tuple[float, Trial]] = []
    trials = _expected(table, allowed)
    with one_blas_thread():  # small matrices: more threads cost more than they save
        made = strategy.make(table.space, seed + number, table.aims.objectives, trials=trials)
        controller = Timed(made)
        for event in run(controller, metered, budget=allowed.budget(), clock=metered.clock):
            if not isinstance(event, Trial):
                continue
            if allowed.seconds is not None and metered.seconds > allowed.seconds:
                break
            ended.append((len(ended) + 1 if allowed.seconds is None else metered.seconds, event))
    sign = table.sign(table.reward)
    improvements = (
        front_so_far(table, ended)
        if table.pareto
        else tuple((used, sign * t.reward, table.final(t.architecture)) for used, t in best_so_far(ended))
    )
    if not improvements:
        count, what = len(ended), "all of them failed" if ended else "not one trial fits"
        raise ConfigError(f"{strategy.label}, {counted(count, 'trial')}: {what} in a budget of {allowed.words}")
    return Course(strategy.label, number, len(ended), improvements, controller.seconds)


def _expected(table: Table, allowed: Allowance) -> int | None:
    """Return about how many trials a search will have: settings follow it."""
    return allowed.trials if allowed.seconds is None else table.trials(allowed.seconds)


def require(
    table: str, strategies: Sequence[Strategy], allowed: Allowance, *, runs: int, seed: int, processes: int
) -> Table:
    """Return the table; raise ConfigError for what `contest` could not run, before anything is written."""
    if runs < 1 or processes < 1 or seed < 0:
        raise ConfigError(f"runs {runs}, processes {processes}, seed {seed}: at least 1, 1 and 0 are needed")
    found = loaded(table)
    for strategy in strategies:
        strategy.make(found.space, seed, found.aims.objectives, trials=allowed.trials or 1)
    return found


def contest(
    table: str,
    strategies: Sequence[Strategy],
    allowed: Allowance,
    *,
    runs: int,
    seed: int = 0,
    processes: int = 1,
    done: Collection[tuple[str, int]] = (),
) -> Iterator[Course]:
    """Run every strategy `runs` times but for the `done`, run r with one seed for all; yield searches as they end."""
    require(table, strategies, allowed, runs=runs, seed=seed, processes=processes)
    due = [(strategy, run) for strategy in strategies for run in range(runs) if (strategy.label, run) not in done]
    if processes == 1:
        for strategy, number in due:
            yield search(loaded(table), strategy, number, allowed, seed=seed)
        return
    size = max(1, runs // (processes * CHUNKS))
    parts = [due[first : first + size] for first in range(0, len(due), size)]
    before = set(multiprocessing.active_children())
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=spawn, initializer=worker.begin, initargs=(1,)) as pool:
        try:
            jobs = [pool.submit(_some, table, part, allowed, seed) for part in parts]
            for job in as_completed(jobs):
                yield from job.result()
        except BaseException as error:  # Ctrl-C too: nobody waits for the searches that are under way
            pool.shutdown(wait=False, cancel_futures=True)
            for process in set(multiprocessing.active_children()) - before:
                process.kill()
            if isinstance(error, BrokenProcessPool):
                advice = "give the command again with --resume and fewer --processes"
                raise RunError(f"a process of the comparison was killed, perhaps for its memory; {advice}") from None
            raise


def _some(table: str, part: Sequence[tuple[Strategy, int]], allowed: Allowance, seed: int) -> list[Course]:
    return [search(loaded(table), strategy, number, allowed, seed=seed) for strategy, number in part]


loaded = lru_cache(maxsize=1)(load_table)  # the official files take minutes and gigabytes
