"""The runs of value.py: one contestant on one data set in so many minutes, as a process of its own."""

from __future__ import annotations

import json
import math
import os
import resource
import shlex
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import archwright
from archwright.data.sources import load
from value_table import PRODUCT, Record

IMAGES = (PRODUCT, "resnet9-8", "resnet9-16", "resnet20")
TEXT = (PRODUCT, "lstm-200", "lstm-200x2")
BUSY = " (busy machine)"
PATIENCE = 900.0  # seconds after twice the time when a contestant is ended
SPIN = "while True: pass"


@dataclass(frozen=True)
class Case:
    """One data set and time. `limit`: at most so many training images."""

    source: str
    minutes: float
    contestants: tuple[str, ...] = IMAGES
    limit: int | None = None

    @property
    def name(self) -> str:
        """The data as tables call it."""
        return Path(self.source).stem + (f", {self.limit:,} images" if self.limit else "")


@dataclass(frozen=True)
class Run:
    """One contestant on one case from one seed; `busy`: beside a process that keeps one core."""

    case: Case
    contestant: str
    seed: int
    busy: bool = False

    @property
    def facts(self) -> Record:
        """What the record of it begins with."""
        name = self.contestant + BUSY * self.busy
        return {"data": self.case.name, "minutes": self.case.minutes, "contestant": name, "seed": self.seed}

    def command(self, data: str, folder: Path) -> list[str]:
        """The command line; `data` is the case's, as a path that exists, and `folder` is for what a run leaves."""
        name, *flags = shlex.split(self.contestant)
        seed = ("--seed", str(self.seed))
        if name == PRODUCT:
            words = ["-m", "archwright", "search", "--data", data, "--minutes", f"{self.case.minutes:g}"]
            return [sys.executable, *words, *seed, "--json", "--run", str(folder / "run"), *flags]
        script = str(Path(__file__).with_name("by_hand.py"))
        seconds = f"{60 * self.case.minutes:g}"
        return [sys.executable, script, "--data", data, "--seconds", seconds, "--net", name, *seed, *flags]


class Machine:
    """Starts contestants; `folder` holds data that had to be unpacked or cut, and what runs leave while they last."""

    def __init__(self, folder: Path, commit: str | None) -> None:
        self._folder, self._commit = folder, commit
        self._data: dict[tuple[str, int | None], str] = {}

    def __call__(self, run: Run) -> Record:
        """Run it to its end; seconds are from its start to its end, `others` the cores that other processes used."""
        data = self.prepared(run.case)
        facts: Record = {"busy": run.busy, "load": round(os.getloadavg()[0], 2), "commit": self._commit}
        with tempfile.TemporaryDirectory(dir=self._folder) as folder, _spinning(run.busy):
            command = run.command(data, Path(folder))
            used, own, begun = _cpu_seconds(), _childrens_seconds(), time.monotonic()
            code, printed, errors = _finished(command, limit=120 * run.case.minutes + PATIENCE)
            facts["seconds"] = round(time.monotonic() - begun, 2)
            facts["at"] = time.strftime("%Y-%m-%d %H:%M:%S")
            if used is not None and (now := _cpu_seconds()) is not None:
                others = (now - used - _childrens_seconds() + own) / facts["seconds"]
                facts["others"] = round(max(0.0, others), 2)
        try:
            return {**facts, **scored(json.loads(printed.splitlines()[-1]))}
        except (IndexError, ValueError, KeyError, TypeError) as error:
            last = [line.strip() for line in errors.splitlines() if line.strip()][-1:] or [repr(error)]
            return {**facts, "error": f"exit status {code}: {last[0][:300]}"}

    def prepared(self, case: Case) -> str:
        """The case's data as both kinds of contestants read them: an archive is unpacked, a limited set cut."""
        which = case.source, case.limit
        if which not in self._data:
            place = Path(tempfile.mkdtemp(dir=self._folder))
            path = case.source
            if path.endswith((".tar", ".tar.gz", ".tgz")):
                with tarfile.open(path) as archive:
                    archive.extractall(place, filter="data")
                path = str(place)
            self._data[which] = str(cut(path, case.limit, place)) if case.limit else path
        return self._data[which]


def cut(source: str, limit: int, folder: Path) -> Path:
    """Write a data set of so many training images, by class, and all test images; nothing else of it is left.

    Parts for validation are split from these few as from any data: a limit of archwright's own would leave its
    validation part as large as that of the whole data set.
    """
    data = load(source, limit=limit)
    arrays = {}
    for name, part in (("train", data.train), ("test", data.test)):
        arrays |= {f"x_{name}": part.x.permute(0, 2, 3, 1).numpy(), f"y_{name}": np.array(data.classes)[part.y.numpy()]}
    np.savez(path := folder / f"{Path(source).stem}-{limit}.npz", **arrays)
    return path


def scored(result: dict[str, Any]) -> Record:
    """What is kept of a contestant's JSON object."""
    metric = "perplexity" if "test_perplexity" in result else "accuracy"
    if not math.isfinite(result[f"test_{metric}"]):
        raise ValueError(f"the test {metric} is {result[f'test_{metric}']}")
    more = {name: result[name] for name in ("epochs", "architecture", "recipe") if result.get(name) is not None}
    return {"metric": metric, "score": float(result[f"test_{metric}"]), "parameters": result["parameters"], **more}


def _finished(command: Sequence[str], *, limit: float) -> tuple[int, str, str]:
    """Run to the end, or to `limit` seconds; what the command started is ended with it, also by an interruption."""
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, start_new_session=True, **pipes) as process:
        try:
            printed, errors = process.communicate(timeout=limit)
            return process.returncode, printed, errors
        except subprocess.TimeoutExpired:
            return -signal.SIGKILL, "", f"did not end within {limit:.0f} s"
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


@contextmanager
def _spinning(busy: bool) -> Iterator[None]:
    """Keep one core busy meanwhile."""
    if not busy:
        yield
        return
    with subprocess.Popen([sys.executable, "-c", SPIN]) as process:
        try:
            yield
        finally:
            process.kill()


def _cpu_seconds() -> float | None:
    """Seconds that all cores have worked, for anybody; None where the system does not say."""
    try:
        counts = [int(word) for word in Path("/proc/stat").read_text().partition("\n")[0].split()[1:9]]
    except (OSError, ValueError):
        return None
    return (sum(counts) - sum(counts[3:5])) / os.sysconf("SC_CLK_TCK")  # less idle and waiting for the disk


def _childrens_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def commit() -> str | None:
    """The version of the checkout that archwright is in; `+` where files have changed."""
    command = ("git", "-C", str(Path(archwright.__file__).parent), "describe", "--always", "--dirty=+", "--exclude=*")
    with suppress(OSError):
        return subprocess.run(command, capture_output=True, text=True).stdout.strip() or None
    return None
