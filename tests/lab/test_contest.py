"""Contests: equal budgets, paired seeds, and what is said of the outcome."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from archwright.controllers.reinforce import NAS
from archwright.errors import ConfigError
from archwright.evaluators.table import Table
from archwright.lab.contest import Allowance, Course, allowance, contest, search
from archwright.lab.landscape import signal_score
from archwright.lab.strategies import strategies
from archwright.lab.summary import curves, standings, to_json
from archwright.lab.summary import table as summary_table
from archwright.lab.tables import load_table
from archwright.space import Architecture, Space, sample
from archwright.spaces import EnasMicro
from archwright.testing.small_spaces import Static

OWN = """
from archwright.evaluators.table import Table
from archwright.testing.small_spaces import Static

def look(architecture):
    size = architecture["first"] + architecture["second"]
    return {"accuracy": float(size), "hours": 3600.0 * size, "kept": 2.0 * size}

TABLE = Table(Static(), look, reward="accuracy", cost="hours", score="kept", name="mine")
"""


def first(architecture: Architecture) -> dict[str, float]:
    value = float(str(architecture["first"]))
    return {"validation_accuracy": value, "seconds": value, "test_accuracy": -value}


def table(space: Space) -> Table:
    return Table(space, first)


def test_a_search_uses_its_budget_and_not_a_second_more() -> None:
    (random,) = strategies("random")
    for budget in (100.0, 333.0):
        course = search(table(Static()), random, 0, Allowance(seconds=budget))
        costs = [float(str(sample(Static(), (0, stream))["first"])) for stream in range(100)]
        fitting = next(n for n in range(100) if sum(costs[: n + 1]) > budget)
        assert course.trials in (fitting, fitting - 1)  # one that ends with the last second does not count
        assert course.improvements[-1][0] <= budget
    assert search(table(Static()), random, 0, Allowance(trials=7)).trials == 7


def test_what_is_best_by_its_reward_is_judged_by_its_score() -> None:
    course = search(table(Static()), strategies("random")[0], 3, Allowance(trials=40))
    assert course.reward == 32
    assert course.score == -32
    assert course.at(0.5) is None
    assert course.at(40) == -32


def test_processes_change_nothing(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(OWN)
    found = strategies("random,evolution+population=3")
    one, two = (
        sorted(
            contest(f"{file}:TABLE", found, Allowance(trials=8), runs=6, processes=n), key=lambda c: (c.strategy, c.run)
        )
        for n in (1, 2)
    )
    assert [(c.strategy, c.run, c.improvements) for c in one] == [(c.strategy, c.run, c.improvements) for c in two]
    assert len(one) == 12


def course(strategy: str, run: int, score: float) -> Course:
    return Course(strategy, run, 10, ((2.0, score - 1, score - 1), (5.0, score, score)), 0.1)


def test_standings_are_paired_by_run_and_ranked() -> None:
    rng = np.random.default_rng(0)
    level = rng.standard_normal(30)  # how easy each run is
    courses = [course("a", run, level[run]) for run in range(30)]
    courses += [course("b", run, level[run] - 0.1 + 0.01 * rng.standard_normal()) for run in range(30)]
    courses += [course("c", run, level[run]) for run in range(30)]
    lines = {line.label: line for line in standings(courses)}
    assert lines["a"].difference is None or lines["c"].difference is None
    assert lines["b"].rank == 3
    assert lines["a"].rank == lines["c"].rank == 1.5
    difference = lines["b"].difference
    assert difference is not None
    assert difference[1] < -0.1 < difference[2] < -0.09  # though the runs differ ten times as much
    assert lines["b"].p is not None
    assert lines["b"].p < 1e-6
    assert [line.p for line in lines.values() if line.label != "b" and line.p is not None] == [1.0]
    curve = curves(courses, Allowance(trials=10))[0]
    assert np.isnan(curve.mean[curve.used < 2]).all()
    assert curve.mean[-1] == pytest.approx(level.mean())
    data = to_json(courses, Allowance(trials=10), {"runs": 30}, standings(courses))
    assert len(data["strategies"][0]["scores"]) == 30
    assert data["anytime"][0]["mean"][0] is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [("12000s", Allowance(seconds=12000)), ("3h", Allowance(seconds=10800)), ("50t", Allowance(trials=50))],
)
def test_budgets_are_read(text: str, expected: Allowance) -> None:
    assert allowance(text) == expected


@pytest.mark.parametrize("text", ["", "s", "-3s", "1.5t", "12x", "infs", "nan", "12000"])
def test_what_is_no_budget_is_said(text: str) -> None:
    with pytest.raises(ConfigError, match="expected seconds of training"):
        allowance(text)


def test_strategies_have_settings() -> None:
    plain, changed = strategies("evolution,evolution+population=20+sample=5")
    assert plain.settings == {}
    assert (changed.controller, changed.settings) == ("evolution", {"population": 20, "sample": 5})
    for wrong, part in (("", "at least one"), ("random,random", "each once"), ("best", "not a strategy")):
        with pytest.raises(ConfigError, match=part):
            strategies(wrong)
    for wrong, part in (
        ("evolution+populace=3", "populace.*did you mean population"),
        ("evolution+population=many", "cannot be used"),
        ("random+seed=3", "seed"),
        ("reinforce+preset=nas", "preset"),
    ):
        with pytest.raises(ConfigError, match=part):
            strategies(wrong)[0].make(Static(), 0)


def test_settings_are_numbers_words_and_lists() -> None:
    text = "reinforce+learning_rate=1e-3+betas=[0.0, 0.999],tpe+settings={n_startup_trials: 3, multivariate: true}"
    reinforce, tpe = strategies(text)
    assert reinforce.settings == {"learning_rate": 1e-3, "betas": [0.0, 0.999]}
    assert (tpe.controller, tpe.settings) == ("optuna", {"settings": {"n_startup_trials": 3, "multivariate": True}})
    (nas,) = strategies("nas+batch=2")
    assert nas.settings == {**NAS, "batch": 2}


def lookup(metrics: object) -> Table:
    def look(_: Architecture) -> dict[str, float]:
        if isinstance(metrics, Exception):
            raise metrics
        return metrics  # type: ignore[return-value]

    return Table(Static(), look, name="mine")


GOOD = {"validation_accuracy": 1.0, "seconds": 10.0, "test_accuracy": 2.0}


@pytest.mark.parametrize(
    ("metrics", "part"),
    [
        ({**GOOD, "seconds": 0.0}, "cost of 0 seconds"),
        ({**GOOD, "seconds": float("nan")}, "cost of nan"),
        ({"accuracy": 1.0, "seconds": 1.0}, "no metric 'validation_accuracy' but accuracy, seconds"),
        ({"validation_accuracy": 1.0, "seconds": 1.0}, "no metric 'test_accuracy'"),
        (0.5, "gave 0.5"),
        (KeyError("row"), "failed at .*KeyError: 'row'"),
        ({**GOOD, "validation_accuracy": float("nan")}, "10 trials: all of them failed"),
    ],
    ids=str,
)
def test_a_table_that_cannot_be_searched_ends_the_comparison(metrics: object, part: str) -> None:
    """Else a search in seconds would never end, or be given what it should pay for."""
    with pytest.raises(ConfigError, match=part):
        search(lookup(metrics), strategies("random")[0], 0, Allowance(seconds=100))


def test_trials_may_cost_nothing_where_trials_are_counted() -> None:
    course = search(lookup({**GOOD, "seconds": 0.0}), strategies("random")[0], 0, Allowance(trials=5))
    assert (course.trials, course.score) == (5, 2.0)


def test_one_run_has_no_interval_and_its_json_is_json() -> None:
    courses = [course("a", 0, 1.0), course("b", 0, 2.0)]
    data = json.loads(
        json.dumps(to_json(courses, Allowance(trials=10), {"runs": 1}, standings(courses)), allow_nan=False)
    )
    assert data["strategies"][0]["interval"] == [None, None]
    _, rows = summary_table(standings(courses))
    assert "inf" not in " ".join(map(" ".join, rows))


def test_the_landscape_is_what_it_was() -> None:
    """Figures in the documentation are of this function: it must not change unnoticed."""
    space = EnasMicro()
    scores = [signal_score(sample(space, seed)) for seed in range(5)]
    assert scores == pytest.approx(GOLDEN, abs=1e-6)
    landscape = load_table("signals")
    architecture = sample(space, 0)
    assert landscape.final(architecture) == pytest.approx(scores[0])
    assert landscape.look(architecture) == landscape.look(architecture)
    assert landscape.look(architecture)["validation_accuracy"] != landscape.final(architecture)


GOLDEN = [46.744489, 52.191907, 56.594815, 65.317646, 50.633127]


def test_settings_follow_the_budget_unless_they_are_said_or_a_papers() -> None:
    ours, own, paper = strategies("reinforce,reinforce+batch=3,reinforce-paper")
    made = [strategy.make(Static(), 0, trials=50) for strategy in (ours, own, paper)]
    assert [controller.batch for controller in made] == [1, 3, 10]
    assert strategies("ppo-paper")[0].make(Static(), 0, trials=50).batch == 20
    assert table(Static()).trials(1e9) is not None
    assert Table(Static(), lambda _: {"validation_accuracy": 1.0}).trials(10.0) is None
