"""The comparison with networks written by hand: its table, how it goes on, and the sizes of the references."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from archwright.data.sources import load


def record(contestant: str, seed: int, score: float, **more: Any) -> dict[str, Any]:
    facts = {"data": "d", "minutes": 5.0, "contestant": contestant, "seed": seed, "metric": "accuracy"}
    return {**facts, "score": score, "seconds": 290.0 + seed, "parameters": 10, **more}


def test_the_difference_is_paired_by_seed_and_against_the_best_reference(script: Any) -> None:
    """Means 0.82 and 0.80; differences of 1, 2 and 3 points: t = 4.303 with two degrees of freedom."""
    records = [record("archwright", seed, score) for seed, score in enumerate((0.80, 0.82, 0.84))]
    records += [record("good", seed, score) for seed, score in enumerate((0.79, 0.80, 0.81))]
    records += [record("poor", seed, 0.5) for seed in range(3)]
    [((data, minutes), metric, rows)] = script("value_table").groups(records)
    assert (data, minutes, metric) == ("d", 5.0, "accuracy")
    assert [row.contestant for row in rows] == ["archwright", "good", "poor"]
    assert rows[0].difference == pytest.approx((2.0, 2 - 4.3027 / math.sqrt(3), 2 + 4.3027 / math.sqrt(3)), abs=1e-3)
    assert rows[1].difference is None
    assert rows[0].score[0] == pytest.approx(82.0)
    assert rows[0].deviation == pytest.approx(2.0)
    assert rows[0].seconds == (291.0, 292.0)
    assert rows[0].late == pytest.approx(-8.0)


def test_less_perplexity_is_better_and_compared_in_per_cent(script: Any) -> None:
    ours = [record("archwright --seed-of mine", seed, 90.0, metric="perplexity") for seed in range(2)]
    theirs = [record("lstm-200", seed, 100.0, metric="perplexity") for seed in range(2)]
    worse = [record("lstm-100", seed, 120.0, metric="perplexity") for seed in range(2)]
    [(_, metric, rows)] = script("value_table").groups(worse + theirs + ours)
    assert metric == "perplexity"
    assert [row.score[0] for row in rows] == [90.0, 100.0, 120.0]
    assert rows[0].difference == pytest.approx((-10.0, -10.0, -10.0))


def test_one_seed_has_no_interval_and_the_table_says_so(script: Any) -> None:
    table = script("value_table")
    records = [record("archwright", 0, 0.8), record("by hand", 0, 0.7)]
    [(_, metric, rows)] = table.groups(records)
    assert table.cells(rows[0], metric)[-1] == "+10.00 points"
    assert "nan" not in " ".join(table.cells(rows[0], metric))
    assert "one run" in table.warnings(records)[0]


def test_only_seeds_of_both_are_compared(script: Any) -> None:
    table = script("value_table")
    assert table.difference({0: 80.0, 1: 90.0}, {1: 88.0, 2: 10.0}, "accuracy")[0] == pytest.approx(2.0)
    assert table.difference({0: 80.0}, {1: 88.0}, "accuracy") is None


def test_other_work_and_mixed_versions_are_warned_of(script: Any) -> None:
    table = script("value_table")
    beside = [record("a", 0, 0.8, others=0.1), record("b", 0, 0.8, others=1.1), record("c", 0, 0.8, others=1.1, busy=1)]
    assert any("1 of 3 runs were beside other work" in line for line in table.warnings(beside))
    versions = [record("a", 0, 0.8, commit="one"), record("b", 0, 0.8, commit="two")]
    assert any("one, two" in line for line in table.warnings(versions))


def test_more_minutes_are_compared_with_fewer(script: Any) -> None:
    records = [record("archwright", seed, 0.7 + seed / 100) for seed in range(2)]
    records += [record("archwright", seed, 0.75 + seed / 100, minutes=20.0) for seed in range(2)]
    assert script("value_table").growth(records) == [
        "d, archwright: 20 minutes less 5 minutes +5.00 points (+5.00 to +5.00)"
    ]


def test_a_benchmark_that_was_killed_goes_on_and_repeats_failures_alone(script: Any, tmp_path: Path) -> None:
    value, run, out = script("value"), script("value_run"), tmp_path / "out.jsonl"
    wanted = value.runs([run.Case("digits", 3, ("archwright", "good"))], 2)
    assert [(r.contestant, r.seed) for r in wanted] == [
        *(("archwright", 0), ("good", 0)),
        *(("archwright", 1), ("good", 1)),
    ]
    started = []

    def start(one: Any) -> dict[str, Any]:
        started.append((one.contestant, one.seed))
        if len(started) == 3:
            raise KeyboardInterrupt
        if len(started) == 2:
            return {"seconds": 1.0, "error": "exit status 1: no"}
        return {"metric": "accuracy", "score": 0.9, "seconds": 1.0, "parameters": 10}

    with pytest.raises(KeyboardInterrupt):
        list(value.measure(wanted, out, start))
    with out.open("a") as file:
        file.write('{"data": "digi')  # killed in the middle of a line
    assert len(list(value.measure(wanted, out, start))) == 3
    assert started[3:] == [("good", 0), ("archwright", 1), ("good", 1)]
    assert list(value.measure(wanted, out, start)) == []
    [(_, _, rows)] = script("value_table").groups(script("value_table").read(out))
    assert [(row.contestant, len(row.scores), row.failed) for row in rows] == [("archwright", 2, 0), ("good", 2, 0)]


def test_a_busy_machine_is_a_contestant_of_its_own(script: Any) -> None:
    value, run = script("value"), script("value_run")
    quiet, busy = (value.runs([run.Case("digits", 3, ("archwright", "resnet20"))], 1, busy=busy) for busy in (0, 1))
    assert quiet[0].facts["contestant"] != busy[0].facts["contestant"]
    assert quiet[1].facts == busy[1].facts
    assert script("value_table").is_product(busy[0].facts["contestant"])


def test_contestants_are_started_with_their_time_seed_and_flags(script: Any, tmp_path: Path) -> None:
    run = script("value_run")
    case = run.Case("DATA", 2.5)
    product = run.Run(case, "archwright --space enas-micro", 7).command("DATA", tmp_path)
    reference = run.Run(case, "resnet9-16 --lr 0.4", 7).command("DATA", tmp_path)
    assert product[1:9] == ["-m", "archwright", "search", "--data", "DATA", "--minutes", "2.5", "--seed"]
    assert product[-2:] == ["--space", "enas-micro"]
    assert reference[2:] == ["--data", "DATA", "--seconds", "150", "--net", "resnet9-16", "--seed", "7", "--lr", "0.4"]


def test_a_contestant_that_fails_is_recorded_with_its_error(script: Any, tmp_path: Path) -> None:
    run = script("value_run")
    found = run.Machine(tmp_path, None)(run.Run(run.Case(str(tmp_path / "none"), 0.1), "resnet20", 0))
    assert "score" not in found
    assert "exit status 1" in found["error"]
    assert "no such file" in found["error"]


def test_a_score_that_is_no_number_is_a_failure(script: Any) -> None:
    with pytest.raises(ValueError, match="inf"):
        script("value_run").scored({"test_perplexity": math.inf, "parameters": 1})


def test_limited_data_have_as_many_training_images_and_the_whole_test_part(script: Any, tmp_path: Path) -> None:
    whole = load("digits")
    data = load(script("value_run").cut("digits", 200, tmp_path))
    assert len(data.train) + len(data.validation) == 200
    assert np.array_equal(data.test.x, whole.test.x)
    assert [data.classes[i] for i in data.test.y] == [whole.classes[i] for i in whole.test.y]


@pytest.mark.parametrize(
    ("name", "parameters"),
    # The first two as in cifar10-fast's design at these widths; He et al. 2016, table 6: 0.27M, 0.46M, 1.7M.
    [("resnet9-8", 103_954), ("resnet9-16", 412_954), ("resnet20", 269_722), ("resnet32", 464_154)],
)
def test_references_have_their_sizes(script: Any, name: str, parameters: int) -> None:
    assert sum(p.numel() for p in script("by_hand").network(name, 3, 10, 32).parameters()) == parameters


@pytest.mark.parametrize(
    ("data", "net", "metric"), [("digits", "resnet9-1", "accuracy"), ("topics", "lstm-2x2", "perplexity")]
)
def test_a_reference_prints_its_result(
    script: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, data: str, net: str, metric: str
) -> None:
    module = script("by_hand")
    monkeypatch.setattr(module, "BEGAN", module.time.monotonic())
    monkeypatch.setattr(module, "RESERVE", 0.0)
    module.main(["--data", data, "--net", net, "--seconds", "4", "--limit", "1000", "--threads", "1"])
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert script("value_run").scored(result)["metric"] == metric


def test_a_reference_without_time_ends(script: Any) -> None:
    assert script("by_hand_clock").Clock(0.0).progress() == 1.0
