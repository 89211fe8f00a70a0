"""`archwright search` on a Ray cluster."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import archwright
from archwright.errors import ConfigError, MissingExtra
from archwright.runs.cluster import on_a_cluster
from archwright.runs.planner import UserSettings
from archwright.runs.preparation import prepare
from archwright.store import RunStore
from command import done

SPACE = ["--space", "nas-conv", "--space.layers", "2", "--space.first_layers", "1", "--space.filter_counts", "[4,8]"]
SHORT = ["--search_recipe.epochs", "1", "--final_recipe.epochs", "1", "--baseline", "false", "--limit", "200"]
REPLICA = ["--replicas", "1", "--children", "2", "--shards", "2"]


def test_replicas_in_a_cluster_that_runs_already(tmp_path: Path, cluster: None) -> None:
    import ray

    address = f"ray:{ray.get_runtime_context().gcs_address}"
    words = ["search", *SPACE, *SHORT, *REPLICA, "--engine", address, "--trials", "4", "--run", "run", "--json"]
    code, out, err = done(*words, cwd=tmp_path)
    assert code == 0, err
    assert f"4 children of 1 epoch, 2 at a time on {address}; reinforce in 1 replicas of 2 children, 2 shards" in err
    result = json.loads(out)  # and nothing of Ray beside it
    assert (result["trials"], result["failed_trials"]) == (4, 0)
    with RunStore.reading(tmp_path / "run") as store:
        saved = store.load()
    assert sorted(trial.number for trial in saved.trials) == [0, 1, 2, 3]
    assert saved.controller is not None
    assert result["replicas"] == {"updates": 2, "mean_staleness": 0.0, "most_staleness": 0}
    assert "2 of the controller; a gradient came 0 updates late on average, 0 at most" in "\n".join(result["summary"])
    assert [shard["version"] for shard in saved.controller["shards"]] == [2, 2]
    assert archwright.TrainedModel.load(tmp_path / "run" / "model").architecture.id == result["architecture"]
    assert ray.is_initialized()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"engine": "slurm"}, "engine is 'slurm'; it must be local, ray, or ray:ADDRESS"),
        ({"replicas": 2}, "replicas need --engine ray"),
        ({"shards": 2}, "give --replicas as well"),
        ({"memory_limit": 0.0}, "memory_limit is 0.0; it must be greater than zero"),
        ({"engine": "ray", "workers": 2, "evaluator": "shared-weights"}, "from-scratch"),
        ({"engine": "ray", "workers": 2, "child_cpus": 0.0}, "a child takes some of one of them"),
        ({"engine": "ray:ray://host:10001", "child_gpus": 0.5}, "start archwright on a node of the cluster"),
    ],
)
def test_what_does_not_fit_together_is_a_config_error(settings: dict[str, object], said: str) -> None:
    if str(settings.get("engine")).startswith("ray"):
        pytest.importorskip("ray", reason="Ray is not installed: pip install 'archwright[ray]'")
    with pytest.raises(ConfigError, match=said):
        prepare("digits", user=UserSettings(space="nas-conv", settings=settings), data_options={"limit": 100})


def test_a_replica_has_as_many_children_as_its_controllers_minibatch_and_gpus_where_the_driver_has() -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'archwright[ray]'")
    wanted = {"engine": "ray", "replicas": 3}
    assert on_a_cluster(wanted, {"batch": 5}, "cpu") == (
        {**wanted, "children": 5, "workers": 15, "child_gpus": 0.0},
        {"batch": 5},
    )
    settings, controller = on_a_cluster({**wanted, "children": 4}, {"batch": 5}, "cuda:0")
    assert (settings["workers"], settings["child_gpus"], controller["batch"]) == (12, 1.0, 4)
    alone, _ = on_a_cluster({"engine": "ray", "child_cpus": 0.5}, {}, "cpu")
    assert alone["workers"] >= 2


def test_without_the_extra_a_plan_for_ray_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(MissingExtra, match=r"pip install 'archwright\[ray\]'"):
        on_a_cluster({"engine": "ray"}, {}, "cpu")
