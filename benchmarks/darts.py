"""Gradient searches beside ENAS and random search: equal processor time, then the same training from scratch.

    python benchmarks/darts.py --data DIR [--images 8000] [--seeds 0 1 2 3] [--out FILE] [--runs FOLDER]
    python benchmarks/darts.py --out FILE --table        the table of what is measured so far
    python benchmarks/darts.py --data DIR --rates        seconds of what each search repeats

The space is nas-bench-201, whose mixture costs a tenth of DARTS's, with the small preset: 16 filters, one cell a stage.
Budgets are counted in trials and epochs, from `--rates`, such that all searches take the same time on a quiet machine;
other work changes how long they take and not what they find. One thread, one seed after the other; other processes may
have other seeds and the same FILE. A run that was ended goes on when the command is given again.

- first, second order: DARTS (Liu et al. 2019).
- beta-decay: the first order, with 50 times the mean logsumexp of the alphas (Ye et al. 2022).
- partial channels: a quarter of them, the weights alone in the first 0.3 (PC-DARTS: Xu et al. 2020).
- ENAS: shared weights and a policy (Pham et al. 2018); the best of 30 samples.
- random: the best in validation of five that are trained for one epoch.

A gradient search goes as far as a published one (`--controller.travel`). Accuracies are of the whole test part; the
interval is Student's, of the mean over seeds.
"""

from __future__ import annotations

import argparse
import itertools
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

import archwright
from archwright.controllers.gradient import Gradient, skips
from archwright.evaluators.bilevel import Bilevel
from archwright.evaluators.shared_weights import SharedWeights
from archwright.loop import Proposal
from archwright.modalities import modality
from archwright.modalities import read as read_data
from archwright.presets import preset
from archwright.report.statistics import mean_interval
from archwright.runs.events import Stage
from archwright.space import sample
from archwright.spaces import NasBench201
from archwright.training.child import child_network
from archwright.training.fit import Fit
from archwright.training.measure import tune_process
from value_table import append, read

PLAIN: Mapping[str, Any] = {"travel": 5.9, "beta_decay": 0.0}
EPOCHS = 5.0  # of final training
# Settings of `archwright.search` with which a search takes about 30 s of a quiet core.
SEARCHES: Mapping[str, Mapping[str, Any]] = {
    "DARTS, first order": {"trials": 125, "controller_settings": PLAIN},
    "DARTS, second order": {"trials": 45, "order": 2, "controller_settings": PLAIN},
    "beta-decay": {"trials": 125, "controller_settings": {**PLAIN, "beta_decay": 50.0}},
    "partial channels": {"trials": 140, "weights_first": 0.3, "partial": 4, "controller_settings": PLAIN},
    "ENAS": {
        **{"evaluator": "shared-weights", "controller": "reinforce", "controller_settings": {"learning_rate": 3.5e-3}},
        **{"warmup": 4, "trials": 240, "trials_per_epoch": 20, "steps_per_epoch": 20, "evaluation_batch": 256},
        **{"samples": 30, "rank_minibatches": 2, "search_recipe": {"epochs": 16.0}},
    },
    "random": {"evaluator": "from-scratch", "controller": "random", "trials": 5, "search_recipe": {"epochs": 1.0}},
}
FILTERS, CHILDREN, TIMED = 16, 12, 5
SMALL: Mapping[str, Any] = {"filters": FILTERS, "repeats": 1, "stem_stride": 2}


class Phases:
    """Seconds of the processor by the stage of a run."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._name, self._since = "planning", time.process_time()

    def __call__(self, event: object) -> None:
        now = time.process_time()
        self.seconds[self._name] = self.seconds.get(self._name, 0.0) + now - self._since
        self._since = now
        if isinstance(event, Stage):
            self._name = event.name


def run(name: str, seed: int, given: argparse.Namespace) -> dict[str, Any]:
    """Search and train, or go on with what is in the folder of the run; return what is recorded of it."""
    settings, phases = dict(SEARCHES[name]), Phases()
    folder = Path(given.runs) / f"{name.replace(', ', '-').replace(' ', '-')}-{seed}"
    if begun := (folder / "run.sqlite").exists():
        found = archwright.resume(folder, watch=phases)
    else:
        space = NasBench201(**SMALL, partial=settings.pop("partial", 1))
        recipe = {"epochs": EPOCHS, "validation_limit": 512}
        common: dict[str, Any] = {"known": 0.0, "shortlist": 1, "seed": seed, "device": "cpu", "threads": 1}
        data = {"limit": given.images, "validation": 0.04}
        found = archwright.search(
            given.data,
            space=space,
            final_recipe=recipe,
            data_options=data,
            run=folder,
            watch=phases,
            **settings,
            **common,
        )
    seconds = {phase: round(spent, 1) for phase, spent in phases.seconds.items()}
    return {
        "search": name,
        "seed": seed,
        "accuracy": found.test_accuracy,
        "cell": NasBench201().to_arch(found.architecture),
        "skips": skips(NasBench201(), found.architecture),
        "parameters": found.result["parameters"],
        "seconds": None if begun else seconds,  # of the last process alone
    }


def rates(given: argparse.Namespace) -> None:
    """Print the seconds of the processor of what each search repeats."""
    torch.set_num_threads(1)
    tune_process()
    found: Any = modality(read_data(given.data, seed=0, limit=given.images, validation=0.04))
    usual = preset("small", NasBench201, found)

    def seconds(step: Any, count: int = TIMED) -> float:
        step()
        begun = time.process_time()
        for _ in range(count):
            step()
        return (time.process_time() - begun) / count

    for label, partial, order in (("order 1", 1, 1), ("order 2", 1, 2), ("partial 4", 4, 1)):
        space = NasBench201(**SMALL, partial=partial)
        controller = Gradient(space)
        mixed = Bilevel(space, found, usual.search_recipe, steps=10**6, order=order, device="cpu")  # type: ignore[arg-type]
        weights = mixed.prepare(lambda n, controller=controller: controller.ask(range(n)), 10**6)
        own = seconds(lambda weights=weights: next(weights))
        trial = seconds(lambda mixed=mixed, controller=controller: mixed.evaluate(controller.ask([0])[0]))
        print(f"{label}: weights {own:.3f}, architecture {trial:.3f}", flush=True)
    space = NasBench201(**SMALL)
    cells = [sample(space, seed) for seed in range(CHILDREN)]
    shared = SharedWeights(space, found, usual.search_recipe, steps_per_epoch=10**6, evaluation_batch=256, device="cpu")
    feed = itertools.cycle(cells)
    training = shared.prepare(lambda n: [Proposal(0, next(feed)) for _ in range(n)], 0)
    steps, trials = seconds(lambda: next(training), CHILDREN), []
    for cell in cells:
        trials.append(seconds(lambda cell=cell: shared.evaluate(Proposal(0, cell)), 1))
    print(f"shared weights: step {steps:.3f}, trial {sum(trials) / CHILDREN:.3f}", flush=True)
    final, each = space.final(**usual.final_space), []
    for cell in cells:
        recipe = replace(usual.final_recipe, epochs=1.0)
        fit = iter(Fit(child_network(final, cell, found.data.task, 0), found, recipe, seed=0, device="cpu"))
        each.append(seconds(lambda fit=fit: next(fit)))
    print(f"from scratch: step {sum(each) / CHILDREN:.3f}, {min(each):.3f} to {max(each):.3f}")


def table(records: Sequence[Mapping[str, Any]]) -> str:
    """Return a row for each search, in Markdown."""
    rows = ["| search | seconds | test accuracy | by seed | skips | parameters |", "|---|---|---|---|---|---|"]
    for name in SEARCHES:
        own = [record for record in records if record["search"] == name]
        if not own:
            continue
        mean, low, high = mean_interval([100 * record["accuracy"] for record in own])
        spent = [
            sum(record["seconds"].get(p, 0.0) for p in ("search", "derive")) for record in own if record["seconds"]
        ]
        took = f"{sum(spent) / len(spent):.0f}" if spent else ""
        each = ", ".join(f"{100 * record['accuracy']:.1f}" for record in own)
        skipped = sum(record["skips"] for record in own) / len(own)
        size = sum(record["parameters"] for record in own) / len(own)
        rows.append(
            f"| {name} | {took} | {mean:.1f} ({low:.1f} to {high:.1f}) | {each} | {skipped:.0%} | {size:,.0f} |"
        )
    return "\n".join(rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="as in archwright search")
    parser.add_argument("--images", type=int, default=8000, help="of the training part")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3])
    parser.add_argument("--out", type=Path, default=Path("darts.jsonl"), help="what is measured, a line a run")
    parser.add_argument("--runs", default="runs/darts", help="for the run folders")
    parser.add_argument("--table", action="store_true", help="measure nothing")
    parser.add_argument("--rates", action="store_true", help="print what a step costs")
    given = parser.parse_args(arguments)
    if given.rates:
        rates(given)
        return
    if not given.table:
        done = {(record["search"], record["seed"]) for record in read(given.out)}
        for seed in given.seeds:
            for name in SEARCHES:
                if (name, seed) not in done:
                    append(given.out, record := run(name, seed, given))
                    print(record, flush=True)
    print(table(read(given.out)))


if __name__ == "__main__":
    main()
