"""Kills archwright at random moments, goes on with what is left, and compares the end with that of an undisturbed run.

    OMP_NUM_THREADS=1 python benchmarks/kills.py --kills 120 [--jobs "race,rank"] [--seed 0] [--out kills.jsonl]
    python benchmarks/kills.py --case "race:7" --work DIR --keep      # one case again, as a printed difference says
    python benchmarks/kills.py --table                                # only print what has been measured

Each job (kills_jobs.py) runs once undisturbed. A case starts the same command in an empty folder, ends its whole
process group by SIGKILL, and goes on as a user would: `archwright resume`, or the same command where that is what goes
on or where the run had not begun. The next process may be killed as well, up to six times. In even cases the moments
are random in time, over the whole duration of the job; in odd ones among the writes to its folder, so that the moments
between two of them are met too. Checkpoints come every minute in one half of the cases, every half second in the
other. Then everything that the job leaves is compared with what the undisturbed run left, bit for bit but for times:
facts, trials, states, weights, pictures, result and report; no process, no temporary file and nothing else may be left.
Case 0 of a job kills nothing: it must find no difference. A seed fixes the moments; where exactly they fall depends on
the machine.
"""

from __future__ import annotations

import argparse
import collections
import json
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from archwright.report.table import show_table
from kills_case import Case, Reference
from kills_jobs import BY_NAME, RUN, Job
from value_run import commit
from value_table import Record, append, read


class Bench:
    """Runs cases in the folder `work`, where the undisturbed runs stay."""

    def __init__(self, work: Path, seed: int, *, keep: bool = False) -> None:
        self.work, self.seed, self.keep = work, seed, keep
        self._references: dict[str, Reference] = {}

    def reference(self, job: Job) -> Reference:
        """Return the undisturbed run of a job; it is made once."""
        if job.name not in self._references:
            place = self._place(job) / "reference"
            with closing(Case(job, 0, self.seed, place, self._finished(job))) as case:
                took = self._references[job.name] = case.undisturbed()
            print(f"{job.name}: {took.seconds:.1f} s and {took.writes} writes without a kill", flush=True)
        return self._references[job.name]

    def case(self, job: Job, number: int) -> Record:
        """Run one case; its folder stays where something is different."""
        reference = self.reference(job)
        place = self._place(job) / f"case-{number}"
        with closing(Case(job, number, self.seed, place, self._finished(job))) as case:
            result = case.run(reference)
        if result["end"] == "equal" and not self.keep:
            shutil.rmtree(place)
        return {"job": job.name, "number": number, "seed": self.seed, "commit": commit(), **result}

    def _finished(self, job: Job) -> Path | None:
        return None if job.after is None else self.reference(BY_NAME[job.after]).folder / RUN

    def _place(self, job: Job) -> Path:
        return self.work / job.name.replace(" ", "-")


def cases(jobs: Sequence[Job]) -> Iterator[tuple[Job, int]]:
    """Yield cases without end: one of each job, then the next of each."""
    number = 0
    while True:
        yield from ((job, number) for job in jobs)
        number += 1


def show(out: Path) -> None:
    """Print how the cases ended, where the kills fell, and every difference."""
    records = read(out)
    rows, fell = [], collections.Counter(kill["phase"] for record in records for kill in record["kills"])
    for name in dict.fromkeys(record["job"] for record in records):
        own = [record for record in records if record["job"] == name]
        killed = [record for record in own if record["kills"]]
        ends = collections.Counter(record["end"] for record in killed)
        kills = [sum(len(r["kills"]) for r in own if r["moments"] == kind) for kind in ("time", "writes")]
        rows.append([name, len(killed), *kills, *(ends[end] for end in ("equal", "different", "failed"))])
    total = ["all", *(sum(column) for column in zip(*(row[1:] for row in rows), strict=True))]
    show_table(["job", "cases", "kills in time", "at writes", "equal", "different", "failed"], [*rows, total])
    print()
    show_table(["when killed", "kills"], fell.most_common())
    for record in records:
        if record["end"] != "equal":
            print(f"\n{record['job']}, {record['end']} after {len(record['kills'])} kills, commit {record['commit']}:")
            print("\n".join(f"  {line}" for line in record["differences"][:20]))
            print(f'  again: python benchmarks/kills.py --case "{record["job"]}:{record["number"]}"', end=" ")
            print(f"--seed {record['seed']} --work DIR --keep")


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=120, help="stop when the file has so many of this seed")
    parser.add_argument("--jobs", help=f"separated by commas: {', '.join(BY_NAME)}; all unless given")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("kills.jsonl"), help="the file of results")
    parser.add_argument("--work", type=Path, help="for the folders of runs; a temporary one unless given")
    parser.add_argument("--keep", action="store_true", help="keep the folders of equal cases too; needs --work")
    parser.add_argument("--case", metavar="JOB:NUMBER", help="run one case and print what is different; record nothing")
    parser.add_argument("--table", action="store_true", help="print what the file has; run nothing")
    given = parser.parse_args(arguments)
    named = [given.case.rpartition(":")[0]] if given.case else (given.jobs or ",".join(BY_NAME)).split(",")
    if unknown := [name for name in named if name not in BY_NAME]:
        parser.error(f"there is no job {unknown[0]!r}; there are {', '.join(BY_NAME)}")
    given.named = [BY_NAME[name] for name in named]
    return given


def main(arguments: Sequence[str] | None = None) -> None:
    given = parsed(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the job is ended too
    if given.table:
        show(given.out)
        return
    with tempfile.TemporaryDirectory(prefix="kills-") as temporary:
        bench = Bench((given.work or Path(temporary)).absolute(), given.seed, keep=given.keep)
        if given.case:
            print(json.dumps(bench.case(given.named[0], int(given.case.rpartition(":")[2])), indent=1))
            return
        own = [record for record in read(given.out) if record["seed"] == given.seed]
        done, kills = {(record["job"], record["number"]) for record in own}, sum(len(r["kills"]) for r in own)
        for job, number in cases(given.named):
            if kills >= given.kills:
                break
            if (job.name, number) in done:
                continue
            record = bench.case(job, number)
            append(given.out, record)
            kills += len(record["kills"])
            fell = ", ".join(f"{kill['phase']} ({kill['at']:.1f} s)" for kill in record["kills"]) or "none"
            print(f"[{kills}/{given.kills}] {job.name} {number}, killed in {fell}: {record['end']}", flush=True)
            for line in record["differences"][:10]:
                print(f"    {line}", flush=True)
    show(given.out)


if __name__ == "__main__":
    main()
