"""The real command, in a process of its own or in this one."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path

from archwright.__main__ import main


def archwright_command(*words: str, cwd: Path, **options: object) -> subprocess.Popen[str]:
    """Begin a command."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "NO_COLOR": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "archwright", *words],
        cwd=cwd,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,  # type: ignore[call-overload]
    )


def done(*words: str, cwd: Path) -> tuple[int, str, str]:
    """Run a command to its end: exit code, standard output, standard error."""
    process = archwright_command(*words, cwd=cwd)
    out, err = process.communicate(timeout=240)
    return process.returncode, out, err


def here(*words: str) -> tuple[int, str, str]:
    """Run a command to its end in this process, which spares its start: exit code, standard output, standard error."""
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        code = main(words)
    return code, out.getvalue(), err.getvalue()
