"""The command with other spaces than the default: children trained from scratch, language models, the user's own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import archwright
from archwright.modalities.text.model import TrainedLanguageModel
from archwright.spaces import SPACES
from archwright.store import RunStore
from command import done

OWN = Path(__file__).with_name("own_components.py")
FEW = ["--limit", "128", "--device", "cpu", "--seed", "1", "--search_recipe.epochs", "1", "--final_recipe.epochs", "2"]
NAS = ["--space", "nas-conv", "--trials", "3", "--space.layers", "2", "--space.first_layers", "1", "--space.every", "2"]
TEXT = [
    *("--space", "nas-recurrent", "--space.base", "2", "--space.units", "12", "--trials", "3", "--limit", "1500"),
    *("--level", "characters", "--search_recipe.epochs", "1", "--final_recipe.epochs", "1", "--device", "cpu"),
    *("--validation", "0.01", "--test", "0.01", "--search_recipe.length", "10", "--final_recipe.length", "10"),
    *("--baseline", "true", "--reference", "true"),
]


@pytest.fixture(scope="module")
def language(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, object]]:
    folder = tmp_path_factory.mktemp("language")
    code, out, err = done("search", *TEXT, "--run", "run", "--json", cwd=folder)
    assert code == 0, err
    return folder / "run", json.loads(out.splitlines()[-1])


def test_convolutions_by_two_workers(tmp_path: Path) -> None:
    code, out, err = done(
        "search", *NAS, *FEW, "--workers", "2", "--grid", "true", "--run", "run", "--json", cwd=tmp_path
    )
    assert code == 0, err
    result = json.loads(out.splitlines()[-1])
    assert (result["trials"], result["failed_trials"], result["space"]) == (3, 0, "nas-conv")
    assert set(result["recipe"]) == {"learning_rate", "weight_decay", "decay_at"}
    with RunStore.reading(tmp_path / "run") as store:
        depths = {t.number: dict(t.architecture.fields)["layers"] for t in store.trials()}
        rewards = [t.reward == t.result.metrics["best_validation_accuracy"] ** 3 for t in store.trials()]
    assert len(depths) == 3
    assert all(depth == min(2, 1 + number // 2) for number, depth in depths.items())
    assert all(rewards)
    assert archwright.TrainedModel.load(tmp_path / "run" / "model").architecture.id == result["architecture"]
    code, out, err = done("export", "run", "--to", "out", "--formats", "source,pt2", cwd=tmp_path)
    assert code == 0, err
    code, out, err = done("show", "run", "--json", cwd=tmp_path)
    assert code == 0, err
    assert json.loads(out.splitlines()[-1])["parameters"] == result["parameters"]


def test_a_language_model_is_searched_tested_and_compared_with_an_lstm(
    language: tuple[Path, dict[str, object]],
) -> None:
    folder, result = language
    low, high = result["test_interval"]
    assert low < result["test_perplexity"] < high
    assert result["reference"]["network"].startswith("LSTM")
    assert result["reference"]["test_perplexity"] > 1
    a, b = result["reference"]["difference_interval"]
    assert a < b
    for name in ("cell.png", "search.png", "comparison.png", "report.md", "model/weights.safetensors"):
        assert (folder / name).stat().st_size > 100, name
    model = TrainedLanguageModel.load(folder / "model")
    assert model.architecture.id == result["architecture"]
    from archwright.data.text import load_text
    from archwright.training.perplexity import evaluate_perplexity

    data = load_text("topics", level="characters", limit=1500, validation=0.01, test=0.01)
    score = evaluate_perplexity(model.network, data.test, length=10)
    assert score.perplexity == pytest.approx(result["test_perplexity"], rel=1e-5)


def test_a_language_model_reads_and_writes(language: tuple[Path, dict[str, object]], tmp_path: Path) -> None:
    folder, _ = language
    (tmp_path / "some.txt").write_text("the class of an object")
    code, out, err = done("predict", str(folder), "some.txt", "the ", "--tokens", "5", "--json", cwd=tmp_path)
    assert code == 0, err
    scored, written = (json.loads(line) for line in out.splitlines())
    assert scored["perplexity"] > 1
    assert len(written["written"]) == len("the ") + 5
    assert written["written"].startswith("the ")
    code, out, err = done("predict", str(folder), "somee.txt", cwd=tmp_path)
    assert (code, len(err.splitlines())) == (2, 1)
    assert "somee.txt: no such file" in err
    code, out, err = done("show", str(folder), "--json", cwd=tmp_path)
    assert code == 0, err
    assert json.loads(out.splitlines()[-1])["units"] == 12
    code, out, err = done("export", str(folder), "--to", "out", "--formats", "source", cwd=tmp_path)
    assert code == 0, err
    command = [sys.executable, "-I", str(tmp_path / "out" / "model.py"), "the class"]
    alone = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "self-check  passed" in alone
    assert alone.splitlines()[-1]


def test_ones_own_space_and_controller_are_named_again_by_whoever_loads_a_run(tmp_path: Path) -> None:
    own = ["--space", f"{OWN}:Perceptrons", "--controller", f"{OWN}:Shifted"]
    settings = ["--space.scale", "2", "--controller.offset", "7", "--trials", "3"]
    code, out, err = done("search", *own, *settings, *FEW, "--run", "run", "--json", cwd=tmp_path)
    assert code == 0, err
    result = json.loads(out.splitlines()[-1])
    assert (result["space"], result["trials"]) == ("perceptrons", 3)
    code, out, err = done("resume", "run", cwd=tmp_path)
    assert (code, len(err.splitlines())) == (2, 1)
    assert "--space FILE.py:NAME" in err
    code, out, err = done("resume", "run", *own[:2], cwd=tmp_path)
    assert "--controller FILE.py:NAME" in err
    code, out, err = done("resume", "run", *own, "--json", cwd=tmp_path)
    assert code == 0, err
    assert json.loads(out.splitlines()[-1]) == result
    from PIL import Image

    Image.new("L", (8, 8), 200).save(tmp_path / "digit.png")
    code, out, err = done("predict", "run", "digit.png", cwd=tmp_path)
    assert (code, len(err.splitlines())) == (2, 1)
    code, out, err = done("predict", "run", "digit.png", *own[:2], cwd=tmp_path)
    assert code == 0, err


@pytest.fixture
def registry() -> Iterator[None]:
    """The registry of spaces, as it was before the test."""
    before = dict(SPACES)
    yield
    SPACES.clear()
    SPACES.update(before)


@pytest.mark.usefixtures("registry")
def test_from_python_ones_own_space_needs_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    from own_components import Perceptrons

    result = archwright.search(
        space=Perceptrons(scale=2),
        trials=2,
        search_recipe={"epochs": 1},
        final_recipe={"epochs": 2},
        device="cpu",
        data_options={"limit": 128},
    )
    assert 0 <= result.test_accuracy <= 1
    assert result.model.body[1].out_features in (16, 32, 64)
    assert archwright.draw(result.architecture, "cell.png").stat().st_size > 100
    assert "own_components" in sys.modules


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["search", "--space", "nas-recurrent", "--data", "digits"], "text"),
        (["search", "--space", "enas-micro", "--data", "topics"], "images"),
        (["search", "--space", "nas-recurrent", "--image_size", "8"], "image_size"),
        (["search", "--space", "nas-recurrent", "--data", "nowhere.txt"], "nowhere.txt"),
        (["search", "--space", "nas-recurrent", "--data", "nowhere"], "train, valid and test .txt"),
        (["search", "--space", "nas-recurrent", "--data", "."], "one .txt file for train"),
        (["search", "--space", "nas-conv", "--evaluator", "shared-weights"], "from-scratch"),
        (["search", "--space", "nas-conv", "--space.strides", "[0]"], "strides"),
        (["search", "--objective", "bogus"], "accuracy-cubed"),
    ],
)
def test_what_does_not_fit_together_is_said_in_one_line(words: list[str], part: str, tmp_path: Path) -> None:
    code, out, err = done(*words, cwd=tmp_path)
    assert code == 2
    assert part in err
    assert len(err.splitlines()) == 1
    assert out == ""
