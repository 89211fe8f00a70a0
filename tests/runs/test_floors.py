"""What a timed run gives the network that it delivers: half of its time and two passes, whatever else is asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from archwright.errors import ConfigError
from archwright.loop import Minutes, Progress, Tally, run
from archwright.methods.cost import LEAST_PASSES, Cost, Rates
from archwright.modalities import modality
from archwright.runs import rates, timed
from archwright.runs.clock import Clock
from archwright.runs.floors import MOST_SHARE, floor_line
from archwright.runs.folder import begin
from archwright.runs.pace import Pace
from archwright.runs.plan import PHASES, Plan
from archwright.runs.planner import UserSettings, make_plan
from archwright.runs.rates import test_seconds as seconds_of_the_test
from archwright.space import sample
from archwright.store import RunStore
from archwright.training import threads
from small_images import noise_data

DATA = noise_data(6000)
Steps = Callable[[Plan], float]


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Plan]:
    """Give a planner on a machine where nothing is measured: a step of a child takes what a test says."""

    def planned(space: str, minutes: float, step: Steps = lambda plan: 0.01, **user: Any) -> Plan:
        def measure(plan: Plan, *_: object) -> Rates:
            return Rates(step(plan), {"step": 1.5 * step(plan), "trial": step(plan)})

        monkeypatch.setattr(timed, "measure", measure)
        settings = UserSettings(space, **user)
        return make_plan(
            DATA, settings, data_name="d", data_options={}, device="cpu", minutes=minutes, threads=1, begun=None
        )

    return planned


@pytest.mark.parametrize("baseline", [False, True])
@pytest.mark.parametrize(("minutes", "step"), [(1, 0.001), (1, 0.02), (3, 0.02), (20, 0.02), (20, 0.3)])
@pytest.mark.parametrize("space", ["enas-micro", "enas-macro", "nasnet", "nas-conv"])
def test_half_of_the_time_and_two_passes(
    planned: Callable[..., Plan], space: str, minutes: float, step: float, baseline: bool
) -> None:
    plan = planned(space, minutes, lambda plan: step, settings={"baseline": baseline})
    estimate = plan.budget.estimate
    own = estimate["search"] + estimate["derive"] + estimate["final training"]
    passes = plan.final.recipe.epochs
    assert plan.final.finalists == 1
    assert plan.final.known == (0 if minutes == 1 else 0.1)  # a tenth of half a minute says nothing
    assert estimate["final training"] >= 0.5 * own
    if not baseline and passes > 3:  # the steps of a short training do not fill a time to the second
        assert estimate["final training"] >= 0.5 * 60 * minutes
    assert sum(estimate.values()) <= 60 * minutes
    one = Cost(step * 4200 / 64, step / 3 * 900 / 64)
    assert passes >= LEAST_PASSES or one.of(LEAST_PASSES) > 0.9 * MOST_SHARE * own
    line = floor_line(plan)
    assert line is not None
    assert ("two do not fit" in line) == (passes < LEAST_PASSES)


@pytest.mark.parametrize(
    ("space", "settings", "words"),
    [
        ("nas-conv", {"trials": 500}, "leave out --trials, or use --minutes"),
        ("enas-micro", {"finalists": 3}, "what is left is for 3.33 trainings; leave out --finalists"),
        ("nasnet", {"shortlist": 12}, "leave out --shortlist$"),
        ("enas-micro", {"trials": 100_000, "trials_per_epoch": 10}, "leave out --trials, --trials-per-epoch, or use"),
    ],
)
def test_what_leaves_less_than_half_is_refused(
    planned: Callable[..., Plan], space: str, settings: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        planned(space, 3, settings=settings)


def test_a_time_that_is_too_short_for_a_search_is_refused(planned: Callable[..., Plan]) -> None:
    with pytest.raises(ConfigError, match=r"and what is left is for 1 training; use --minutes 2$"):
        planned("enas-micro", 1, lambda plan: 0.3, settings={"baseline": True})


def test_the_minutes_that_a_refusal_names_are_enough(planned: Callable[..., Plan]) -> None:
    settings = {"trials": 100, "last_epochs": 1}
    recipe = {"epochs": 2.0}
    with pytest.raises(ConfigError) as refused:
        planned("nas-conv", 2, settings=settings, search_recipe=recipe)
    minutes = float(str(refused.value).rpartition(" ")[2])
    assert minutes > 2
    assert planned("nas-conv", minutes, settings=settings, search_recipe=recipe).search.trials == 100


def test_networks_that_are_too_large_for_two_passes_are_refused(planned: Callable[..., Plan]) -> None:
    def step(plan: Plan) -> float:
        return 0.0001 * vars(plan.final.space)["filters"] ** 2

    with pytest.raises(ConfigError, match=r"must make 2; leave out --space.filters \(then it makes .*\), or use"):
        planned("nasnet", 2, step, space_fields={"filters": 128})
    assert planned("nasnet", 2, step).final.recipe.epochs > LEAST_PASSES
    assert planned("nasnet", 2, lambda plan: 2.0).final.recipe.epochs < LEAST_PASSES  # no smaller ones help


def test_the_clock_decides_how_many_epochs_fit(planned: Callable[..., Plan]) -> None:
    with pytest.raises(ConfigError, match=r"final_recipe.epochs is 5, and --minutes decides how many epochs fit"):
        planned("enas-micro", 2, final_recipe={"epochs": 5})
    with pytest.raises(ConfigError, match=r"the test and the report take 6 s; use --minutes 0.25"):
        planned("enas-micro", 0.1)


@pytest.mark.parametrize(("two", "chosen"), [(1.0, 1), (0.95, 1), (0.6, 2), (5.0, 1)])
def test_the_number_of_threads_is_measured(monkeypatch: pytest.MonkeyPatch, two: float, chosen: int) -> None:
    now = [2]
    monkeypatch.setattr("archwright.training.threads.torch.get_num_threads", lambda: now[-1])
    monkeypatch.setattr("archwright.training.threads.torch.set_num_threads", now.append)
    monkeypatch.setattr(threads, "_before", None)
    monkeypatch.setattr(rates, "step_seconds", lambda *_: two if now[-1] == 2 else 1.0)
    user = UserSettings("enas-micro")
    plan = make_plan(DATA, user, data_name="d", data_options={}, device="cpu", timed=False)
    assert plan.threads == 2
    plan = rates.with_threads(plan, modality(DATA))
    assert (plan.threads, now[-1], threads.available()) == (chosen, chosen, 2)
    assert Plan.from_json(plan.to_json()).threads == chosen


class _Machine:
    """A clock, on a machine whose work takes `slow` times as long from a moment on."""

    def __init__(self, slow: float, since: float) -> None:
        self.now, self._slow, self._since = 0.0, slow, since

    @property
    def times(self) -> float:
        return self._slow if self.now > self._since else 1.0

    def work(self, seconds: float) -> float:
        took = seconds * self.times
        self.now += took
        return took


class _Fit:
    """A training on that machine."""

    shortened = False

    def __init__(self, machine: _Machine, steps: int, per_epoch: int, step: float, look: float) -> None:
        self.step, self.steps, self.looking = 0, steps, 0.0
        self._machine, self._each, self._took, self._look = machine, per_epoch, step, look

    def looks(self, steps: int) -> int:
        return -(-steps // self._each) - self.step // self._each

    def replan(self, steps: int) -> None:
        assert self.step < min(self.steps, steps)
        self.steps = steps

    def take(self) -> None:
        self._machine.work(self._took)
        self.step += 1
        if self.step % self._each == 0 or self.step == self.steps:
            self.looking += self._machine.work(self._look)


def _clock(monkeypatch: pytest.MonkeyPatch, plan: Plan, machine: _Machine, store: RunStore) -> Clock:
    for module in ("clock", "pace"):
        monkeypatch.setattr(f"archwright.runs.{module}.time.monotonic", lambda: machine.now)
    return Clock(plan, modality(DATA), store)


@pytest.mark.parametrize("since", [0, 60, 200, 400, 560])
@pytest.mark.parametrize("slow", [1.0, 2.0, 0.5])
def test_a_run_ends_in_time_on_a_machine_that_changes(
    monkeypatch: pytest.MonkeyPatch, planned: Callable[..., Plan], tmp_path: Path, slow: float, since: float
) -> None:
    minutes, step = 10, 0.2
    plan = planned("enas-micro", minutes, lambda plan: step, settings={"shortlist": 1})
    expected, machine = plan.budget.estimate, _Machine(slow, since)
    with begin(plan, tmp_path / "run", 12.0, {}) as store:
        clock = _clock(monkeypatch, plan, machine, store)
        machine.now = 12.0
        clock._tick = machine.now
        budget = clock.search_budget()
        while budget.spent(Tally(0, 0.0, machine.now - 12.0)) < 1 and machine.now < 12.0 + expected["search"] * slow:
            machine.work(step)
        clock.account("search")
        machine.work(expected["derive"])
        cost = Cost(step * 66, 3.0)
        left = clock.share_left(expected["final training"])
        assert left is not None
        fit = _Fit(machine, int(66 * cost.epochs_within(clock.left)), 66, step, 3.0)
        pace = Pace(fit, left, threads=1, look=3.0)  # type: ignore[arg-type]
        begun = machine.now
        while fit.step < fit.steps:
            fit.take()
            pace.stepped()
            if pace.step_seconds is not None:
                clock.measured(None, pace.step_seconds)
        assert machine.now - begun > 0.45 * 60 * minutes
        machine.work(seconds_of_the_test(plan, modality(DATA), Rates(step)))
    assert machine.now == pytest.approx(60 * minutes, rel=0.06)


def test_the_network_found_keeps_its_time_beside_expensive_random_ones(
    monkeypatch: pytest.MonkeyPatch, planned: Callable[..., Plan], tmp_path: Path
) -> None:
    plan, machine = planned("enas-micro", 10, settings={"baseline": True}), _Machine(1.0, 0)
    found, other = (sample(plan.search.space, seed) for seed in (0, 1))
    with begin(plan, tmp_path / "run", 10.0, {}) as store:
        clock = _clock(monkeypatch, plan, machine, store)
        machine.now = 200.0
        monkeypatch.setattr(clock, "cost", lambda a: Cost(1.0, 0.1) if a is found else Cost(50.0, 5.0))
        count, epochs, expected = clock.settle([found], lambda index: other)
        assert count == 1
        left, estimate = clock.left, plan.budget.estimate
        part = estimate["final training"] / sum(map(estimate.__getitem__, PHASES[3:-1]))
        assert Cost(1.0, 0.1).of(epochs) == pytest.approx(part * left, rel=0.02)
        assert sum(expected.values()) <= left * 1.001


def test_a_time_ends_in_the_middle_of_shared_training() -> None:
    now = [0.0]

    class Slow:
        stateful, trials_per_epoch, failure_reward = False, 1.0, 0.0

        def prepare(self, ask: Any, told: int) -> Any:
            for step in range(1000):
                now[0] += 1.0
                yield Progress("shared weights", step + 1, 1000)

        def evaluate(self, proposal: Any) -> Any:
            raise AssertionError("there is no time for a trial")

    class Nothing:
        batch = 1

        def ask(self, streams: Any) -> list[Any]:
            return []

    events = list(run(Nothing(), Slow(), budget=Minutes(0.5), clock=lambda: now[0]))  # type: ignore[arg-type]
    assert len(events) == 30
