"""NASNet's whole way: a search, its cells at another size on other data, the comparison."""

from __future__ import annotations

import hashlib
import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import archwright
from archwright.errors import RunError
from archwright.store import RunStore
from command import archwright_command, done

SEARCH = [
    *("--space", "nasnet", "--space.blocks", "2", "--space.filters", "4", "--trials", "4"),
    *("--controller.batch", "2", "--controller.units", "8", "--shortlist", "2", "--limit", "128", "--device", "cpu"),
    *("--search_recipe.epochs", "1", "--final_recipe.epochs", "6", "--baseline", "false", "--seed", "1"),
]
TRANSFER = ["--repeats", "1", "--filters", "8", "--image-size", "12", "--final_recipe.batch", "16"]
TRANSFER += ["--final_recipe.average", "0.9", "--final_recipe.precision", "bfloat16", "--device", "cpu"]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """As commands in processes of their own have: a run's bits depend on it."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("nasnet")
    code, out, err = done("search", *SEARCH, "--run", str(folder / "run"), "--json")
    assert code == 0, err
    result = json.loads(out.splitlines()[-1])
    assert (result["space"], result["trials"], result["failed_trials"]) == ("nasnet", 4, 0)
    return folder / "run"


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image folder of two classes that are easy to tell apart, of 16 pixels."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("pictures")
    source = np.random.default_rng(0)
    for part, count in (("train", 40), ("val", 10)):
        for label, name in enumerate(("dark", "light")):
            (folder / part / name).mkdir(parents=True)
            for number in range(count):
                pixels = source.integers(0, 120, (16, 16, 3)) + 130 * label
                Image.fromarray(pixels.astype(np.uint8)).save(folder / part / name / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def transferred(searched: Path, pictures: Path) -> tuple[Path, dict[str, Any]]:
    words = ["--data", str(pictures), *TRANSFER, "--final_recipe.epochs", "4", "--compare", "true"]
    code, out, err = done("transfer", str(searched), *words, "--to", str(searched.parent / "large"), "--json")
    assert code == 0, err
    return searched.parent / "large", json.loads(out.splitlines()[-1])


def test_the_best_are_trained_longer_before_one_is_chosen(searched: Path) -> None:
    with RunStore.reading(searched) as store:
        records = {key: store.get(f"candidate/{key}") for key in ("short-0", "short-1", "found-0")}
        order = [architecture for architecture, _ in store.get("ranked")]
    longer = sorted(("short-0", "short-1"), key=lambda key: records[key]["validation_loss"])
    assert [records[key]["architecture"] for key in longer] == order[:2]
    assert records["found-0"]["architecture"] == order[0]


def test_a_transfer_delivers_what_a_run_does(
    searched: Path, pictures: Path, transferred: tuple[Path, dict[str, Any]]
) -> None:
    folder, result = transferred
    assert result["architecture"] == json.loads((searched / "result.json").read_text())["architecture"]
    assert result["transferred"] == str(searched)
    model = archwright.TrainedModel.load(folder / "model")
    assert (model.space.filters, model.space.repeats) == (8, 1)  # type: ignore[attr-defined]
    assert (model.preprocessing.height, model.classes) == (12, ("dark", "light"))
    random, residual = result["random_search"]["same_count"], result["reference"]
    assert random["architecture"] != result["architecture"]
    assert residual["network"] == "a residual network"
    assert residual["parameters"] == pytest.approx(result["parameters"], rel=0.15)
    assert (folder / "report.md").is_file()
    code, out, err = done("export", str(folder), "--formats", "source", "--json")
    assert code == 0, err
    picture = next((pictures / "val" / "light").iterdir())
    code, out, err = done("predict", str(folder), str(picture), "--json")
    assert code == 0, err
    assert set(json.loads(out)["probabilities"]) == {"dark", "light"}


def test_a_transfer_that_is_killed_ends_with_the_same_weights(
    searched: Path, pictures: Path, transferred: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    folder, result = transferred
    words = ["--data", str(pictures), *TRANSFER, "--final_recipe.epochs", "4", "--to", str(tmp_path / "again")]
    process = archwright_command("transfer", str(searched), *words, cwd=tmp_path)
    while process.poll() is None and not begun(tmp_path / "again"):
        time.sleep(0.02)
    process.kill()
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    code, out, err = done("resume", str(tmp_path / "again"), "--json")
    assert code == 0, err
    resumed = json.loads(out.splitlines()[-1])
    assert resumed["test_accuracy"] == result["test_accuracy"]
    assert weights(tmp_path / "again") == weights(folder)


def test_a_published_network_has_its_published_size_with_the_paper_preset(tmp_path: Path) -> None:
    words = ["--data", "digits", "--image-size", "128", "--preset", "paper", "--limit", "40", "--device", "cpu"]
    words += ["--final_recipe.batch", "2", "--dry-run", "--json", "--repeats", "1", "--filters", "8"]
    code, out, err = done("transfer", "nasnet-a-large", *words)
    assert code == 0, err
    plan = json.loads(out.splitlines()[-1])["plan"]
    space, recipe = plan["final"]["space"], plan["final"]["recipe"]
    assert (space["repeats"], space["filters"]) == (1, 8)  # as asked for
    assert (space["stem_filters"], space["skip_reduction"], space["drop_path_keep"]) == (96, True, 0.7)
    assert (recipe["optimizer"], recipe["epsilon"], recipe["average"], recipe["batch"]) == ("rmsprop", 1.0, 0.9999, 2)


def test_the_configuration_of_a_transfer_does_it_again(
    searched: Path, transferred: tuple[Path, dict[str, Any]]
) -> None:
    folder, _ = transferred
    plans = []
    config = ["--config", str(folder / "config.yaml"), "--dry-run", "--json"]
    for words in (config, [*config, "--final_recipe.clip_norm", "1"]):
        code, out, err = done("transfer", str(searched), *words)
        assert code == 0, err
        plans.append(json.loads(out.splitlines()[-1])["plan"])
    with RunStore.reading(folder) as store:
        plan = store.get("plan")
    assert {**plans[0], "budget": {}} == {**plan, "budget": {}}
    assert plans[1]["final"]["recipe"] == {**plan["final"]["recipe"], "clip_norm": 1.0}


def begun(folder: Path) -> bool:
    """Whether a checkpoint has been written in the middle of the training."""
    try:
        with RunStore.reading(folder) as store:
            return store.restore("training") is not None
    except RunError:
        return False


def weights(folder: Path) -> str:
    return hashlib.sha256((folder / "model" / "weights.safetensors").read_bytes()).hexdigest()


def test_compare_draws_and_prints_what_runs_have_found(
    searched: Path, transferred: tuple[Path, dict[str, Any]]
) -> None:
    folder, result = transferred
    code, out, err = done("compare", str(searched), str(folder), "--json", "--to", str(folder / "drawn"))
    assert code == 0, err
    sets = json.loads(out)["data_sets"]
    assert [len(group["networks"]) for group in sets] == [1, 3]  # digits, and the pictures
    ours = sets[1]["networks"][0]
    assert (ours["test_accuracy"], ours["multiply_adds"]) == (result["test_accuracy"], result["multiply_adds"])
    assert all(Path(path).stat().st_size > 1000 for group in sets for path in group["pictures"])
    assert {Path(path).suffix for path in sets[0]["pictures"]} == {".png", ".svg"}
    alone = ["--filters", "4", "--epochs", "0.5", "--limit", "64", "--device", "cpu", "--to", str(folder / "alone")]
    code, out, err = done("train", str(searched), *alone)
    assert code == 0, err
    code, out, err = done("compare", str(searched), str(folder / "alone"), "--no-pictures")
    assert code == 0, err
    assert out.count("Accuracy and size on digits") == 1  # one data set: a run's, and that of a network trained alone
    assert all(name in out for name in ("run: found", "alone: found"))


def test_compare_tells_apart_what_has_the_same_name(
    searched: Path, transferred: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    result = json.loads((searched / "result.json").read_text())
    for name, images in (("one", result["test_images"]), ("other", 7)):
        (tmp_path / name / "run").mkdir(parents=True)
        changed = json.dumps({**result, "test_images": images})
        (tmp_path / name / "run" / "result.json").write_text(changed)
    runs = [str(searched), str(tmp_path / "one" / "run"), str(tmp_path / "other" / "run"), str(searched)]
    code, out, err = done("compare", *runs, "--json", "--to", str(tmp_path))
    assert code == 0, err
    sets = json.loads(out)["data_sets"]
    names = [network["network"] for group in sets for network in group["networks"]]
    assert names == [f"{run}: found" for run in runs[:3]]
    assert len({path for group in sets for path in group["pictures"]}) == 4


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["transfer", "nowhere", "--data", "digits"], "nowhere"),
        (["transfer", "nasnet-a"], "data"),
        (["transfer", "nasnet-a", "--data", "topics"], "text"),
        (["transfer", "nasnet-a", "--data", "digits", "--filters", "0"], "--filters is 0"),
        (["transfer", "nasnet-a", "--data", "digits", "--final_recipe.average", "2"], "average"),
        (["transfer", "nasnet-a", "--data", "digits", "--final_space.width", "2"], "width"),
        (["transfer", "nasnet-a", "--data", "digits", "--repeats", "many"], "repeats"),
        (["transfer", "nasnet-a", "--data", "digits", "--final_space.dropout", "2"], "dropout is 2.0"),
        (["transfer", "nasnet-a", "--data", "digits", "--final_space.blocks", "3"], "blocks"),  # of the architecture
        (["transfer", "nasnet-a", "--config", "nowhere.yaml"], "nowhere.yaml"),
        (["compare", "nowhere"], "nowhere"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(words: list[str], part: str) -> None:
    code, out, err = done(*words)
    assert (code, len(err.splitlines()), out) == (2, 1, ""), err
    assert part in err
