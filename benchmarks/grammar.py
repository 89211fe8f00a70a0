"""Whether a search that composes operations beats the known networks that it starts from, and one by hand.

    python benchmarks/grammar_tasks.py --to DIR --cifar DATA/cifar10 --text DATA/ptb
    python benchmarks/grammar.py --tasks DIR [--controllers evolution guided] [--starters none] [--seeds 0 1 2]
    python benchmarks/grammar.py --table                # what has been measured so far

For each task and search seed:

1. `archwright.search` in the space grammar: a race of `--trials` networks, the starters first. They are compared after
   `--epochs` of `--final` passes, one in four trains on for `--growth` times as long, and so on; variations of a
   network inherit its weights (`--heirs`). The best starter stays unless another is certainly better in validation. The
   test part is not looked at. With `--whole` every network is trained for all `--final` passes instead, as in the
   published comparison, without inheritance; then the best `--confirmed` found and the best two starters are trained
   once more from another seed, and the two trainings' mean accuracy in validation says which is the best.
2. The best network found, delivered or not, and its own starter, the best one of the search, are trained anew alike:
   `--final` epochs, one recipe, random weights, the same seeds of weights, order and augmentation for both. So are the
   other starters, once.
3. The ResNet-9 of by_hand.py, for as many seconds of processor time as the network found took, the test included.

Seconds are of one process with one thread: processor time, which other work on the machine stretches little. A result
is a line of `--out`, written when it is there; the same command goes on with what is missing.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch

import torch

import archwright
import by_hand
from archwright.data.sources import load
from archwright.evaluators.from_scratch import FromScratch
from archwright.modalities import modality
from archwright.presets.grammar import HEIRS, WORK, affordable
from archwright.runs.folder import stored_plan
from archwright.space import Architecture
from archwright.spaces import Grammar
from archwright.store import RunStore
from value_table import Record, append, difference, read, words

NAMES = ("addnist", "multnist", "tile", "strings")
# A mirrored digit or string is not one, and a moved letter is another.
RECIPES: Mapping[str, Mapping[str, Any]] = {
    "addnist": {"flip": False},
    "multnist": {"flip": False},
    "strings": {"flip": False, "pad": 0, "augment": 0.0},
}
HAND = "resnet9-16"
BEST = 10  # found, that a record keeps
CONFIRMING = 100  # the seed of a second training; `--finals` are fewer
AVERAGE = 0.95  # of weights: trainings are a few hundred steps


def key(record: Record) -> tuple[Any, ...]:
    """What was measured: a search, or a training."""
    return tuple(record.get(name) for name in ("task", "kind", "search", "name", "seed"))


class Bench:
    """What is measured, once each; `given` are the settings of the command."""

    def __init__(self, given: Namespace) -> None:
        self.given = given
        self.done = {key(record): record for record in read(given.out)}

    def once(self, facts: Record, measure: Callable[[], Record]) -> Record:
        """Return the record with these facts; measure it and write it, if it is not there."""
        if key(facts) not in self.done:
            began = time.process_time()
            record = {**facts, **measure(), "load": round(os.getloadavg()[0], 2)}
            record.setdefault("seconds", round(time.process_time() - began, 2))
            append(self.given.out, record)
            self.done[key(record)] = record
            shown = {name: record[name] for name in ("test", "validation", "sentence", "seconds") if name in record}
            print(" ".join(map(str, facts.values())), json.dumps(shown), flush=True)
        return self.done[key(facts)]

    def search(self, task: str, controller: str, seed: int) -> Record:
        """Search, or go on with a search; return the record."""
        given = self.given
        name = f"{controller}{'' if given.starters == 'all' else f' from {given.starters}'}{given.label}"
        folder = given.runs / f"{task} {name} {seed}".replace(" ", "-").replace(",", "-")
        recipe = {"average": AVERAGE, **RECIPES.get(task, {}), "epochs": given.final}
        race = {"heirs": given.heirs, "growth": given.growth, "first_share": given.epochs / given.final}
        method: dict[str, Any] = {"evaluator": "race", **race}
        if given.whole:
            method = {"evaluator": "from-scratch", "search_recipe": recipe}

        def measure() -> Record:
            if (folder / "run.sqlite").is_file():
                run = archwright.resume(folder)
            else:
                run = archwright.search(
                    str(given.tasks / f"{task}.npz"),
                    space=self.space(task),
                    controller=controller,
                    starters=self.starters(task),
                    trials=given.trials,
                    final_recipe=recipe,
                    finalists=1,
                    seed=seed,
                    threads=1,
                    run=folder,
                    **method,
                )
            return {**_searched(folder), "delivered": run.test_accuracy}

        return self.once({"task": task, "kind": "search", "search": name, "name": None, "seed": seed}, measure)

    def confirmed(self, task: str, found: Record, facts: Record) -> tuple[Any, str | None]:
        """Return the best network found and the name of the best starter, by the mean of two trainings in validation.

        The second one is from a seed that no later training has.
        """

        def best(ranked: Sequence[Record]) -> Record:
            scores = []
            for one in ranked:
                named = {**facts, "name": Architecture.from_json(one["architecture"]).id}
                again = self.train(task, Path(found["folder"]), one["architecture"], CONFIRMING, **named)
                scores.append(one["validation"] + again["validation"])
            return ranked[max(range(len(ranked)), key=scores.__getitem__)]

        starters = [{"starter": name, **starter} for name, starter in found["starters"].items()]
        starters.sort(key=lambda one: -one["validation"])
        new = best(found["best"][: self.given.confirmed])["architecture"]
        return new, best(starters[:2])["starter"] if starters else None

    def starters(self, task: str) -> Any:
        """Return the starters, each as wide as `--multiply-adds` allows."""
        if self.given.starters == "none":
            return "none"
        known = affordable(self.space(task), self.given.multiply_adds)
        wanted = known if self.given.starters == "all" else self.given.starters.split(",")
        return {name: known[name].to_json() for name in wanted}

    def space(self, task: str) -> Grammar:
        """Return the space of sentences for the images of a task."""
        shape = load(str(self.given.tasks / f"{task}.npz")).task
        return Grammar(channels=shape.channels, height=shape.height, width=shape.width)

    def train(self, task: str, folder: Path, architecture: Any, seed: int, **facts: Any) -> Record:
        """Train a network with the recipe of the run's final training; return the record with its test."""

        def measure() -> Record:
            with RunStore.reading(folder) as store:
                plan = stored_plan(store)
            data = load(str(self.given.tasks / f"{task}.npz"))
            judge, began = modality(data), time.process_time()
            training = FromScratch(plan.final.space, data, plan.final.recipe, seed=seed, device="cpu")
            fit = training.trained(Architecture.from_json(architecture))
            test = judge.test(fit.model, plan.final.recipe, "cpu")
            seconds = time.process_time() - began
            parameters = sum(p.numel() for p in fit.model.parameters())
            figures = judge.figures(test)
            return {
                **{"test": figures["test_accuracy"], "validation": fit.score, "parameters": parameters},
                "seconds": round(seconds, 2),
            }

        return self.once({"task": task, "kind": "training", **facts, "seed": seed}, measure)

    def by_hand(self, task: str, seconds: float, seed: int, **facts: Any) -> Record:
        """Train the network by hand for so many seconds, its test among them."""

        def measure() -> Record:
            data = load(str(self.given.tasks / f"{task}.npz"))
            torch.manual_seed(seed)
            by_hand.BEGAN = time.process_time()  # this process has begun long ago
            settings = {"net": HAND, "batch": 128, "lr": 0.2, "processor": True, "onnx": None}
            settings["seconds"] = seconds + by_hand.RESERVE
            changes = RECIPES.get(task, {})
            shown = {"flip": changes.get("flip", True), "shift": changes.get("pad", 1) > 0}
            found = by_hand.train_images(data, Namespace(**settings, **shown))
            return {"test": found["test_accuracy"], "parameters": found["parameters"], "epochs": found["epochs"]}

        return self.once({"task": task, "kind": "training", **facts, "name": HAND, "seed": seed}, measure)

    def measure(self, task: str, controller: str, seed: int) -> None:
        """Measure everything of one search."""
        found = self.search(task, controller, seed)
        folder, facts = Path(found["folder"]), {"search": f"{found['search']} {seed}"}
        new, own = self.confirmed(task, found, facts) if self.given.whole else (found["found"], found["starter"])
        for number in range(self.given.finals):
            ours = self.train(task, folder, new, number, **facts, name="found")
            if own is not None:
                starter = found["starters"][own]["architecture"]
                self.train(task, folder, starter, number, **facts, name="starter", network=own)
            self.by_hand(task, ours["seconds"], number, **facts)
        for name, starter in found["starters"].items():
            if name != own:
                self.train(task, folder, starter["architecture"], 0, search="alone", name=name)


def _searched(folder: Path) -> Record:
    """Return what a finished search found, and how each of its starters was at the first look in validation."""
    with RunStore.reading(folder) as store:
        plan, trials = stored_plan(store), [t for t in store.trials() if t.result.error is None]
        ranked = [Architecture.from_json(data) for data, _ in store.get("ranked")]
        heirs = store.facts("heir/")
    rewards = {trial.architecture: trial.reward for trial in reversed(trials)}
    names = {one.id: name for name, one in plan.search.method.known(plan.search).items()}
    composed = [one for one in ranked if one.id not in names] or ranked[:1]
    found = composed[0]
    starters = {
        names[trial.architecture.id]: {"validation": trial.reward, "architecture": trial.architecture.to_json()}
        for trial in reversed(trials)
        if trial.architecture.id in names
    }
    space: Any = plan.search.space
    return {
        "folder": str(folder),
        "trials": len(trials),
        "heirs": len(heirs),
        "at": next(trial.number for trial in trials if trial.architecture == found),
        "found": found.to_json(),
        "sentence": str(space.sentence(found)),
        "validation": rewards[found],
        "best": [{"architecture": one.to_json(), "validation": rewards[one]} for one in composed[:BEST]],
        "starter": next((names[one.id] for one in ranked if one.id in names), None),
        "delivered starter": ranked[0].id in names,
        "starters": starters,
    }


COLUMNS = ("task", "search", "found", "own starter", "found - starter", HAND, f"found - {HAND}", "other starters")


def table(out: Path) -> list[list[str]]:
    """Return a row for each search: means over the seeds of training, and paired differences, in per cent of test."""
    latest = {key(record): record for record in read(out)}.values()
    rows = []
    for found in (record for record in latest if record["kind"] == "search"):
        name = f"{found['search']} {found['seed']}"
        own = [record for record in latest if record["task"] == found["task"] and record["kind"] == "training"]
        scores: dict[str, dict[int, float]] = {"found": {}, "starter": {}, HAND: {}}
        for record in own:
            if record["search"] == name and record["name"] in scores:
                scores[record["name"]][record["seed"]] = 100 * record["test"]
        alone = [f"{record['name']} {100 * record['test']:.1f}" for record in own if record["search"] == "alone"]
        means = {who: f"{sum(by.values()) / len(by):.2f}" if by else "" for who, by in scores.items()}
        gaps = [words(difference(scores["found"], scores[who], "accuracy"), "accuracy") for who in ("starter", HAND)]
        own_name = next((one["network"] for one in own if one["search"] == name and "network" in one), found["starter"])
        starter = f"{means['starter']} ({own_name})" if own_name else ""
        rows.append([found["task"], name, means["found"], starter, gaps[0], means[HAND], gaps[1], ", ".join(alone)])
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=Path, help="the folder that grammar_tasks.py wrote")
    parser.add_argument("--only", nargs="+", default=NAMES, help="these tasks")
    parser.add_argument("--controllers", nargs="+", default=["evolution"])
    parser.add_argument("--starters", default="all", help="as archwright search takes them")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="of searches")
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--multiply-adds", type=int, default=WORK, help="of a starter, at most; twice that of others")
    parser.add_argument("--epochs", type=float, default=4.0, help="before the first comparison of a race")
    parser.add_argument("--growth", type=float, default=2.0, help="as RaceMethod has it")
    parser.add_argument("--heirs", type=float, default=HEIRS, help="as RaceMethod has it; 0: nothing is inherited")
    parser.add_argument("--label", default="", help="what to call searches with other settings, in --out")
    parser.add_argument("--whole", action="store_true", help="train every network wholly: no race")
    parser.add_argument("--confirmed", type=int, default=5, help="networks trained a second time, with --whole")
    parser.add_argument("--final", type=float, default=20.0, help="epochs of the trainings that are compared")
    parser.add_argument("--finals", type=int, default=3, help="seeds of each such training")
    parser.add_argument("--runs", type=Path, default=Path("grammar-runs"), help="the folder of the searches' runs")
    parser.add_argument("--out", type=Path, default=Path("grammar.jsonl"), help="the file of results")
    parser.add_argument("--table", action="store_true", help="print what the file has; run nothing")
    given = parser.parse_args(arguments)
    if not given.table and given.tasks is None:
        parser.error("give --tasks, or --table")
    if not given.table:
        torch.set_num_threads(1)
        bench = Bench(given)
        for seed in given.seeds:
            for controller in given.controllers:
                for task in given.only:
                    if (given.tasks / f"{task}.npz").is_file():
                        bench.measure(task, controller, seed)
    lines = [COLUMNS, ["---"] * len(COLUMNS), *table(given.out)]
    print("\n".join(f"| {' | '.join(line)} |" for line in lines))


if __name__ == "__main__":
    main()
