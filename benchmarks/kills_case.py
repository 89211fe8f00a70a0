"""A case of kills.py: one job that is killed and gone on with, and what is different at its end."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archwright.errors import ArchwrightError
from kills_folder import differences, has_begun, held, phase
from kills_jobs import RUN, Job
from value_table import Record

MOST = 6  # kills in a case
SOON = 0.5  # seconds between checkpoints, where they are frequent
PATIENCE = 20.0  # seconds in which processes end whose parent was killed
TOKEN = "KILLS_TOKEN"  # an environment variable that marks the processes of a case


@dataclass(frozen=True)
class Reference:
    """An undisturbed run of a job: its folder, duration in seconds, number of writes, and temporary files."""

    folder: Path
    seconds: float
    writes: int
    temporary: frozenset[str]


class Case:
    """A job that is killed and gone on with, in `place`."""

    def __init__(self, job: Job, number: int, seed: int, place: Path, finished: Path | None) -> None:
        self.job, self.number, self.place, self.finished = job, number, place, finished
        self.random = random.Random(f"{seed}/{job.name}/{number}")
        self.here, self.temporary, self.count = place / "here", place / "temporary", place / "writes"
        self.token = f"{os.getpid()}-{job.name}-{number}".replace(" ", "-")
        self.kills: list[Record] = []
        self.process: subprocess.Popen[bytes] | None = None
        shutil.rmtree(place, ignore_errors=True)
        self.temporary.mkdir(parents=True)
        self.here.mkdir()
        if job.copied and finished is not None:
            shutil.copytree(finished, self.here / RUN)

    def undisturbed(self) -> Reference:
        """Run the job to its end."""
        began = time.monotonic()
        code = self._start().wait()
        if code != 0:
            raise SystemExit(f"{self.job.name}: exit status {code} without a kill: {self._last_line()}")
        seconds = time.monotonic() - began
        self._left_over()  # case 0 reports it
        writes = int(self.count.read_text()) if self.count.exists() else 0
        return Reference(self.here, seconds, writes, frozenset(self._temporary()))

    def run(self, reference: Reference) -> Record:
        """Kill, go on, compare."""
        began = time.monotonic()
        wanted = 0 if self.number == 0 else self.random.randint(1, MOST)
        at_writes = self.number % 2 == 1 and reference.writes > 0
        code: int | None = None
        for _ in range(wanted):  # a later process may have ended before its moment
            whole = reference.writes if at_writes else reference.seconds
            code = self._killed(self.random.random() * whole, at_writes)
            if code != -signal.SIGKILL:
                break
        if code is None or code == -signal.SIGKILL:
            code = self._ended(20 * reference.seconds + 120)
        found = [f"exit status {code}: {self._last_line()}"] if code else []
        try:
            found += differences(held(reference.folder), held(self.here), self.job.varies)
        except ArchwrightError as error:
            found.append(str(error))
        found += [f"a process is left: {pid}" for pid in self._left_over()]
        found += [f"a temporary file is left: {name}" for name in self._temporary() if name not in reference.temporary]
        return {
            "moments": "writes" if at_writes else "time",
            "soon": self._soon,
            "kills": self.kills,
            "end": "failed" if code else "different" if found else "equal",
            "differences": found,
            "seconds": round(time.monotonic() - began, 1),
        }

    def _ended(self, limit: float) -> int:
        """Run the next process to its end and return its exit status; kill it after so many seconds."""
        process = self._start()
        try:
            return process.wait(timeout=limit)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return process.wait()

    def _killed(self, moment: float, at_write: bool) -> int:
        """Start the next process and kill it, after so many seconds or at a write; return its exit status."""
        began = time.monotonic()
        process = self._start(last_write=1 + int(moment) if at_write else None)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=600.0 if at_write else moment)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        code = process.wait()
        if code == -signal.SIGKILL:
            silent = self.job.says and not self._said().strip()
            at = phase(self.here / RUN, silent=silent)
            at = "ranking" if self.job.copied and at == "after the result" else at
            self.kills.append({"at": round(time.monotonic() - began, 3), "moment": round(moment, 3), "phase": at})
        return code

    @property
    def _soon(self) -> bool:
        return self.number % 4 in (2, 3)

    def _start(self, last_write: int | None = None) -> subprocess.Popen[bytes]:
        begun = bool(self.kills) and has_begun(self.here / RUN)
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "NO_COLOR": "1", TOKEN: self.token}
        environment |= {"TMPDIR": str(self.temporary), "KILLS_COUNT": str(self.count)}
        if self._soon:
            environment["KILLS_SECONDS"] = str(SOON)
        if last_write is not None:
            environment["KILLS_WRITE"] = str(last_write)
        self.output = self.place / f"output-{len(self.kills)}.txt"
        with self.output.open("wb") as output:
            command = self.job.command(begun, self.finished)
            pipes: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": output, "stderr": output}
            process = subprocess.Popen(command, cwd=self.here, env=environment, start_new_session=True, **pipes)
        self.process = process
        return process

    def close(self) -> None:
        """End the process that is under way, where something else ends the benchmark."""
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)

    def _said(self) -> str:
        return self.output.read_text(errors="replace")

    def _last_line(self) -> str:
        return (self._said().strip().splitlines() or ["nothing was said"])[-1][:300]

    def _temporary(self) -> list[str]:
        return sorted(path.relative_to(self.temporary).as_posix() for path in self.temporary.rglob("*"))

    def _left_over(self) -> list[int]:
        """Return the processes that are left after a while, and end them."""
        until = time.monotonic() + PATIENCE
        while (living := list(self._living())) and time.monotonic() < until:
            time.sleep(0.1)
        for pid in living:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return living

    def _living(self) -> Iterator[int]:
        """Yield the processes of this case, by the mark in their environment."""
        mark = f"{TOKEN}={self.token}\0".encode()
        for path in Path("/proc").glob("[0-9]*/environ"):
            with suppress(OSError):
                if mark in path.read_bytes():
                    yield int(path.parent.name)
