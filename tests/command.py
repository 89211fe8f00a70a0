"""The real command, in a process of its own or in this one."""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

LIMIT = 240.0  # seconds that a command may take


def archwright_command(*words: str, cwd: Path, **options: object) -> Forked | subprocess.Popen[str]:
    """Begin a command: in a new interpreter where it takes `options`, or where the system cannot fork one."""
    if not options and hasattr(os, "pidfd_open"):
        return Forked(words, cwd)
    return subprocess.Popen(
        [sys.executable, "-m", "archwright", *words],
        cwd=cwd,
        env=environment(),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,  # type: ignore[call-overload]
    )


def done(*words: str, cwd: Path = Path()) -> tuple[int, str, str]:
    """Run a command to its end: exit code, standard output, standard error."""
    process = archwright_command(*words, cwd=cwd)
    out, err = process.communicate(timeout=LIMIT)
    return process.returncode, out, err


class Forked:
    """A command in a process that is forked from one which has imported everything; used as a `subprocess.Popen`."""

    def __init__(self, words: Sequence[str], cwd: Path) -> None:
        read, write = os.pipe()
        self._report = os.fdopen(read)  # its pid, then its exit code
        self._streams = [tempfile.TemporaryFile("w+") for _ in range(2)]  # noqa: SIM115
        request = {"words": words, "cwd": str(cwd.absolute()), "environment": environment()}
        files = [*(stream.fileno() for stream in self._streams), write]
        socket.send_fds(zygote(), [json.dumps(request).encode()], files)
        os.close(write)
        self.pid = int(self._report.readline())
        self.returncode: int | None = None

    def poll(self, seconds: float = 0.0) -> int | None:
        if self.returncode is None and select.select([self._report], [], [], seconds)[0]:
            self.returncode = int(self._report.readline())
            self._report.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float = LIMIT) -> tuple[str, str]:
        if self.poll(timeout) is None:
            self.kill()
            raise subprocess.TimeoutExpired("archwright", timeout)
        texts = []
        for stream in self._streams:
            with stream:
                stream.seek(0)
                texts.append(stream.read())
        return texts[0], texts[1]


@cache
def zygote() -> socket.socket:
    """Begin the process that commands are forked from; it ends when this one does and the connection is closed."""
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    path = Path(__file__).with_name("zygote.py")
    command = [sys.executable, str(path), str(there.fileno())]
    process = subprocess.Popen(command, env=environment(), pass_fds=[there.fileno()], stdout=subprocess.DEVNULL)
    there.close()

    @atexit.register
    def end() -> None:
        here.close()
        process.wait()

    return here


def environment() -> dict[str, str]:
    """Return the environment of a command."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "NO_COLOR": "1"}
