"""ENAS's macro and recurrent spaces through the real command: search, export, kill and resume, rank."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

from archwright.analysis.ranking import Ranking, verdict
from archwright.errors import ConfigError, RunError
from archwright.methods.from_scratch import FromScratchMethod
from archwright.runs.folder import opened
from archwright.store import RunStore
from command import archwright_command, done

MACRO = [
    *("--space", "enas-macro", "--space.layers", "3", "--space.filters", "8", "--final_space.filters", "8"),
    *("--limit", "128", "--trials", "8", "--trials_per_epoch", "4", "--warmup", "1", "--samples", "4"),
    *("--shortlist", "3", "--proxy", "layers,multiply-adds", "--final_recipe.epochs", "1", "--inherit", "true"),
    *("--device", "cpu", "--seed", "2"),
]
TEXT = [
    *("--space", "enas-recurrent", "--space.nodes", "3", "--space.units", "8", "--final_space.units", "8"),
    *("--level", "characters", "--limit", "1500", "--validation", "0.01", "--test", "0.01"),
    *("--trials", "8", "--trials_per_epoch", "4", "--warmup", "1", "--steps_per_epoch", "3", "--samples", "4"),
    *("--shortlist", "2", "--final_recipe.epochs", "1", "--evaluation_batch", "8", "--device", "cpu"),
    *("--architectures_per_step", "2", "--search_recipe.batch", "8", "--search_recipe.length", "8"),
    *("--reference", "true"),
]


@pytest.fixture(scope="module")
def macro(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, object]]:
    folder = tmp_path_factory.mktemp("macro")
    code, out, err = done("search", *MACRO, "--run", "run", "--json", cwd=folder)
    assert code == 0, err
    return folder, json.loads(out.splitlines()[-1])


def test_a_macro_network_is_found_drawn_and_exported(macro: tuple[Path, dict[str, object]]) -> None:
    folder, result = macro
    assert (result["space"], result["trials"], result["failed_trials"]) == ("enas-macro", 8, 0)
    assert (folder / "run" / "cell.png").stat().st_size > 100
    orders = result["orders"]
    assert isinstance(orders, dict)
    assert list(orders["taus"])[:2] == ["shared_weights", "parameters"]
    assert "az_nas" in orders["taus"]
    report = (folder / "run" / "report.md").read_text()
    assert "Kendall's tau with 3 trainings from scratch" in report
    assert "layers  " in report
    code, _, err = done("export", "run", "--to", "out", "--formats", "source,pt2", cwd=folder)
    assert code == 0, err
    code, out, err = done("show", "run", "--json", cwd=folder)
    assert code == 0, err
    assert json.loads(out.splitlines()[-1])["parameters"] == result["parameters"]


def test_rank_says_how_far_the_shared_weights_can_be_trusted_and_goes_on(macro: tuple[Path, dict[str, object]]) -> None:
    folder, _ = macro
    words = ["rank", "run", "--epochs", "1", "--json"]
    code, out, err = done(*words, "--architectures", "3", cwd=folder)
    assert code == 0, err
    first = json.loads(out.splitlines()[-1])
    code, out, err = done(*words, "--architectures", "5", cwd=folder)
    assert code == 0, err
    result = json.loads(out.splitlines()[-1])
    assert result["pairs"][:3] == first["pairs"]
    assert len(result["pairs"]) == result["architectures"] == 5
    assert "rank" in result["verdict"]
    assert result["competitors"]["taus"]["shared_weights"]["tau"] == pytest.approx(result["tau"], nan_ok=True)
    assert result["competitors"]["best"] in result["competitors"]["taus"]
    stored = json.loads((folder / "run" / "ranking.json").read_text())
    assert stored["tau"] == pytest.approx(result["tau"], nan_ok=True)
    assert (folder / "run" / "ranking.png").stat().st_size > 1000
    with RunStore.reading(folder / "run") as store:
        assert store.get("candidate/rank-1-4")["validation_accuracy"] == result["pairs"][4]["validation_accuracy"]


def test_two_trainings_of_each_say_how_much_order_there_is(macro: tuple[Path, dict[str, object]]) -> None:
    folder, _ = macro
    code, out, err = done(
        "rank", "run", "--epochs", "1", "--architectures", "4", "--trainings", "2", "--json", cwd=folder
    )
    assert code == 0, err
    result = json.loads(out.splitlines()[-1])
    assert result["trainings"] == 2
    assert result["agreement"]["interval"][0] <= result["agreement"]["tau"] <= result["agreement"]["interval"][1]
    with RunStore.reading(folder / "run") as store:
        once, again = (store.get(f"candidate/rank-1{kind}-2") for kind in ("", "-again1"))
    assert once["architecture"] == again["architecture"]
    mean = (once["validation_accuracy"] + again["validation_accuracy"]) / 2
    assert result["pairs"][2]["validation_accuracy"] == pytest.approx(mean)
    assert once["validation_loss"] != again["validation_loss"]


def test_a_ranking_that_makes_no_sense_is_refused(macro: tuple[Path, dict[str, object]]) -> None:
    with opened(macro[0] / "run") as (store, plan, data):
        with pytest.raises(ConfigError, match="needs at least 3"):
            Ranking(plan, data, store, architectures=2)
        with pytest.raises(ConfigError, match="epochs is 0"):
            Ranking(plan, data, store, epochs=0)
        with pytest.raises(ConfigError, match="trainings is 0"):
            Ranking(plan, data, store, trainings=0)
        scratch = replace(plan.search, method=FromScratchMethod())
        plan = replace(plan, search=scratch, final=replace(plan.final, inherit=False))
        with pytest.raises(ConfigError, match="nothing to rank"):
            Ranking(plan, data, store)


def trials(folder: Path) -> int:
    """How many are recorded; none where there is no run yet."""
    try:
        with RunStore.reading(folder) as store:
            return sum(1 for _ in store.trials())
    except RunError:
        return 0


def test_a_recurrent_search_that_was_killed_ends_as_one_that_was_not(tmp_path: Path) -> None:
    code, out, err = done("search", *TEXT, "--run", "whole", "--json", cwd=tmp_path)
    assert code == 0, err
    whole = json.loads(out.splitlines()[-1])
    assert (whole["space"], whole["trials"], whole["failed_trials"]) == ("enas-recurrent", 8, 0)
    assert whole["reference"]["network"].startswith("LSTM")
    process = archwright_command("search", *TEXT, "--run", "cut", cwd=tmp_path)
    while process.poll() is None and trials(tmp_path / "cut") < 3:
        time.sleep(0.05)
    process.kill()
    process.communicate(timeout=60)
    code, out, err = done("resume", "cut", "--json", cwd=tmp_path)
    assert code == 0, err
    cut = json.loads(out.splitlines()[-1])
    for name in ("architecture", "test_perplexity", "validation_perplexity", "trials"):
        assert cut[name] == whole[name], name


def test_the_verdict_follows_the_interval() -> None:
    assert "cannot be distinguished from none" in verdict(0.5, -0.1)
    assert "little" in verdict(0.3, 0.1)
    assert "can be trusted" in verdict(0.6, 0.3)
    assert "can be trusted" in verdict(0.6, 0.3, (0.5, 0.2, 0.7))
    assert "do not agree" in verdict(0.6, 0.3, (0.1, -0.1, 0.3))
    assert "cannot be trusted" in verdict(float("nan"), float("nan"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--proxy", "layer"], "proxy is 'layer': 'layer' is none of parameters, multiply-adds, layers, synflow"),
        (
            ["--evaluator", "from-scratch", "--inherit", "true"],
            "inherit: the method from-scratch leaves no shared weights",
        ),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused_in_one_line(tmp_path: Path, words: list[str], said: str) -> None:
    code, _, err = done("search", "--space", "enas-macro", "--dry_run", *words, cwd=tmp_path)
    assert code == 2
    assert said in err
    assert err.count("\n") == 1
