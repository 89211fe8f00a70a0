"""Compiles `kernels.c` for this machine, once, and loads it; where that cannot be, PyTorch does the same.

The compiler is `cc`, or what CC names (`CC=false` does without). What it makes is kept in a folder of the user's own,
named by all that it depends on. Nothing else is ever compiled or loaded.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import re
import secrets
import shlex
import shutil
import stat
import subprocess
from functools import cache
from pathlib import Path

SOURCE = Path(__file__).with_name("kernels.c")
# Symbols of OpenMP stay open: they are those of the library that PyTorch has loaded, whose threads compute here too.
FLAGS = ("-O3", "-march=native", "-std=gnu11", "-fopenmp", "-fPIC", "-shared", "-nodefaultlibs")
SECONDS = 120  # for the compiler, on a busy machine
CPU = Path("/proc/cpuinfo")


@cache
def library() -> ctypes.CDLL | None:
    """Return the kernels, compiled if this is the first time; None where there is no way."""
    return found()[0]


@cache
def found() -> tuple[ctypes.CDLL | None, str]:
    """Return the kernels, or None, and in words where they are or why there are none."""
    try:
        compiler = shlex.split(os.environ.get("CC", "cc"))
        program = shutil.which(compiler[0]) if compiler else None
        if program is None:
            return None, "no C compiler"
        path = _folder() / f"{_key([program, *compiler[1:]])}.so"
        if not path.exists():
            _compile([program, *compiler[1:]], path)
        return ctypes.CDLL(str(path), mode=os.RTLD_NOW), f"{path}"
    except subprocess.SubprocessError:
        return None, f"{program} cannot compile them"
    except (OSError, ValueError) as error:
        return None, f"{error}".splitlines()[0]


def _folder() -> Path:
    """Return the folder that is kept; an error where somebody else could write into it."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    folder = (Path(base) if Path(base).is_absolute() else Path.home() / ".cache") / "archwright"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    about = folder.lstat()
    if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.getuid() or about.st_mode & 0o022:
        raise PermissionError(f"{folder} is not the user's alone")
    return folder


def _key(compiler: list[str]) -> str:
    """Return a name for what this compiler makes of the source on this processor."""
    about = Path(compiler[0]).resolve().stat()
    cpu = CPU.read_text(encoding="utf-8", errors="replace") if CPU.exists() else platform.processor()
    kinds = sorted(set(re.findall(r"^(?:model name|flags|Features|CPU part)\s*:.*$", cpu, re.MULTILINE)))
    parts = (
        SOURCE.read_text(encoding="utf-8"),
        compiler,
        FLAGS,
        about.st_size,
        about.st_mtime_ns,
        platform.machine(),
        kinds,
    )
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]


def _compile(compiler: list[str], path: Path) -> None:
    made = path.with_name(f"{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        command = [*compiler, *FLAGS, str(SOURCE), "-o", str(made)]
        subprocess.run(command, check=True, timeout=SECONDS, stdin=subprocess.DEVNULL, capture_output=True)
        made.replace(path)  # complete or absent, whoever else compiles now
    finally:
        made.unlink(missing_ok=True)
