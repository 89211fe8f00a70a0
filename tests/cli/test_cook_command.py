"""`archwright cook` as a user meets it."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import time
from pathlib import Path

import pytest

import archwright
from archwright.__main__ import main
from archwright.cli.cooking.job import Cooking
from archwright.loop import Trial
from archwright.modalities.recipes.data import load_recipes
from archwright.store import RunStore
from command import archwright_command

SMALL = ("--trials", "300", "--imitate", "20")


def test_dishes_have_what_is_wanted_and_nothing_that_is_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    wishes = ("--with", "土豆,beef", "--without", "peanut", "--within", "energy_kcal=700", "--count", "3")
    assert main(["cook", *SMALL, *wishes, "--run", str(run), "--json"]) == 0
    out = capsys.readouterr().out
    result = json.loads(out)  # one line, and nothing else
    assert json.loads((run / "result.json").read_text()) == result
    assert len(result["dishes"]) == 3
    for dish in result["dishes"]:
        assert {"potato", "beef"} <= set(dish["ingredients"])
        assert "peanut" not in dish["ingredients"]
        assert len(dish["methods"]) == 1
        assert dish["metrics"]["energy_kcal"] <= 700
        assert dish["nearest"]
        assert dish["reward"] == pytest.approx(dish["metrics"]["plausible"] * dish["metrics"]["novel"] ** 0.5)
    rewards = [dish["reward"] for dish in result["front"]]
    assert all(reward <= result["dishes"][0]["reward"] for reward in rewards)
    assert {"front.png", "front.svg", "report.md"} <= {path.name for path in run.iterdir()}
    page = (run / "report.html").read_text(encoding="utf-8")
    assert " + ".join(result["dishes"][0]["ingredients"]) in page
    assert "plausible against novel: distance from the nearest known dish" in page
    # The same command shows the same again, in another language too, and searches nothing.
    assert main(["cook", "--run", str(run), "--language", "zh"]) == 0
    assert "土豆 + 牛肉" in capsys.readouterr().out
    assert main(["cook", "--run", str(run), "--seed", "5"]) == 2
    assert "was begun with seed 0, not 5" in capsys.readouterr().err
    assert main(["resume", str(run)]) == 2
    assert f"archwright cook --run {run}" in capsys.readouterr().err


def test_several_objectives_show_dishes_of_their_front(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    known = load_recipes()
    rows = [
        {
            "ingredients": [known.ingredients[i] for i in one.ingredients],
            "rating": 5 if known.ingredients.index("onion") in one.ingredients else 2 + place % 2,
        }
        for place, one in enumerate(known.recipes)
    ]
    (tmp_path / "rated.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked = ("--data", str(tmp_path / "rated.jsonl"), "--run", str(tmp_path / "run"), *SMALL)
    assert main(["cook", *asked, "--pareto", "plausible,rating", "--count", "4", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    found = [(dish["metrics"]["plausible"], dish["metrics"]["rating"]) for dish in result["front"]]
    assert found == sorted(found, reverse=True)
    assert [rating for _, rating in found] == sorted(rating for _, rating in found)  # none is beaten in both
    for dish in result["dishes"]:
        plausible, rating = dish["figures"]["plausible"], dish["figures"]["rating"]
        assert (plausible, rating) in found
        assert dish["reward"] == pytest.approx(plausible * rating)
    assert "onion" in result["dishes"][-1]["ingredients"]  # the highest rating is shown
    assert any("of the variance of ratings held back" in note for note in result["data_notes"])


def test_a_controller_that_takes_long_for_a_trial_has_fewer(tmp_path: Path) -> None:
    for controller, trials in (("guided", 200), ("reinforce", 4000)):
        with Cooking(tmp_path / controller, {"controller": controller}).store as store:
            assert store.get("cook")["trials"] == trials


def test_an_objective_that_is_negative_is_not_multiplied(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ("--pareto", "novel,log_likelihood", "--run", str(tmp_path / "run"), "--trials", "50", "--imitate", "0")
    assert main(["cook", *asked]) == 2
    assert "--pareto log_likelihood: it is -" in capsys.readouterr().err


def trials(folder: Path) -> list[tuple[int, str, float]]:
    with RunStore.reading(folder) as store:
        return [(trial.number, trial.architecture.id, trial.reward) for trial in store.trials()]


def test_a_killed_search_goes_on_to_the_same_end(tmp_path: Path) -> None:
    process = archwright_command("cook", *SMALL, "--run", "killed", cwd=tmp_path)
    database = tmp_path / "killed" / "run.sqlite"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        time.sleep(0.01)
        try:
            with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
                if connection.execute("SELECT COUNT(place) FROM trials").fetchone()[0] >= 50:
                    break
        except sqlite3.OperationalError:
            continue
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    seen: list[object] = []
    resumed = archwright.cook(run=tmp_path / "killed", watch=seen.append)
    whole = archwright.cook(trials=300, imitate=20, run=tmp_path / "whole")
    assert trials(tmp_path / "killed") == trials(tmp_path / "whole")
    assert 0 < sum(isinstance(event, Trial) for event in seen) < 300
    assert resumed.dishes == whole.dishes


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--with", "potatto"), "near it: potato"),
        (("--with", "peanut", "--without", "peanut"), "contradicts"),
        (("--data", "none.jsonl"), "there is no such file"),
        (("--data", "none.txt"), "recipes are a .jsonl or .csv file"),
        (("--cuisine", "martian"), "the recipes have chinese"),
        (("--ingredients", "many"), "expected a number, or a range"),
        (("--within", "energy"), "expected METRIC=VALUE"),
        (("--within", "harmony=3"), "'harmony' is not a metric of these dishes"),
        (("--objective", "plausible * taste"), "'taste' is not a metric of these dishes"),
        (("--objective", "plausible; 3"), "is no expression"),
        (("--objective", "plausible * rating"), "'rating' is not a metric of these dishes"),
        (("--pareto", "plausible"), "--pareto plausible: name two objectives"),
        (("--pareto", "novel,novel"), "name two objectives, such as plausible,novel, each once"),
        (("--pareto", "plausible,taste"), "'taste' is not a metric of these dishes"),
        (("--pareto", "plausible,novel", "--objective", "novel"), "--objective and --pareto are two ways"),
        (("--controller", "chef"), "'chef' is not a controller"),
        (("--count", "0"), "count is 0; it must be at least 1"),
    ],
)
def test_what_cannot_be_is_one_line(
    words: tuple[str, ...], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["cook", *words, "--run", str(tmp_path / "run")]) == 2
    err = capsys.readouterr().err
    assert says in err
    assert err.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_other_commands_say_who_searches_recipes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "--data", "dishes", "--minutes", "1"]) == 2
    assert "recipes are for archwright cook" in capsys.readouterr().err
    assert main(["check", "dishes"]) == 0
    assert "190 recipes" in capsys.readouterr().out
