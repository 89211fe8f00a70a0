"""What a run was made with: versions, machine, and the command, recorded when it begins."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from importlib import metadata
from pathlib import Path

PACKAGES = ("archwright", "torch", "numpy", "scikit-learn")


def versions() -> dict[str, str]:
    """Return the versions of Python, of the packages that figures depend on, and of the system."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:  # a checkout that is not installed
            continue
    return {**found, "system": platform.platform(), "processor": _processor(), "cores": str(os.cpu_count() or "?")}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def command() -> str | None:
    """Return the command line of this process, if it is one of archwright's; None in other programs."""
    if Path(sys.argv[0]).name not in ("archwright", "__main__.py"):
        return None
    return shlex.join(["archwright", *sys.argv[1:]])
