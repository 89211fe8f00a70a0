"""What archwright delivers against what a person would write by hand, in the same minutes on the same machine.

    python benchmarks/value.py --data DIR --minutes 5 10 20 [--limit N] [--busy] [--out FILE]
    python benchmarks/value.py --all DIR              # every data set and time of docs/value.md; most of a day
    python benchmarks/value.py --table [--out FILE]   # only print what has been measured

Each contestant runs in a process of its own, in turn and never two at once, seed by seed. Time is counted from the
start of a process to its end, everything included. A result is written when it is there, and the same command goes on
with what is missing. Contestants are `archwright` and the networks of by_hand.py, with any flags of theirs:
`--contestants "archwright,archwright --space enas-micro,resnet9-16 --lr 0.4"`. `--all` expects DIR/cifar10 (parquet),
DIR/tiny20/tiny20.tar and DIR/ptb.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from archwright.data.text import is_text
from archwright.report.table import show_table
from value_run import IMAGES, TEXT, Case, Machine, Run, commit
from value_table import COLUMNS, PRODUCT, QUIET, Record, append, cells, groups, growth, is_product, key, read, warnings


def every_case(folder: Path) -> list[Case]:
    """The data sets and times of docs/value.md."""
    cifar10, tiny20, ptb = (str(folder / name) for name in ("cifar10", "tiny20/tiny20.tar", "ptb"))
    return [
        *(Case(cifar10, minutes) for minutes in (5, 10, 20)),
        *(Case(tiny20, minutes) for minutes in (5, 10)),
        Case("digits", 3, (*IMAGES, "svm")),
        Case(cifar10, 3, limit=1000),
        *(Case(ptb, minutes, TEXT) for minutes in (10, 30)),
        Case(cifar10, 60, (PRODUCT,)),
    ]


def runs(cases: Sequence[Case], seeds: int, *, busy: bool = False) -> list[Run]:
    """Seed by seed, so that a benchmark which is stopped early has pairs; with `busy`, archwright on a busy machine."""
    return [
        Run(case, contestant, seed, busy and is_product(contestant))
        for seed in range(seeds)
        for case in cases
        for contestant in case.contestants
    ]


def missing(wanted: Sequence[Run], out: Path) -> list[Run]:
    """The runs that the file has no score of; failed ones are repeated."""
    done = {key(record) for record in read(out) if "score" in record}
    return [run for run in wanted if key(run.facts) not in done]


def measure(wanted: Sequence[Run], out: Path, start: Callable[[Run], Record]) -> Iterator[tuple[Run, Record]]:
    """Run what is missing, one after another, and write each record at once."""
    for run in missing(wanted, out):
        record = {**run.facts, **start(run)}
        append(out, record)
        yield run, record


def show(out: Path, *, markdown: bool) -> None:
    """Print a table for each data set and time, and what must be known of them."""
    records = read(out)
    for (data, minutes), metric, own in groups(records):
        table = [cells(row, metric) for row in own]
        title = f"{data}, {minutes:g} minutes, test {metric}" + (", %" if metric == "accuracy" else "")
        if markdown:
            lines = [COLUMNS, ["---"] * len(COLUMNS), *table]
            print("\n".join(["", title, "", *(f"| {' | '.join(line)} |" for line in lines)]))
        else:
            print()
            show_table(COLUMNS, table, title=title)
    print("\n" + "\n".join([*growth(records), *warnings(records)] or [f"{out} has no results"]))


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="as archwright search takes it, or a tar archive of such a folder")
    parser.add_argument("--all", type=Path, metavar="DIR", help="every data set and time of docs/value.md")
    parser.add_argument("--minutes", type=float, nargs="+", help="of --data; 5 unless given")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--contestants", help="separated by commas; with --all, those of its contestants alone")
    parser.add_argument("--limit", type=int, help="cut the data to so many training images first")
    parser.add_argument("--busy", action="store_true", help="another process keeps one core while archwright runs")
    parser.add_argument("--out", type=Path, default=Path("value.jsonl"), help="the file of results")
    parser.add_argument("--table", action="store_true", help="print what the file has; run nothing")
    parser.add_argument("--markdown", action="store_true", help="tables for documents")
    parser.add_argument("--dry-run", action="store_true", help="list what would be run")
    given = parser.parse_args(arguments)
    if not given.table and (given.data is None) == (given.all is None):
        parser.error("give --data or --all, or --table")
    if given.all and (given.limit or given.minutes):
        parser.error("--all has its own --minutes and --limit")
    if given.limit and given.data and is_text(given.data):
        parser.error("--limit is for images")
    return given


def main(arguments: Sequence[str] | None = None) -> None:
    given = parsed(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the contestant is ended too
    if given.table:
        show(given.out, markdown=given.markdown)
        return
    usual = TEXT if given.data and is_text(given.data) else IMAGES
    usual += ("svm",) * (given.data == "digits")
    named = tuple(name.strip() for name in given.contestants.split(",")) if given.contestants else None
    cases = [Case(given.data, minutes, named or usual, given.limit) for minutes in given.minutes or (5.0,)]
    wanted = runs(every_case(given.all) if given.all else cases, given.seeds, busy=given.busy)
    if given.all and named:
        wanted = [run for run in wanted if run.contestant in named]
    left = missing(wanted, given.out)
    hours = sum(run.case.minutes for run in left) / 60
    print(f"{len(left)} of {len(wanted)} runs to do, {hours:.1f} hours at most if all keep their time", flush=True)
    if threads := os.environ.get("OMP_NUM_THREADS"):
        print(f"OMP_NUM_THREADS={threads} holds for all contestants", flush=True)
    if given.dry_run:
        for run in left:
            print(" ".join(map(str, run.facts.values())))
        return
    with tempfile.TemporaryDirectory(prefix="value-") as folder:
        for number, (_, record) in enumerate(measure(wanted, given.out, Machine(Path(folder), commit())), 1):
            result = f"{record['metric']} {record['score']:.4g}" if "score" in record else record["error"]
            words = f"{record['data']}, {record['minutes']:g} min, {record['contestant']}, seed {record['seed']}"
            beside = (record.get("others") or 0.0) - record["busy"]
            busy = f"; other processes used {beside:.1f} cores" if beside > QUIET else ""
            load_ = f"load before {record['load']:.1f}"
            print(f"[{number}/{len(left)}] {words}: {result}, {record['seconds']:.0f} s, {load_}{busy}", flush=True)
    show(given.out, markdown=given.markdown)


if __name__ == "__main__":
    main()
