"""Figure 6 of Zoph & Le 2017, small: the best models that policy gradient finds, less those of random search.

    python benchmarks/policy_gradient.py [--task digits|topics] [--children 200] [--seeds 3] [--to FOLDER] [--dry-run]

For each seed, REINFORCE (the small preset of `archwright search`) and random search evaluate as many children, each
trained from scratch the same way. After every ten children the mean reward of each one's 1, 5 and 15 best models is
compared; reported is the difference (REINFORCE less random) with Student's interval over the seeds, as a table and as
`FOLDER/TASK.png`. It says beforehand how long it takes. Every child is recorded: Ctrl-C, and the same command goes on.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from archwright.errors import ArchwrightError, ConfigError
from archwright.loop import Trial, Trials, run
from archwright.modalities import modality
from archwright.report.statistics import mean_interval
from archwright.runs import assembly
from archwright.runs.plan import Budget, Plan
from archwright.runs.planner import UserSettings
from archwright.runs.preparation import Prepared, prepare
from archwright.runs.rates import pin_threads
from archwright.store import RunStore
from archwright.training.measure import tune_process

TASKS = {"digits": "nas-conv", "topics": "nas-recurrent"}
TOPS = (1, 5, 15)
CONTROLLERS = ("reinforce", "random")
EVERY = 10


def prepared(task: str, controller: str, seed: int, children: int) -> Prepared:
    """The plan of one search: the small preset's, but of text with one layer and less text, so that a child takes
    a second or two."""
    settings: dict[str, Any] = {"trials": children, "baseline": False, "reference": False}
    text = task == "topics"
    options = {"vocabulary": 1000, "limit": 20_000} if text else {}
    recipe = {"batch": 32} if text else {}
    fields = {"layers": 1, "units": 64, "init": 0.3, "input_dropout": 0.0} if text else {}
    user = UserSettings(
        space=TASKS[task], space_fields=fields, controller=controller, search_recipe=recipe, settings=settings
    )
    return prepare(task, user=user, seed=seed, data_options=options)


def rewards(plan: Plan, data: Any, folder: Path) -> list[float]:
    """The rewards of a search, from where it was left; each child is recorded in `folder`."""
    with RunStore(folder, create=None) as store:
        planned = json.loads(json.dumps(replace(plan, budget=Budget(), threads=0).to_json()))
        if (held := store.get("planned")) is None:
            store.put("planned", planned)
        elif differing := sorted(name for name in planned if planned[name] != held.get(name)):
            raise ConfigError(f"{folder} holds children of another {differing[0]}; name another folder with --to")
        done = list(store.trials())
        trials = plan.search.trials
        if len(done) < trials:
            controller, evaluator = assembly.controller(plan), assembly.evaluator(plan, modality(data))
            began = time.monotonic()
            first = len(done)
            for event in run(controller, evaluator, budget=Trials(trials), store=store):
                if isinstance(event, Trial):
                    done.append(event)
                    left = (time.monotonic() - began) / (len(done) - first) * (trials - len(done))
                    print(
                        f"\r{folder.name}: {len(done)}/{trials}, reward {event.reward:.4f}, {left:.0f} s left   ",
                        end="",
                        file=sys.stderr,
                        flush=True,
                    )
            print(file=sys.stderr)
        return [trial.reward for trial in sorted(done, key=lambda trial: trial.number)][:trials]


def recorded(folder: Path) -> int:
    """How many children a search has trained."""
    if not (folder / "run.sqlite").exists():
        return 0
    with RunStore.reading(folder) as store:
        return sum(1 for _ in store.trials())


def top_mean(values: Sequence[float], count: int, best: int) -> float:
    """The mean of the `best` best of the first `count`."""
    return float(np.mean(sorted(values[:count], reverse=True)[:best]))


def differences(found: dict[str, list[list[float]]], count: int, best: int) -> list[float]:
    """REINFORCE less random, seed by seed."""
    pairs = zip(found["reinforce"], found["random"], strict=True)
    return [top_mean(ours, count, best) - top_mean(theirs, count, best) for ours, theirs in pairs]


def plot(found: dict[str, list[list[float]]], counts: Sequence[int], task: str, path: Path) -> None:
    """One line for each top, with its interval."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7.2, 4), layout="constrained")
    for best, colour in zip(TOPS, ("#12639f", "#b4530a", "#4d4d4d"), strict=True):
        points = [(n, *mean_interval(differences(found, n, best))) for n in counts if n >= best]
        x, mean, low, high = np.array(points).T
        axes.plot(x, mean, color=colour, label=f"top {best}")
        if np.isfinite(low).all():
            axes.fill_between(x, low, high, color=colour, alpha=0.15, lw=0)
    axes.axhline(0, color="black", lw=0.8)
    axes.set(xlabel="children evaluated", ylabel="mean reward, REINFORCE less random")
    axes.set_title(f"{TASKS[task]} on {task}: {len(found['random'])} seeds, 95 % intervals")
    axes.legend(frameon=False)
    figure.savefig(path, dpi=150)


def main() -> None:
    """Say how long, run, print, plot."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--task", choices=sorted(TASKS), default="digits")
    parser.add_argument("--children", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--to", type=Path, default=Path("runs/policy_gradient"))
    parser.add_argument("--dry-run", action="store_true", help="stop after saying how long it takes")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    tune_process()
    searches = {
        (controller, seed): prepared(given.task, controller, seed, given.children)
        for controller in CONTROLLERS
        for seed in range(given.seeds)
    }
    folders = {key: given.to / f"{given.task}-{given.children}-{key[0]}-{key[1]}" for key in searches}
    done = {key: recorded(folder) for key, folder in folders.items()}
    each = {key: search.plan.budget.estimate["search"] / given.children for key, search in searches.items()}
    left = sum(each[key] * max(0, given.children - done[key]) for key in searches)
    print(
        f"{len(searches)} searches of {given.children} children, {sum(done.values())} children done: "
        f"about {left / 60:.0f} minutes",
        file=sys.stderr,
    )
    if given.dry_run:
        return
    given.to.mkdir(parents=True, exist_ok=True)
    found: dict[str, list[list[float]]] = {controller: [] for controller in CONTROLLERS}
    for seed in range(given.seeds):  # pairs end together, so that a run that is stopped has whole pairs
        for controller in CONTROLLERS:
            search = searches[controller, seed]
            pin_threads(search.plan)
            found[controller].append(rewards(search.plan, search.data, folders[controller, seed]))
    counts = list(range(EVERY, given.children + 1, EVERY))
    plot(found, counts, given.task, given.to / f"{given.task}.png")
    rows = {best: mean_interval(differences(found, given.children, best)) for best in TOPS}
    if given.json:
        print(json.dumps({"difference": rows, "rewards": found}))
        return
    print(f"{'mean reward of the best':<26}{'REINFORCE':>11}{'random':>9}{'difference':>12}  95 % interval")
    for best, (mean, low, high) in rows.items():
        means = [np.mean([top_mean(v, given.children, best) for v in found[c]]) for c in CONTROLLERS]
        print(f"{best:<26}{means[0]:>11.4f}{means[1]:>9.4f}{mean:>+12.4f}  {low:+.4f} to {high:+.4f}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("\nstopped; every child is recorded, and the same command goes on")
    except ArchwrightError as error:
        sys.exit(f"error: {error}")
