"""Files for this machine against those of a network by hand: accuracy and latency on ONNX Runtime, one thread, batch 1.

    python benchmarks/hardware.py --data DIR --minutes 10 --out FILE
    python benchmarks/hardware.py --table --out FILE        # only print what has been measured

Contestants, each a process of its own, in turn, with so many minutes from its start to its end:

- `front`: `archwright search --pareto accuracy,latency_ms --target.runtime onnx`; every network of its front that is
  trained to its end takes part. Flags may follow: `--contestants "front --finalists 2,resnet9-16"`.
- `resnet9-8`, `resnet9-16` and the other networks of by_hand.py, by which a person would begin.
- `within resnet9-16`: `archwright search --within latency_ms=L --target.runtime onnx`, where L is what the file of that
  network takes; it is for accuracy alone, and runs after that network.

All are written by the same `write_onnx`, and in 8 bits by the same `int8` with the same training images, those by hand
too. Files run on the whole test part, and their latencies are measured together, in turns in random order. With `within
resnet9-16 --target.precision int8` a search keeps the limit in 8 bits. A result is one line of FILE, files lie beside
it (FILE.files), and the same command goes on with what is missing.
"""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hardware_files import exported, latencies, milliseconds, quantised, tested
from hardware_table import LATENCIES, files_of, show
from value_run import Case, Machine, Run, commit
from value_table import Record, append, key, read

CONTESTANTS = "resnet9-8,resnet9-16,front,within resnet9-16"
SEARCH = ("search", "--target.runtime", "onnx", "--json")


@dataclass(frozen=True)
class FilesRun(Run):
    """A contestant that leaves its networks below `kept`; `limit` is what `within` has to keep, in milliseconds."""

    kept: Path = Path()
    limit: float | None = None

    @property
    def rival(self) -> str | None:
        """The network that `within` must be as fast as."""
        return shlex.split(self.contestant)[1] if self.contestant.startswith("within ") else None

    @property
    def by_hand(self) -> bool:
        """Whether no search is in it."""
        return shlex.split(self.contestant)[0] not in ("front", "within")

    def command(self, data: str, folder: Path) -> list[str]:
        """The command line."""
        if self.by_hand:
            return [*super().command(data, folder), "--onnx", str(self.kept / "by-hand.onnx")]
        flags = shlex.split(self.contestant)[2 if self.rival else 1 :]
        aim = (
            ("--pareto", "accuracy,latency_ms") if self.rival is None else ("--within", f"latency_ms={self.limit:.6g}")
        )
        words = ["--data", data, "--minutes", f"{self.case.minutes:g}", "--seed", str(self.seed)]
        return [sys.executable, "-m", "archwright", *SEARCH, *words, *aim, "--run", str(self.kept / "run"), *flags]


def folder_of(run: Run, files: Path) -> Path:
    """Where the files of a run lie; a new one for each try, since a run folder is not begun twice."""
    name = "-".join([run.case.name, f"{run.case.minutes:g}", run.contestant, str(run.seed)])
    stem = files / "".join(c if c.isalnum() else "-" for c in name)
    return next(path for number in range(1, 1000) if not (path := stem / str(number)).exists())


def run_one(run: Run, start: Machine, out: Path) -> Record:
    """Run a contestant and write, test and describe its files."""
    files = out.with_name(f"{out.name}.files")
    kept = folder_of(run, files)
    kept.mkdir(parents=True)
    made = FilesRun(run.case, run.contestant, run.seed, kept=kept)
    if made.rival is not None:
        others = files_of(read(out), {**run.facts, "contestant": made.rival})
        if not others:
            return {**run.facts, "error": f"{made.rival} must run first"}
        made = replace(made, limit=milliseconds(files / others[0]["file"]))
    record = {**run.facts, "limit_ms": made.limit, **start(made)}
    if "error" in record:
        return record
    source = start.prepared(run.case)
    networks = {run.contestant: kept / "by-hand.onnx"} if made.by_hand else exported(kept / "run", kept)
    for name, path in [*networks.items()]:
        networks |= {name + added: eighth for added, eighth in quantised(path, source, run.seed).items()}
    found = [{"name": name, "file": str(path.relative_to(files))} for name, path in networks.items()]
    for one, path in zip(found, networks.values(), strict=True):
        one |= tested(path, source, run.seed)
    return {**record, "files": found}


def measure_latencies(records: Sequence[Record], case: Case, seed: int, out: Path) -> None:
    """Measure the files of a seed together, unless just these have been."""
    facts = {"data": case.name, "minutes": case.minutes, "contestant": LATENCIES, "seed": seed}
    latest = {key(record): record for record in records}
    paths = [
        one["file"]
        for record in latest.values()
        if key(record)[:2] == (case.name, case.minutes) and record["seed"] == seed
        for one in record.get("files", ())
    ]
    if paths and sorted(latest.get(key(facts), {}).get("milliseconds", ())) != sorted(paths):
        append(out, {**facts, **latencies(paths, out.with_name(f"{out.name}.files"))})


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="as archwright search takes it, or a tar archive of such a folder")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--contestants", default=CONTESTANTS, help=f"separated by commas (default {CONTESTANTS})")
    parser.add_argument("--limit", type=int, help="cut the data to so many training images first")
    parser.add_argument("--out", type=Path, default=Path("hardware.jsonl"), help="the file of results")
    parser.add_argument("--table", action="store_true", help="print what the file has; run nothing")
    given = parser.parse_args(arguments)
    if not given.table and given.data is None:
        parser.error("give --data, or --table")
    return given


def main(arguments: Sequence[str] | None = None) -> None:
    given = parsed(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the contestant is ended too
    if not given.table:
        names = tuple(name.strip() for name in given.contestants.split(","))
        case = Case(given.data, given.minutes, names, given.limit)
        with tempfile.TemporaryDirectory(prefix="hardware-") as folder:
            start = Machine(Path(folder), commit())
            for seed in range(given.seeds):
                for run in (Run(case, name, seed) for name in names):
                    if any(key(one) == key(run.facts) and "files" in one for one in read(given.out)):
                        continue
                    append(given.out, record := run_one(run, start, given.out))
                    found = ", ".join(f"{one['accuracy']:.2%}" for one in record.get("files", ()))
                    print(f"{run.contestant}, seed {seed}: {found or record['error']}", flush=True)
                measure_latencies(read(given.out), case, seed, given.out)
    show(read(given.out))


if __name__ == "__main__":
    main()
