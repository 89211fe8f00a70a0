"""The real command, end to end on small settings: a whole run, what it leaves, kills and resumes, wrong input."""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import archwright
from archwright.errors import RunError
from archwright.runs.plan import Plan
from archwright.space import Architecture
from archwright.spaces import EnasMicro
from archwright.store import RunStore
from command import archwright_command, done

SMALL = [
    *("--space", "enas-micro", "--baseline", "true"),
    *("--space.nodes", "2", "--space.filters", "8", "--trials", "20", "--trials_per_epoch", "10", "--samples", "3"),
    *("--search_recipe.batch", "64", "--final_recipe.batch", "64", "--final_recipe.epochs", "3", "--limit", "256"),
    *("--device", "cpu", "--seed", "3", "--warmup", "1"),
]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    code, out, err = done("search", *SMALL, "--run", "run", "--json", cwd=folder)
    assert code == 0, err
    return folder / "run", json.loads(out.splitlines()[-1]), err


def test_the_result_says_what_was_found_and_how_it_was_compared(whole):
    folder, result, _ = whole
    low, high = result["test_interval"]
    assert 0 <= low <= result["test_accuracy"] <= high <= 1
    assert result["test_images"] == 359
    assert sum(c["images"] for c in result["per_class"].values()) == 359
    assert result["trials"] == 20
    assert 0 <= result["random_test_accuracy"] <= 1
    for group in ("same_count", "same_time"):
        a, b = result["random_search"][group]["difference_interval"]
        assert a < b
    assert {"search", "derive", "final training", "random search", "test", "total"} <= set(result["seconds"])
    assert json.loads((folder / "result.json").read_text()) == result
    for name in (
        "cell.png",
        "cell.svg",
        "search.png",
        "comparison.png",
        "report.md",
        "config.yaml",
        "architecture.json",
    ):
        assert (folder / name).stat().st_size > 100, name
    space = EnasMicro(nodes=2)
    architecture = Architecture.from_json(json.loads((folder / "architecture.json").read_text()))
    assert architecture.id == result["architecture"]
    assert archwright.space.check(space, architecture) == architecture


def test_what_is_said_of_the_data_is_in_output_result_and_report(whole):
    folder, result, err = whole
    note, takes = "values 0..16 were scaled to 0..255", "pixels 0 to 255 (black to white), as in image files"
    assert f"note: {note}" in err
    assert (result["data_notes"], result["model_input"]) == ([note], takes)
    assert "## Data" in (report := (folder / "report.md").read_text())
    assert f"- model input: {takes}" in report
    with RunStore.reading(folder) as store:
        assert store.get("plan")["data"]["contract"] == takes


def test_a_warning_on_the_data_is_in_the_dry_run(tmp_path):
    x, y = np.random.default_rng(0).integers(0, 255, (60, 8, 8), dtype=np.uint8), np.arange(60) % 2
    np.savez(tmp_path / "data.npz", x_train=x, y_train=y, x_test=x[:20], y_test=y[:20])
    words = ["--data", "data.npz", "--space", "enas-micro", "--dry-run", "--json", "--device", "cpu"]
    code, out, err = done("search", *words, cwd=tmp_path)
    assert code == 0, err
    warnings = json.loads(out.splitlines()[-1])["data"]["warnings"]
    assert any("of 20 test images are in the training part too" in warning for warning in warnings)
    assert all(f"warning: {warning}" in err for warning in warnings)


def test_predict_takes_the_folder_that_was_searched(whole, tmp_path):
    for name in ("0", "1", ".ipynb_checkpoints", "@eaDir"):
        (tmp_path / "images" / name).mkdir(parents=True)
        Image.new("L", (8, 8), 200).save(tmp_path / "images" / name / "digit.png")
    (tmp_path / "images" / "0" / "._digit.png").write_bytes(b"no image")
    (tmp_path / "images" / "0" / "Thumbs.db").write_bytes(b"no image")
    code, out, err = done("predict", str(whole[0]), "images", cwd=tmp_path)
    assert code == 0, err
    assert [line.split()[0] for line in out.splitlines()] == ["images/0/digit.png", "images/1/digit.png"]
    assert err.splitlines() == [
        "archwright: warning: images: not used: 1 files that are no images (1 .db)",
        "archwright: warning: images: not used: 1 hidden files",
        "archwright: warning: images: not used: 2 folders (.ipynb_checkpoints, @eaDir)",
    ]


def test_the_delivered_model_scores_what_the_run_says(whole):
    folder, result, _ = whole
    from archwright.data.sources import load

    data = load("digits", seed=3, limit=256)
    model = archwright.TrainedModel.load(folder / "model")
    labels = [data.classes[i] for i in data.test.y.tolist()]
    found = [p.label for p in model.predict(data.test.x)]
    accuracy = sum(a == b for a, b in zip(found, labels, strict=True)) / len(labels)
    assert accuracy == pytest.approx(result["test_accuracy"])


def progress(folder: Path) -> tuple[int, set[str]]:
    try:
        with RunStore.reading(folder) as store:
            stages = {name for name in ("search", "derive", "final training") if store.get(f"done/{name}")}
            return sum(1 for _ in store.trials()), stages
    except RunError:
        return -1, set()


def moments():
    """When to kill: in the first shared training, between trials, in the second, and in final training."""
    return [
        lambda trials, stages: trials == 0,
        lambda trials, stages: trials >= 4,
        lambda trials, stages: trials >= 10,
        lambda trials, stages: "derive" in stages,
    ]


def test_a_run_that_is_killed_again_and_again_ends_with_the_same_trials_and_model(whole, tmp_path):
    folder = tmp_path / "run"
    process = archwright_command("search", *SMALL, "--run", "run", "--json", cwd=tmp_path)
    kills = 0
    for moment in moments():
        while process.poll() is None and not moment(*progress(folder)):
            time.sleep(0.05)
        time.sleep(0.2)
        process.kill()
        process.communicate(timeout=60)
        kills += process.returncode == -signal.SIGKILL
        process = archwright_command("resume", "run", "--json", cwd=tmp_path)
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    assert kills == len(moments())
    assert told(folder) == told(whole[0])
    assert weights(folder) == weights(whole[0])
    result = json.loads(out.splitlines()[-1])
    for name in ("architecture", "test_accuracy", "test_interval", "parameters", "multiply_adds", "trials"):
        assert result[name] == whole[1][name]


def told(folder: Path) -> list[tuple[int, str, float]]:
    with RunStore.reading(folder) as store:
        return [(trial.number, trial.architecture.id, trial.reward) for trial in store.trials()]


def weights(folder: Path) -> str:
    return hashlib.sha256((folder / "model" / "weights.safetensors").read_bytes()).hexdigest()


def test_ctrl_c_stops_cleanly_and_finish_ends_the_run(tmp_path):
    process = archwright_command("search", *SMALL, "--run", "run", cwd=tmp_path)
    while process.poll() is None and progress(tmp_path / "run")[0] < 3:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "archwright resume run" in out
    assert "archwright finish run" in out
    assert "Traceback" not in out + err
    code, out, err = done("finish", "run", "--json", cwd=tmp_path)
    assert code == 0, err
    assert 3 <= json.loads(out.splitlines()[-1])["trials"] < 20


def test_show_predict_export_and_list_use_a_run(whole, tmp_path):
    folder = whole[0]
    code, out, err = done("show", str(folder), "--to", str(tmp_path), "--json", cwd=tmp_path)
    assert code == 0, err
    shown = json.loads(out.splitlines()[-1])
    assert (shown["parameters"], shown["multiply_adds"]) == (whole[1]["parameters"], whole[1]["multiply_adds"])
    Image.new("L", (8, 8), 200).save(tmp_path / "digit.png")
    code, out, err = done("predict", str(folder), "digit.png", cwd=tmp_path)
    assert code == 0, err
    assert out.split()[0] == "digit.png"
    code, out, err = done("export", str(folder), "--to", "out", "--formats", "source", cwd=tmp_path)
    assert code == 0, err
    checked = subprocess.run([sys.executable, "model.py"], cwd=tmp_path / "out", capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
    code, out, err = done("list", str(folder.parent), cwd=tmp_path)
    assert (code, "finished" in out) == (0, True), err


@pytest.mark.parametrize(
    ("command", "name"),
    [
        *(("resume", name) for name in ("model", "checkpoints", "run.sqlite", "lock", "report.md", "cell.png")),
        *(("resume", "model/weights.safetensors"), ("resume", "result.json"), ("export", "export")),
        *(("export", "export/model.py"), ("export", "export/model.pt2")),
    ],
)
def test_a_link_in_a_run_folder_is_one_line_and_nothing_outside_is_touched(whole, tmp_path, command, name):
    folder, outside = tmp_path / "run", tmp_path / "outside"
    shutil.copytree(whole[0], folder)
    with RunStore(folder) as store, store._database.transaction() as connection:
        connection.execute("DELETE FROM facts WHERE key = 'result'")  # so that it is written again
    (folder / "export").mkdir()
    path = folder / name
    if path.exists():
        path.rename(outside)
    else:
        outside.write_text("# archwright")
    before = contents(outside)
    path.symlink_to(outside)
    linked = tmp_path / "linked"
    linked.symlink_to(folder)
    code, out, err = done(command, str(linked), cwd=tmp_path)
    assert (code, "Traceback" in err) == (2, False), out + err
    assert f"{Path(name).name} is a link" in err
    assert contents(outside) == before


def contents(path: Path) -> list[tuple[str, bytes, int]]:
    """Everything at this path, with the times of writing."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return [(file.name, file.read_bytes(), file.stat().st_mtime_ns) for file in files]


def test_a_configuration_file_gives_the_same_plan(whole, tmp_path):
    folder = whole[0]
    code, out, err = done("search", "--config", str(folder / "config.yaml"), "--dry-run", "--json", cwd=tmp_path)
    assert code == 0, err
    again, first = Plan.from_json(json.loads(out.splitlines()[-1])["plan"]), stored(folder)
    assert (again.search, again.final, again.seed) == (first.search, first.final, first.seed)


def stored(folder: Path) -> Plan:
    with RunStore.reading(folder) as store:
        return Plan.from_json(store.get("plan"))


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["search", "--data", "nowhere"], "nowhere"),
        (["search", "--space", "enas-micro", "--space.nodes", "0"], "nodes"),
        (["search", "--space", "bogus"], "enas-micro"),
        (["search", "--no-such-flag", "1"], "no-such-flag"),
        (["search", "--device", "cuda:7"], "cuda"),
        (["resume", "nowhere"], "nowhere"),
        (["show", "nowhere"], "nowhere"),
        (["predict", "nowhere", "x.png"], "nowhere"),
        (["bogus"], "search"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(words, part, tmp_path):
    code, out, err = done(*words, cwd=tmp_path)
    assert code == 2
    assert part in err
    assert len(err.splitlines()) == 1
    assert out == ""
    assert list(tmp_path.iterdir()) == []
