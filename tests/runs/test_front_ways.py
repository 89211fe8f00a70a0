"""Where an aim reads what a pass costs, a search runs networks without mirror images, and both ways are offered."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import archwright
from archwright.__main__ import main
from archwright.components import space_to_json
from archwright.modalities import load_model, modality
from archwright.runs.assembly import costs_of
from archwright.runs.planner import UserSettings
from archwright.runs.preparation import prepare
from archwright.spaces.stages import Stages

FIELDS: dict[str, Any] = {"widths": (8, 12), "blocks": (1,), "most_stages": 2, "training": False}
ARGUMENTS: dict[str, Any] = {
    "space": Stages(**FIELDS),
    "final_recipe": {"epochs": 1, "batch": 32},
    "trials": 4,
    "reduction": 2,
    "growth": 2.0,
    "first_share": 0.1,
    "finalists": 2,
    "device": "cpu",
    "threads": 1,
}


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Gray noise with a tint for each class: channels vary together, and no class has a side."""
    rng, count = np.random.default_rng(0), 120
    labels = np.arange(count) % 3
    x = rng.integers(0, 120, (count, 12, 12, 1), dtype=np.uint8).repeat(3, axis=3)
    for image, label in zip(x, labels, strict=True):
        image[:, :, label] += 60
    path = tmp_path_factory.mktemp("data") / "tinted.npz"
    np.savez(path, x=x, y=labels)
    return path


@pytest.fixture(scope="module")
def race(photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> archwright.Run:
    folder = tmp_path_factory.mktemp("race") / "run"
    return archwright.search(str(photographs), **ARGUMENTS, pareto="accuracy,multiply_adds", run=folder)


def test_each_trained_network_is_a_point_with_and_without_mirror_images(race: archwright.Run) -> None:
    points = json.loads((race.folder / "front.json").read_text())["points"]
    whole = {point["id"]: point for point in points if str(point["key"]).startswith("found")}
    assert len(whole) == 2 * sum(point["way"] is None for point in whole.values()) > 0
    for own, point in whole.items():
        if point["way"] is None:
            mirrored = whole[f"{own}-mirror"]
            assert mirrored["costs"]["multiply_adds"] == 2 * point["costs"]["multiply_adds"]
            assert mirrored["architecture"] == point["architecture"]
    images = torch.rand(5, 3, 12, 12)
    for point in (point for point in whole.values() if point["front"]):
        model = load_model(race.folder / f"front-{point['id']}")
        mirror = space_to_json(model.space)["mirror"]
        assert mirror == (point["way"] == "mirror")
        symmetric = torch.allclose(model.network(images), model.network(images.flip(3)), atol=1e-5)
        assert symmetric == mirror
    # What is delivered is the most accurate of both, and tested so.
    best = max(point["score"] for point in whole.values())
    own = next(point for point in whole.values() if point["costs"] == race.result["costs"])
    assert own["score"] == best == race.result["validation_accuracy"]
    assert space_to_json(load_model(race.folder / "model").space)["mirror"] == (own["way"] == "mirror")


def test_either_way_is_picked(race: archwright.Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    points = json.loads((race.folder / "front.json").read_text())["points"]
    own = next(point["id"] for point in points if point["way"] == "mirror")
    for pick, mirror in ((own, True), (own[:8], False)):
        words = ["train", str(race.folder), "--pick", pick, "--to", str(tmp_path / pick), "--epochs", "1"]
        assert main([*words, "--device", "cpu"]) == 0, capsys.readouterr().err
        assert space_to_json(load_model(tmp_path / pick).space)["mirror"] == mirror


@pytest.mark.parametrize(
    ("settings", "fields", "mirror", "ways"),
    [
        ({}, {}, True, False),
        ({"pareto": ("accuracy", "parameters")}, {}, True, False),  # mirror images cost no parameters
        ({"pareto": ("accuracy", "multiply_adds")}, {}, False, True),
        ({"within": ("multiply_adds=1G",)}, {}, False, True),
        ({"within": ("multiply_adds=1G",), "ways": False}, {}, True, False),
        ({"within": ("multiply_adds=1G",)}, {"mirror": True}, True, False),
        ({"within": ("multiply_adds=1G",)}, {"mirror": False}, False, False),
    ],
)
def test_what_a_pass_costs_decides_how_networks_are_run(
    photographs: Path, settings: dict[str, Any], fields: dict[str, Any], mirror: bool, ways: bool
) -> None:
    user = UserSettings("stages", {**FIELDS, **fields}, settings={"trials": 4, **settings})
    plan = prepare(str(photographs), user=user, device="cpu", threads=1, timed=False).plan
    assert (plan.search.space.mirror, plan.final.space.mirror, plan.final.ways) == (mirror, mirror, ways)  # type: ignore[attr-defined]


def test_known_networks_are_within_the_limits_where_nothing_is_timed(photographs: Path) -> None:
    """As in a fit of `ArchwrightClassifier(minutes=None)`."""
    user = UserSettings("stages", settings={"trials": 4, "within": ("parameters=8k",)})
    prepared = prepare(str(photographs), user=user, device="cpu", threads=1, timed=False)
    plan, costs = prepared.plan, costs_of(prepared.plan, modality(prepared.data))
    known = plan.search.method.known(plan.search)
    assert known
    assert all(costs.of(one, ["parameters"])["parameters"] <= 8000 for one in known.values())


def test_a_limit_that_mirror_images_would_break_holds(photographs: Path, tmp_path: Path) -> None:
    settings = {**ARGUMENTS, "finalists": 1, "trials": 2}
    free = archwright.search(str(photographs), **settings, within="multiply_adds=1G", run=tmp_path / "free")
    points = json.loads((free.folder / "front.json").read_text())["points"]
    least = min(point["costs"]["multiply_adds"] for point in points)
    assert any(point["way"] == "mirror" for point in points)
    kept = archwright.search(str(photographs), **settings, within={"multiply_adds": least}, run=tmp_path / "kept")
    assert kept.result["costs"]["multiply_adds"] <= least
    assert not [p for p in json.loads((kept.folder / "front.json").read_text())["points"] if p["way"] == "mirror"]
