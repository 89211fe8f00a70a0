"""Searches for several objectives on a table: judged by the volume of what they found."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from archwright.errors import ConfigError
from archwright.evaluators.table import Table
from archwright.lab.contest import Allowance, search
from archwright.lab.strategies import strategies
from archwright.lab.tables import load_table
from archwright.lab.volumes import bounded
from archwright.space import Architecture, enumerate_space
from archwright.testing.small_spaces import Static
from command import done
from small_tables import write_npz


def look(architecture: Architecture) -> dict[str, float]:
    first, second = float(str(architecture["first"])), float(str(architecture["second"]))
    accuracy = 0.5 + 0.1 * np.log2(first) - 0.01 * second
    return {"validation_accuracy": accuracy, "latency_ms": first + second, "seconds": 1.0, "test_accuracy": accuracy}


def table() -> Table:
    made = Table(Static(), look, pareto=("accuracy", "latency_ms"), name="made up")
    return bounded(made, map(look, enumerate_space(Static())))


@pytest.mark.parametrize("name", ["random", "guided+start=4", "reinforce", "evolution"])
def test_volumes_grow_to_the_whole(name: str) -> None:
    (strategy,) = strategies(name)
    course = search(table(), strategy, 0, Allowance(trials=40))
    rewards = [reward for _, reward, _ in course.improvements]
    assert rewards == sorted(rewards)
    assert [score for _, _, score in course.improvements] == pytest.approx(rewards)  # the score is what is seen
    assert 0 <= rewards[0] <= rewards[-1] <= 100.0001
    assert course.trials == 40


def test_searches_of_a_whole_table_find_its_volume() -> None:
    (strategy,) = strategies("guided+start=4")
    assert search(table(), strategy, 1, Allowance(trials=36)).score == pytest.approx(100.0, abs=2.0)


def test_the_command_compares_on_devices(tmp_path: Path) -> None:
    path = write_npz(tmp_path / "table.npz", devices=("pixel3", "fpga"))
    words = ["bench", "--table", str(path), "--pareto", "accuracy,latency_ms_pixel3", "--budget", "12t", "--runs", "2"]
    code, out, err = done(*words, "--strategies", "random,nsga2,tpe,guided", "--json", cwd=tmp_path)
    assert code == 0, err
    result = json.loads(out.splitlines()[-1])
    assert {line["label"] for line in result["strategies"]} == {"random", "nsga2", "tpe", "guided"}
    assert all(0 < line["mean"] <= 100 for line in result["strategies"])
    with pytest.raises(ConfigError, match=r"has no 'latency_ms_abacus'; pick from .*latency_ms_fpga"):
        load_table(f"{path}#accuracy,latency_ms_abacus")
    with pytest.raises(ConfigError, match=r"--pareto is for an \.npz"):
        load_table("signals#accuracy,latency_ms")
