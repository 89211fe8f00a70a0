"""`archwright bench --data`: search strategies compared on real training."""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from archwright.cli.benching import PLAIN_SECONDS, conclude
from archwright.loop import Trial

if TYPE_CHECKING:
    from archwright.lab.strategies import Strategy


def bench_training(given: Namespace, strategies: Sequence[Strategy], command: str) -> int:
    """Say how long it will take, go on with it where it was, and show what came out."""
    from rich.console import Console

    from archwright.lab.contest import Allowance
    from archwright.lab.training import Searched, compare, prepare

    console = Console(stderr=True, highlight=False)
    runs = 3 if given.runs is None else given.runs
    folder = given.out or Path("bench-training")
    setup = prepare(
        given.data,
        strategies,
        space=given.space or "enas-micro",
        trials=40 if given.trials is None else given.trials,
        runs=runs,
        seed=given.seed,
        epochs=3.0 if given.epochs is None else given.epochs,
        limit=given.limit,
        folder=folder,
    )
    plan = setup.plan
    console.print(
        f"{len(strategies)} strategies, {runs} runs of {plan.trials} children of {plan.search_recipe.epochs:g} epochs: "
        f"about {setup.seconds / 60:.0f} min from the start ({setup.seconds / 3600:.1f} h); stopped and given again, "
        f"the command goes on in {folder}",
        soft_wrap=True,
    )
    if given.dry_run:
        return 0
    searched: list[Searched] = []
    total, ended = len(strategies) * runs * plan.trials, 0
    begun = printed = time.monotonic()
    for event in compare(setup):
        if isinstance(event, Trial):
            ended += 1
        else:
            searched.append(event)
            course = event.course
            console.print(
                f"{course.strategy}, run {course.run}: validation {course.score:.2f} %, test {event.test:.2f} %",
                soft_wrap=True,
            )
        if time.monotonic() - printed >= PLAIN_SECONDS:
            printed = time.monotonic()
            earlier = len(searched) * plan.trials - ended if ended < len(searched) * plan.trials else 0
            left = (printed - begun) / max(1, ended) * (total - earlier - ended)
            words = f"  {earlier + ended} of {total} children, about {left / 60:.0f} min left"
            console.print(words, soft_wrap=True)
    tests = {
        strategy.label: [s.test for s in searched if s.course.strategy == strategy.label] for strategy in strategies
    }
    about = {
        "table": f"{plan.space.name} on {setup.data.name}",
        "runs": runs,
        "seed": given.seed,
        "command": command,
        "children": {"epochs": plan.search_recipe.epochs, "trials": plan.trials},
        "test": tests,
    }
    courses = [one.course for one in searched]
    allowed = Allowance(trials=plan.trials)
    conclude(courses, allowed, about, out=folder, score="validation accuracy, %", json_output=given.json)
    for label, values in tests.items():
        console.print(f"test accuracy of the best child, {label}: {sum(values) / len(values):.2f} %", soft_wrap=True)
    return 0
