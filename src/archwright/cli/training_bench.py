"""`archwright bench --data`: search strategies compared on real training."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import fmean

from archwright.cli.bench_results import conclude
from archwright.cli.progress import ProgressView
from archwright.files import target
from archwright.lab.contest import Allowance
from archwright.lab.record import alone
from archwright.lab.strategies import Strategy
from archwright.lab.training import Searched, Setup, compare, prepare
from archwright.loop import Trial
from archwright.modalities import modality
from archwright.modalities.protocol import data_facts, data_lines
from archwright.report.words import counted


def bench_training(given: Namespace, strategies: Sequence[Strategy], command: str) -> int:
    """Print the expected duration, go on with the comparison where it was, and show the results."""
    runs = 3 if given.runs is None else given.runs
    folder = target(given.out or Path("bench-training"))
    trials = 40 if given.trials is None else given.trials
    epochs = 3.0 if given.epochs is None else given.epochs
    space, seed = given.space or "enas-micro", given.seed
    prepared = prepare(given.data, strategies, space=space, trials=trials, seed=seed, epochs=epochs, limit=given.limit)
    setup = Setup(*prepared, strategies, runs, folder, seed)
    searched: list[Searched] = []
    trials, epochs = setup.plan.search.trials, setup.plan.search.recipe.epochs
    total, ended = len(strategies) * runs * trials, 0
    with ProgressView(json_output=True) as view, ExitStack() as kept:
        for line in data_lines(modality(setup.data)):
            view.say(line)
        view.say(
            f"{counted(len(strategies), 'strategy', 'strategies')}, {counted(runs, 'run')} of "
            f"{counted(trials, 'child', 'children')} of {counted(epochs, 'epoch')}: "
            f"about {setup.seconds / 60:.0f} min from the start ({setup.seconds / 3600:.1f} h); "
            f"stopped and given again, the command goes on in {folder}"
        )
        if given.dry_run:
            return 0
        kept.enter_context(alone(folder))
        view.begin("bench")
        for event in compare(setup):
            if isinstance(event, Trial):
                ended += 1
            else:
                searched.append(event)
                found, scores = event.course, f"validation {event.course.score:.2f} %, test {event.test:.2f} %"
                view.say(f"{found.strategy}, run {found.run}: {scores}")
            earlier = max(0, len(searched) * trials - ended)  # in another process
            view.count(earlier + ended, total, "children", earlier=earlier)
    tests: dict[str, list[float]] = {strategy.label: [] for strategy in strategies}
    for one in searched:
        tests[one.course.strategy].append(one.test)
    about = {
        "table": f"{setup.plan.search.space.name} on {setup.data.name}",
        "runs": runs,
        "seed": given.seed,
        "command": command,
        "children": {"epochs": epochs, "trials": trials},
        "test": tests,
        **data_facts(modality(setup.data)),
    }
    courses, score = [one.course for one in searched], "validation accuracy, %"
    conclude(courses, Allowance(trials=trials), about, out=folder, score=score, json_output=given.json)
    for label, values in tests.items():
        view.say(f"test accuracy of the best child, {label}: {fmean(values):.2f} %")
    return 0
