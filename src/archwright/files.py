"""A folder that one process uses at a time, and files that are complete or absent after a kill or a loss of power.

No link is followed in a folder that may come from a stranger: it could name any file of the user.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from archwright.errors import RunError

_UNFINISHED = re.compile(r".+\.[0-9a-f]{16}\.tmp", re.DOTALL)  # what `write` calls a file before it is complete


def lock(folder: Path) -> int:
    """Lock the folder until the returned descriptor closes, so also until the process dies."""
    descriptor = os.open(inside(folder, "lock"), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(descriptor, 0)
        holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
        os.pwrite(descriptor, json.dumps(holder).encode(), 0)
    except BlockingIOError:
        holder_text = _holder(os.pread(descriptor, 1000, 0))
        os.close(descriptor)
        raise RunError(f"{folder} is in use by {holder_text}") from None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def unlock(descriptor: int) -> None:
    """Release the lock. The file stays: removing it would let two processes lock two files of one name."""
    os.ftruncate(descriptor, 0)
    os.close(descriptor)


def holder(folder: Path) -> dict[str, Any] | None:
    """Return who has locked the folder (`pid`, `host`, `since`), without locking it; None where nobody has.

    A process of another machine cannot be looked for: it counts until it says that it has ended.
    """
    try:
        path = inside(folder, "lock")
        found = json.loads(path.read_bytes()[:1000])
        pid = int(found["pid"])
        if found["host"] == socket.gethostname() and not _holds(pid, path):
            return None
        return {"pid": pid, "host": str(found["host"]), "since": str(found["since"])}
    except (OSError, RunError, ValueError, LookupError, TypeError, RecursionError):
        return None  # nobody, or it has only just begun


def _holds(pid: int, path: Path) -> bool:
    """Return whether a process of this machine has the file open; where that cannot be seen, whether it runs."""
    try:
        return any(file.exists() and file.samefile(path) for file in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        except OSError:
            return True  # somebody else's
        return True


def _holder(content: bytes) -> str:
    """Say who holds the lock."""
    try:
        holder = json.loads(content)
        elsewhere = "" if holder["host"] == socket.gethostname() else f" on {holder['host']}"
        return f"process {holder['pid']}{elsewhere} since {holder['since']}"
    except (ValueError, LookupError, TypeError, RecursionError):
        return "another process"  # it has only just taken the lock


def inside(folder: Path, name: str) -> Path:
    """Return the path of a file or subfolder; raise RunError if it is a link. The folder itself may be one."""
    path = folder / name
    if path.is_symlink():
        raise RunError(f"{path} is a link, which could lead out of the folder; replace it by what it links to")
    return path


def target(folder: Path) -> Path:
    """Return a folder that will be written; raise RunError if it cannot be made or written. It need not exist yet."""
    at = _existing(folder)
    if not at.is_dir():
        raise RunError(f"{folder} cannot be written: {at} is not a folder")
    if not os.access(at, os.W_OK | os.X_OK):
        raise RunError(f"{folder} cannot be written: {at} is read-only here; name another folder")
    return folder


def require_space(folder: Path, size: int) -> None:
    """Raise RunError if the disk of a folder, which need not exist yet, has less than `size` bytes left."""
    left = shutil.disk_usage(_existing(folder)).free
    if left < size:
        needed = f"it takes {size / 1e6:,.1f} MB, and {left / 1e6:,.1f} MB are left on its disk"
        raise RunError(f"{folder} cannot be written: {needed}; name another folder")


def _existing(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that there is."""
    at = folder.absolute()
    while not os.path.lexists(at):
        at = at.parent
    return at


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Name the file in an error of the disk."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


def write(path: Path, data: bytes) -> None:
    """Write a file so that it is complete or absent, even after a loss of power; make its folder if needed."""
    unfinished = inside(path.parent, path.name).with_name(f"{path.name}.{secrets.token_hex(8)}.tmp")
    with _named(path):
        path.parent.mkdir(exist_ok=True)
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(path)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise
    for folder in (path.parent, path.parent.parent):
        descriptor = os.open(folder, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)


def sweep(folder: Path, *inner: str) -> None:
    """Remove the unfinished files that a killed `write` left in a folder, which nobody else may write now.

    Those in its subfolders of the names `inner` are removed too, where these are there and no links.
    """
    within = [path for path in map(folder.joinpath, inner) if path.is_dir() and not path.is_symlink()]
    for place in [folder, *within]:
        for path in place.iterdir():
            if _UNFINISHED.fullmatch(path.name) and (path.is_symlink() or path.is_file()):
                path.unlink(missing_ok=True)


def append(path: Path, data: bytes) -> None:
    """Add to the end of a file."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
    with _named(path), os.fdopen(os.open(inside(path.parent, path.name), flags, 0o666), "ab") as file:
        file.write(data)
