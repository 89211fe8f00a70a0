"""A gradient search by the real command: a whole run, a kill, Ctrl-C and resumes to the same bits, and its plans."""

from __future__ import annotations

import json
import signal
import sys
import time
from pathlib import Path

import pytest
import torch
from test_search_command import progress, told, weights

import archwright
from archwright.cli.flags import search_flags
from archwright.errors import ConfigError
from archwright.runs.planner import make_plan
from archwright.space import Architecture
from archwright.spaces import NasBench201
from archwright.states import pack
from archwright.store import RunStore
from command import archwright_command, done
from small_images import noise_data

TRIALS = 24
SMALL = [
    *("--space", "nas-bench-201", "--space.filters", "4", "--space.repeats", "1", "--trials", str(TRIALS)),
    *("--search-recipe.batch", "16", "--final-recipe.batch", "64", "--final-recipe.epochs", "1", "--device", "cpu"),
    *("--seed", "3", "--order", "2", "--weights-first", "0.1", "--controller.beta-decay", "5", "--threads", "1"),
    *("--limit", "128"),
]
DATA = noise_data(256)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    code, out, err = done("search", *SMALL, "--run", str(folder), "--json", cwd=folder.parent)
    assert code == 0, err
    assert "architecture found: " in err
    return folder, json.loads(out.splitlines()[-1]), err


def test_a_run_finds_trains_and_tests_an_architecture(whole):
    folder, result, err = whole
    assert f"search: {TRIALS} steps of the architecture (second order) and of the weights, in turn, after 3 of" in err
    assert "controller gradient" in err
    assert result["trials"] == TRIALS
    assert result["test_interval"][0] <= result["test_accuracy"] <= result["test_interval"][1]
    architecture = Architecture.from_json(json.loads((folder / "architecture.json").read_text()))
    with RunStore.reading(folder) as store:
        trials = list(store.trials())
        assert trials[-1].figures.keys() >= {"entropy", "skips", "loss", "accuracy", "learning_rate"}
        saved = store.load()
        assert saved.controller is not None
        strongest = {name: alpha.tolist() for name, alpha in saved.controller["alphas"].items()}
        assert saved.controller["step"] == TRIALS
    assert NasBench201().discrete(strongest) == architecture


def states(folder: Path) -> tuple[bytes, bytes]:
    with RunStore.reading(folder) as store:
        saved = store.load()
        assert saved.controller is not None
        assert saved.evaluator is not None
        return pack(saved.controller), pack(saved.evaluator)


def test_a_run_that_is_killed_and_stopped_ends_with_the_same_bits(whole, tmp_path):
    folder = tmp_path / "run"
    process = archwright_command("search", *SMALL, "--run", "run", cwd=tmp_path)
    for least, sent, code in ((2, signal.SIGKILL, -signal.SIGKILL), (8, signal.SIGINT, 130)):
        while process.poll() is None and progress(folder)[0] < least:
            time.sleep(0.02)
        process.send_signal(sent)
        out, err = process.communicate()
        assert process.returncode == code, err
        assert "Traceback" not in out + err
        process = archwright_command("resume", "run", "--json", cwd=tmp_path)
    _, err = process.communicate()
    assert process.returncode == 0, err
    assert told(folder) == told(whole[0])
    assert states(folder) == states(whole[0])
    assert weights(folder) == weights(whole[0])


def test_a_users_process_keeps_its_denormal_numbers(whole):
    torch.set_flush_denormal(False)
    archwright.resume(whole[0])
    assert sys.float_info.min / 2 > 0


def plan(*words: str):
    flags = search_flags(words)
    minutes, common = flags.minutes, {"data_name": "noise", "data_options": {}, "device": "cpu", "threads": 1}
    return make_plan(DATA, flags.user, minutes=minutes, timed=minutes is not None, **common)


def test_a_timed_plan_fills_its_search_with_trials_and_their_schedule():
    made = plan("--space", "nas-bench-201", "--minutes", "1")
    search = made.search
    assert (search.method.name, search.controller, made.final.finalists) == ("gradient", "gradient", 1)
    rates = made.budget.rates
    assert made.budget.estimate["search"] == pytest.approx(search.trials * (rates["step"] + rates["trial"]), rel=0.01)
    half = len(DATA.train) / 2
    assert search.recipe.epochs == pytest.approx(search.trials * search.recipe.batch / half, rel=0.01)


def test_epochs_of_the_user_set_the_trials():
    one, two = (
        plan("--space", "nas-bench-201", "--search_recipe.epochs", epochs).search.trials for epochs in ("5", "10")
    )
    assert two == 2 * one


def test_what_does_not_fit_a_gradient_search_is_said():
    for words, part in (
        (("--space", "stages", "--evaluator", "gradient"), "stages as configured has no mixture of operations"),
        (("--space", "nas-bench-201", "--finalists", "2"), "finds one architecture"),
        (("--space", "nas-bench-201", "--controller", "evolution"), "needs the controller gradient, not evolution"),
        (("--space", "stages", "--controller", "gradient"), "learns from gradients; use --evaluator gradient"),
    ):
        with pytest.raises(ConfigError, match=part):
            plan(*words)
