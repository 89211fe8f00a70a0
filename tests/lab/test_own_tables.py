"""Tables of one's own: what fails, what is less, what has no cost, and what they are called."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

import pytest

from archwright.controllers.guided import Guided
from archwright.errors import ConfigError
from archwright.evaluators.table import Table
from archwright.lab.contest import Allowance, search
from archwright.lab.strategies import strategies
from archwright.lab.tables import load_table
from archwright.loop import Proposal, Trial, Trials, run
from archwright.space import Architecture, enumerate_space, sample
from archwright.spaces import NasBench201
from archwright.testing.small_spaces import Static
from command import done


def worth(architecture: Architecture) -> float:
    return float(sum(len(str(answer)) % 5 for _, answer in architecture.answers))


def losses(architecture: Architecture) -> Mapping[str, float]:
    """Negative rewards, and every fifth architecture fails."""
    value = worth(architecture)
    failed = int(architecture.id, 16) % 5 == 0
    return {"reward": math.nan if failed else value - 100, "score": value}


def test_a_failure_is_no_better_than_what_was_scored_where_rewards_are_negative() -> None:
    table = Table(NasBench201(), losses, reward="reward", score="score")
    trials = [e for e in run(Guided(table.space, seed=1), table, budget=Trials(60)) if isinstance(e, Trial)]
    failed = [trial.reward for trial in trials if trial.result.error]
    assert failed
    assert max(failed) < min(trial.reward for trial in trials[:12] if not trial.result.error) + 1
    assert len(failed) < 20  # the surrogate does not look for them
    told = Table(NasBench201(), losses, reward="reward", score="score", failure=-500.0)
    assert {t.reward for t in run(Guided(told.space), told, budget=Trials(15)) if _failed(t)} == {-500.0}


def _failed(event: object) -> bool:
    return isinstance(event, Trial) and event.result.error is not None


def test_what_is_less_is_better_is_searched_for_and_reported_as_it_is() -> None:
    def look(architecture: Architecture) -> Mapping[str, float]:
        return {"latency": 1 + worth(architecture), "kept": 2 * worth(architecture), "seconds": 1.0}

    table = Table(Static(), look, reward="latency", score="kept", less_is_better=("latency", "kept"), best=0.0)
    least = min(worth(architecture) for architecture in enumerate_space(Static()))
    course = search(table, strategies("local")[0], 0, Allowance(trials=40))
    assert (course.reward, course.score) == (1 + least, 2 * least)
    assert table.evaluate(Proposal(0, sample(Static(), 0))).reward < 0


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        ({"less_is_better": "reward"}, "less_is_better='reward'"),
        ({"less_is_better": ("seconds",)}, r"some of 'reward' \(the reward\) and 'score'"),
        ({"less_is_better": True}, "less_is_better=True"),
        ({"failure": math.nan}, "failure=nan"),
    ],
    ids=str,
)
def test_a_table_that_makes_no_sense_is_refused(settings: Mapping[str, object], part: str) -> None:
    with pytest.raises(ConfigError, match=part):
        Table(Static(), losses, reward="reward", score="score", **settings)  # type: ignore[arg-type]


def test_a_table_without_costs_needs_a_budget_of_trials() -> None:
    table = Table(Static(), lambda a: {"reward": worth(a), "score": 0.0}, reward="reward", score="score")
    (random,) = strategies("random")
    assert search(table, random, 0, Allowance(trials=9)).trials == 9
    with pytest.raises(ConfigError, match="no metric 'seconds', and a budget in seconds needs it; give a budget of tr"):
        search(table, random, 0, Allowance(seconds=9))


OWN = """
import math
from archwright.evaluators.table import COST, Table
from archwright.testing.small_spaces import Static

def look(architecture):
    size = architecture["first"] + architecture["second"]
    return {"error": math.nan if size % 3 == 0 else float(size), "test": float(size)}

MINE = Table(Static(), look, reward="error", score="test", less_is_better={"error", "test"}, best=0.0)
"""


def test_the_command_names_the_table_and_says_what_a_file_defines(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(OWN)
    words = ["bench", "--budget", "20t", "--runs", "4", "--strategies", "random,evolution"]
    code, out, err = done(*words, "--table", "mine.py:MINE", "--json", cwd=tmp_path)
    assert code == 0, err
    assert "mine.py:MINE, 20 trials, 4 runs: test" in err
    heading = next(line for line in err.splitlines() if line.startswith("strategy"))
    assert all(name in heading for name in ("reward", "regret", "at optimum"))
    told = json.loads(out.splitlines()[-1])
    first, second = told["strategies"]
    assert first["mean"] <= second["mean"]
    assert first["regret"] == pytest.approx(first["mean"])
    assert told["table"] == "mine.py:MINE"
    with pytest.raises(ConfigError, match=r"mine\.py defines no 'TABLE' but look, MINE"):
        load_table(f"{tmp_path / 'mine.py'}:TABLE")


def test_a_data_set_of_the_official_files_is_named_after_an_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "NATS-tss-v1_0"
    file.mkdir()
    (tmp_path / "plain.npz").write_bytes(b"")
    read: list[tuple[Path, str]] = []
    monkeypatch.setattr("archwright.lab.tables.from_official", lambda path, dataset: read.append((path, dataset)))
    for dataset in ("cifar100", "ImageNet16-120"):
        load_table(f"trusted:{file}@{dataset}")
    load_table(f"trusted:{file}")
    assert read == [(file, "cifar100"), (file, "ImageNet16-120"), (file, "cifar10")]
    for name, part in (
        (f"trusted:{file}@mnist", "no 'mnist'; pick @cifar10, @cifar100, @ImageNet16-120"),
        (f"{file}@cifar100", "is a pickle"),
        (f"{tmp_path / 'plain.npz'}@cifar100", "leave out @cifar100"),
    ):
        with pytest.raises(ConfigError, match=part):
            load_table(name)
