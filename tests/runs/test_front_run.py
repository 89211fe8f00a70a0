"""Runs that read costs: limits hold, several objectives give a front, and a point of it is picked and trained."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import archwright
from archwright.__main__ import main
from archwright.cli.front import front_of
from archwright.costs import network_costs
from archwright.errors import ConfigError, RunError
from archwright.loop import Trial
from archwright.modalities import load_model
from archwright.runs import costing
from archwright.runs.front import apart
from archwright.runs.planner import UserSettings
from archwright.runs.preparation import prepare
from archwright.spaces import EnasMicro
from archwright.spaces.stages import Stages
from archwright.store import RunStore

SPACE = Stages(widths=(8, 12, 16), blocks=(1, 2), most_stages=3, training=False)
ARGUMENTS: dict[str, Any] = {
    "space": SPACE,
    "data_options": {"limit": 150},
    "final_recipe": {"epochs": 2, "batch": 32},
    "trials": 7,
    "reduction": 2,
    "growth": 2.0,
    "first_share": 0.1,
    "device": "cpu",
    "threads": 1,
}
MOST = 9000


@pytest.fixture(scope="module")
def race(tmp_path_factory: pytest.TempPathFactory) -> archwright.Run:
    """A counted race for accuracy and size, within a limit."""
    folder = tmp_path_factory.mktemp("race") / "run"
    return archwright.search(
        "digits", **ARGUMENTS, pareto="accuracy,parameters,bytes", within={"parameters": MOST}, run=folder
    )


def test_a_race_gives_a_front_within_the_limits(race: archwright.Run) -> None:
    measured = json.loads((race.folder / "front.json").read_text())
    assert [*measured["costs"]] == ["parameters", "bytes"]
    points, members = measured["points"], [point for point in measured["points"] if point["front"]]
    assert measured["knee"] in {point["id"] for point in members}
    assert len(points) >= 3
    assert all(point["costs"]["parameters"] <= MOST for point in points)
    for one in members:
        low, high = one["interval"]
        assert low <= one["score"] <= high
        assert not [
            other
            for other in points
            if other["score"] > one["score"]
            and all(other["costs"][name] < one["costs"][name] for name in measured["costs"])
        ]
    trained = [point for point in points if str(point["key"]).startswith("found")]
    assert 1 <= len(trained) <= 3  # finalists of a front, each different enough
    for one, other in itertools.combinations(trained, 2):
        assert apart(one["costs"], other["costs"], [*measured["costs"]])
    assert race.result["parameters"] == race.result["costs"]["parameters"] <= MOST
    assert race.result["front"] == [point["id"] for point in members]
    assert any("front" in line for line in race.result["summary"])
    for name in ("front.png", "front.svg", "front.json"):
        assert (race.folder / name).stat().st_size > 0
    for point in members:
        if str(point["key"]).startswith("found"):
            assert load_model(race.folder / f"front-{point['id']}").architecture.id == point["id"]
    with RunStore.reading(race.folder) as store:
        trials = list(store.trials())
    for trial in trials:
        if trial.result.error is None:
            assert trial.result.metrics["objective/1"] == -trial.result.metrics["parameters"]


def test_the_commands_list_the_front_and_train_a_point_of_it(
    race: archwright.Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def command(*words: str) -> str:
        assert main(words) == 0
        return capsys.readouterr().out

    points = json.loads(command("front", str(race.folder), "--json"))["points"]
    assert all(point["front"] for point in points)
    listed = command("front", str(race.folder))
    assert points[0]["id"] in listed
    assert "knee" in listed
    words = ["train", str(race.folder), "--epochs", "1", "--device", "cpu"]
    out = command(*words, "--pick", points[0]["id"][:6], "--to", str(tmp_path / "one"), "--json")
    result = json.loads(out.splitlines()[-1])
    assert result["architecture"] == points[0]["id"]
    assert result["parameters"] == points[0]["costs"]["parameters"]
    assert main([*words, "--pick", "nobody"]) == 2
    assert "--pick nobody: no network is called so" in capsys.readouterr().err


def _reward(metrics: Mapping[str, float]) -> float:
    return metrics["validation_accuracy"] / metrics["parameters"]


def test_any_function_of_metrics_is_an_objective_and_is_given_again_on_resume(tmp_path: Path) -> None:
    seen: list[Trial] = []
    settings = {**ARGUMENTS, "trials": 3, "evaluator": "from-scratch", "controller": "random"}
    settings |= {"space": Stages(widths=(8,), blocks=(1,), most_stages=2, training=False)}
    for name in ("reduction", "growth", "first_share"):
        del settings[name]

    def watch(event: Any) -> None:
        if isinstance(event, Trial):
            seen.append(event)
            if len(seen) == 2:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        archwright.search("digits", **settings, objective=_reward, run=tmp_path / "run", watch=watch)
    for trial in seen:
        assert trial.reward == _reward(trial.result.metrics)
        assert trial.result.metrics["latency_ms"] > 0  # a function may read any
    run = archwright.resume(tmp_path / "run", objective=_reward)
    assert run.result["trials"] == 3
    RunStore(tmp_path / "empty", create=True).close()
    with pytest.raises(RunError, match="has no front: it has not ended; archwright resume"):
        front_of(tmp_path / "empty")


def test_shared_weights_read_predicted_costs_and_deliver_within_measured_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(costing, "LEARNED", 8)
    monkeypatch.setattr(network_costs, "LATENCY_SECONDS", 0.01)
    settings = {"search_recipe": {"batch": 32}, "final_recipe": {"epochs": 1, "batch": 32}, "trials_per_epoch": 5}
    run = archwright.search(
        "digits",
        space=EnasMicro(nodes=1, repeats=1, filters=8),
        **settings,
        **{
            "trials": 10,
            "samples": 5,
            "steps_per_epoch": 2,
            "device": "cpu",
            "threads": 1,
            "final_space": {"filters": 8},
        },
        **{"data_options": {"limit": 100}, "within": "parameters=14k", "objective": "accuracy / latency_ms ** 0.1"},
        run=tmp_path / "run",
    )
    assert run.result["costs"]["parameters"] == run.result["parameters"] <= 14_000
    measured = json.loads((run.folder / "front.json").read_text())
    assert [*measured["prediction"]] == ["latency_ms"]  # parameters are counted
    assert measured["prediction"]["latency_ms"]["count"] == 2


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"within": ("parameters=10",)},
            "none of [0-9]* random networks of stages has at most 10 parameters; the",
        ),
        ({"objective": "accuracy / speed"}, "'speed' is not a metric of this search|needs .*speed"),
        ({"pareto": ("accuracy",)}, "name two objectives"),
        ({"evaluator": "gradient", "within": ("parameters=1M",)}, "no mixture|descends in a loss"),
    ],
)
def test_aims_that_cannot_be_are_errors_of_the_plan(settings: dict[str, Any], words: str) -> None:
    fields = {"widths": (8,), "blocks": (1,), "most_stages": 2}
    user = UserSettings("stages", fields, settings={"trials": 4, **settings})
    with pytest.raises(ConfigError, match=words):
        prepare("digits", user=user, device="cpu", data_options={"limit": 100}, threads=1)
