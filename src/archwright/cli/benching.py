"""`archwright bench`: search strategies compared."""

from __future__ import annotations

import argparse
import shlex
import time
from collections.abc import Sequence
from pathlib import Path

from archwright.cli.commands import Parser
from archwright.cli.progress import ProgressView
from archwright.errors import ConfigError
from archwright.files import target

DESCRIPTION = (
    "Compare search strategies: equal budgets, paired seeds. Either on a table of architectures that have been "
    "trained already (--table), or on real training (--data, --space, --trials). A strategy is a controller's name, "
    "tpe, nas, or file.py:Name, and may have settings: reinforce+learning_rate=0.01+batch=1."
)
TABLE_HELP = (
    "an .npz of NAS-Bench-201, trusted:PATH of an official NATS-tss folder or NAS-Bench-201 .pth file (pickles, which "
    "may run code; @cifar100 or @ImageNet16-120 after it names another data set), file.py:NAME, or signals, a scoring "
    "function of the ENAS micro space"
)
TABLE_BUDGET = "12000s"
# Flags of the other kind of comparison, and what to do instead.
OF_TABLES = {
    "budget": "give a number of children with --trials",
    "pareto": "archwright search --pareto finds a front",
    "processes": "children are trained one at a time, each on all cores",
}
OF_TRAINING = {
    "space": "the table has its own",
    "trials": "give a number of trials with --budget, as in --budget 100t",
    "epochs": "the table has its own",
    "limit": "the table has its own data",
    "dry_run": "nothing is trained",
}


def bench(arguments: Sequence[str]) -> int:
    """Run the comparison, print the table, write the plot and the results."""
    given = _parser().parse_args(arguments)
    if (given.table is None) == (given.data is None):
        raise ConfigError("name what is searched: --table FILE, or --data DATA with --space NAME and --trials N")
    _refuse(given)
    command = "archwright bench " + shlex.join(arguments)
    from archwright.lab.strategies import strategies

    found = strategies(given.strategies)
    if given.data is not None:
        from archwright.cli.training_bench import bench_training

        return bench_training(given, found, command)
    from archwright.cli.bench_results import conclude
    from archwright.lab.contest import allowance, contest, require
    from archwright.lab.record import Record, alone
    from archwright.lab.tables import SEVERAL

    out = target(given.out or Path("bench"))
    allowed = allowance(given.budget or TABLE_BUDGET)
    runs = 100 if given.runs is None else given.runs
    processes = 1 if given.processes is None else given.processes
    # Before anything is opened: a wrong word costs nothing that is there.
    name = f"{given.table}{SEVERAL}{given.pareto}" if given.pareto else given.table
    table = require(name, found, allowed, runs=runs, seed=given.seed, processes=processes)
    begun = time.monotonic()
    asked = {"table": name, "budget": allowed.total, "unit": allowed.unit, "seed": given.seed}
    labels = {strategy.label for strategy in found}
    with alone(out), ProgressView(json_output=True) as view:
        record = Record(out, asked, resume=given.resume)
        courses = [course for course in record.courses if course.strategy in labels and course.run < runs]
        done = {(course.strategy, course.run) for course in courses}
        going = contest(name, found, allowed, runs=runs, seed=given.seed, processes=processes, done=done)
        total = len(found) * runs - len(done)
        view.begin("bench")
        for number, course in enumerate(going, start=1):
            view.count(number, total, "searches")
            record.add(course)
            courses.append(course)

    about = {"table": table.name, "best": table.best, "runs": runs, "seed": given.seed, "command": command}
    about["seconds"] = time.monotonic() - begun
    less, score = table.sign(table.score) < 0, table.score.replace("_", " ")
    if table.pareto:
        score = f"volume of {score} and {', '.join(table.pareto[1:])}, % of the table's"
    conclude(courses, allowed, about, out=out, score=score, less=less, json_output=given.json)
    return 0


def _refuse(given: argparse.Namespace) -> None:
    """Reject flags that this kind of comparison ignores."""
    kind, others = ("--data", OF_TABLES) if given.table is None else ("--table", OF_TRAINING)
    for name, instead in others.items():
        if getattr(given, name) not in (None, False):
            raise ConfigError(f"--{name.replace('_', '-')} has no meaning with {kind}; {instead}")
    if (given.runs is not None and given.runs < 1) or given.seed < 0:
        raise ConfigError(f"--runs {given.runs} --seed {given.seed}: at least 1 and 0 are needed")


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="archwright bench", description=DESCRIPTION)
    parser.add_argument("--table", help=TABLE_HELP)
    default = "random,reinforce,evolution,local,guided"
    parser.add_argument("--strategies", default=default, help="separated by commas (default: %(default)s)")
    parser.add_argument("--runs", type=int, help="searches of each strategy (default: 100, with --data 3)")
    budget = f"of each search of a table: seconds of its training, or trials, as in 100t (default: {TABLE_BUDGET})"
    parser.add_argument("--budget", help=budget)
    parser.add_argument("--pareto", help="several objectives of an .npz, such as accuracy,latency_ms_pixel3")
    parser.add_argument("--seed", type=int, default=0, help="of the first run; run r has seed + r, for all strategies")
    parser.add_argument("--processes", type=int, help="searches of a table at a time (default: 1)")
    parser.add_argument("--out", type=Path, help="for results and plot (default: bench, with --data bench-training)")
    parser.add_argument("--resume", action="store_true", help="keep the searches of a table that --out holds")
    parser.add_argument("--json", action="store_true", help="the results as one JSON object on the last line")
    real = parser.add_argument_group("real training")
    real.add_argument("--data", help="as in archwright search")
    real.add_argument("--space", help="as in archwright search (default: enas-micro)")
    real.add_argument("--trials", type=int, help="children of each search (default: 40)")
    real.add_argument("--epochs", type=float, help="of each child (default: 3)")
    real.add_argument("--limit", type=int, help="train on at most this many images")
    real.add_argument("--dry_run", action="store_true", help="print the expected duration, and stop")
    return parser
