"""What a machine has for archwright, and what is slow on it: the checks of `archwright doctor`."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from archwright import __version__
from archwright.data.limits import usable_memory
from archwright.nets import native
from archwright.report.words import counted
from archwright.training import threads
from archwright.training.measure import tune_malloc

QUOTA = Path("/sys/fs/cgroup/cpu.max")  # of a container
CPU = Path("/proc/cpuinfo")
GPU_DRIVER = Path("/proc/driver/nvidia/version")
FAST = ("amx_bf16", "avx512_bf16", "bf16")  # of x86, and of ARM
BUSY = 0.5  # processes that want to run, for each core
SYNCED, WRITTEN = 0.02, 50e6  # seconds of a synced record, bytes a second: a disk that is slower shows in a search
BATCH, CHANNELS, SIDE = 32, 64, 32  # of the convolution that is timed
OPERATIONS = 3 * 2 * BATCH * (SIDE * CHANNELS * 3) ** 2  # of its forward pass and the two backward
SECONDS = 3.0  # of all convolutions together
OWN = ("test", "dev", "docs")  # extras for work on archwright itself


@dataclass(frozen=True)
class Check:
    """What was looked at, what was found, and what to do about it; no `advice` where nothing is wrong."""

    name: str
    found: str
    advice: str = ""


def versions() -> dict[str, str]:
    """Return the versions that a report of an error needs."""
    return {
        "archwright": __version__,
        "torch": str(torch.__version__),
        "python": platform.python_version(),
        "system": platform.platform(),
    }


def checks(folder: Path) -> Iterator[Check]:
    """Yield what there is, the quick checks first; `folder` is where runs are to be written."""
    flags = _cpu_flags()
    yield from (_threads(usable_cores()), _load(usable_cores()), _memory(), _gpu(), _instructions(flags), _kernels())
    yield _malloc()
    yield _disk(folder)
    yield extras()


def usable_cores() -> float:
    """Return the cores that this process may use: those of its affinity, or less where a container has a quota."""
    found: float = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with suppress(OSError, ValueError, ZeroDivisionError):  # no container, or "max"
        quota, period = QUOTA.read_text(encoding="ascii").split()
        found = min(found, int(quota) / int(period))
    return found


def _threads(cores: float) -> Check:
    asked, used = os.environ.get("OMP_NUM_THREADS"), threads.available()
    found = f"{cores:g} cores, {counted(used, 'thread')}" + (f" (OMP_NUM_THREADS={asked})" if asked else "")
    if used > max(1.0, cores):
        return Check("threads", found, "more threads than cores wait for each other: set OMP_NUM_THREADS to the cores")
    if asked and used < int(cores):
        return Check(
            "threads", found, "cores are left unused; without OMP_NUM_THREADS archwright measures what is best"
        )
    return Check("threads", found)


def _load(cores: float) -> Check:
    load = os.getloadavg()[0]
    found = f"{load:.1f} processes want to run (mean of a minute)"
    busy = "other programs use the cores: a search is slower, and plans for less"
    return Check("load", found, busy if load > BUSY * cores else "")


def _memory() -> Check:
    have = free = usable_memory()
    with suppress(OSError, AttributeError):
        available = re.search(r"MemAvailable:\s+(\d+)", Path("/proc/meminfo").read_text(encoding="ascii"))
        free = min(have, 1024 * int(available[1])) if available else have
    little = "less than 2 GB: --limit and a smaller --image-size take less"
    return Check("memory", f"{free / 1e9:.1f} of {have / 1e9:.1f} GB free", little if free < 2e9 else "")


def _gpu() -> Check:
    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
        return Check("GPU", ", ".join(names))
    if torch.backends.mps.is_available():
        return Check("GPU", "Apple (mps)")
    missing = "PyTorch here cannot use the NVIDIA GPU of this machine: install its build for CUDA, or mend the driver"
    return Check("GPU", "none", missing if GPU_DRIVER.exists() else "")


def _cpu_flags() -> set[str]:
    with suppress(OSError):
        found = re.search(r"^(?:flags|Features)\s*: (.*)$", CPU.read_text(encoding="utf-8", errors="replace"), re.M)
        return set(found[1].split()) if found else set()
    return set()


def _instructions(flags: set[str]) -> Check:
    level, fast = torch.backends.cpu.get_cpu_capability(), [name for name in FAST if name in flags]
    found = f"{level}; bfloat16: {', '.join(fast) or 'none'}" + (
        ", no AMX" if "avx2" in flags and "amx_bf16" not in flags else ""
    )
    if level == "DEFAULT" and "avx2" not in flags and platform.machine() in ("x86_64", "AMD64"):
        return Check("instructions", found, "without AVX2 convolutions are slow")
    slow = "no instructions for bfloat16 (AMX, AVX512_BF16): training on this CPU stays in float32"
    return Check("instructions", found, "" if fast or torch.cuda.is_available() else slow)


def _kernels() -> Check:
    there, about = native.found()
    slow = "a C compiler (gcc, as cc) makes training of separable convolutions on this CPU faster"
    return Check("kernels", about if there else f"those of PyTorch: {about}", "" if there else slow)


def _malloc() -> Check:
    name = " ".join(platform.libc_ver()).strip() or "not glibc"
    slow = "memory goes back to the system after each step, which takes up to a third of it; glibc can keep it"
    return Check("malloc", name, "" if tune_malloc() or platform.system() != "Linux" else slow)


def _disk(folder: Path) -> Check:
    at = folder.absolute()
    while not at.exists():
        at = at.parent
    try:
        with tempfile.NamedTemporaryFile(dir=at, prefix="archwright-", buffering=0) as file:
            synced = statistics.median(_written(file.fileno(), bytes(100)) for _ in range(9))
            speed = 2**25 / _written(file.fileno(), bytes(2**25))
        free = os.statvfs(at).f_bavail * os.statvfs(at).f_frsize
    except OSError as error:
        return Check("disk", f"{folder} cannot be written: {error.strerror}", "name another folder with --run")
    found = f"{folder}: {speed / 1e6:.0f} MB/s, {1000 * synced:.1f} ms a record, {free / 1e9:.1f} GB free"
    if free < 1e9:
        return Check("disk", found, "the disk is nearly full")
    slow = "a slow disk: every record waits for it, so name a folder on a local one with --run"
    return Check("disk", found, slow if synced > SYNCED or speed < WRITTEN else "")


def _written(descriptor: int, data: bytes) -> float:
    """Return the seconds until the data is on the disk."""
    began = time.perf_counter()
    os.write(descriptor, data)
    os.fsync(descriptor)
    return time.perf_counter() - began


def extras() -> Check:
    """Return which extras are installed, by what this installation says of itself."""
    try:
        about = importlib.metadata.metadata("archwright")
    except importlib.metadata.PackageNotFoundError:
        return Check("extras", "not known: archwright runs from its sources, without an installation")
    wanted: dict[str, list[str]] = {name: [] for name in about.get_all("Provides-Extra") or () if name not in OWN}
    for line in importlib.metadata.requires("archwright") or ():
        package, extra = re.match(r"[\w.-]+", line), re.search(r"extra == ['\"]([\w-]+)['\"]", line)
        if package and extra and extra[1] in wanted:
            wanted[extra[1]].append(package[0])
    there = [name for name, packages in wanted.items() if all(map(_installed, packages))]
    lacking = [name for name in wanted if name not in there]
    hint = f"; not {', '.join(lacking)} (pip install 'archwright[{lacking[0]}]')" if lacking else ""
    return Check("extras", (", ".join(there) or "none") + hint)


def _installed(package: str) -> bool:
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def convolutions(seconds: float = SECONDS) -> dict[str, dict[int, float]]:
    """Return billions of operations a second of a 3x3 convolution's training step, by precision and threads."""
    most = threads.available()
    cases = [(kind, count) for kind in (torch.float32, torch.bfloat16) for count in sorted({1, most})]
    found: dict[str, dict[int, float]] = {}
    try:
        for kind, count in cases:
            threads.use(count)
            name = str(kind).removeprefix("torch.")
            found.setdefault(name, {})[count] = OPERATIONS / _step(kind, seconds / len(cases)) / 1e9
    finally:
        threads.use(most)
    return found


def _step(kind: torch.dtype, seconds: float) -> float:
    """Return the median seconds of a step; the first does not count."""
    layer = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1).to(kind)
    images = torch.randn(BATCH, CHANNELS, SIDE, SIDE).to(kind).contiguous(memory_format=torch.channels_last)
    images.requires_grad_()
    took: list[float] = []
    until = time.perf_counter() + seconds
    while len(took) < 2 or time.perf_counter() < until:
        began = time.perf_counter()
        layer(images).sum().backward()
        took.append(time.perf_counter() - began)
    return statistics.median(took[1:])


def judged(speeds: Mapping[str, Mapping[int, float]]) -> Check:
    """Return what the speed of convolutions says."""
    words = [f"{kind} {', '.join(f'{s:.0f} with {n}' for n, s in by.items())}" for kind, by in speeds.items()]
    found = f"billions of operations a second, by threads: {'; '.join(words)}"
    one, most = min(speeds["float32"]), max(speeds["float32"])
    if most > one and speeds["float32"][most] < 1.2 * speeds["float32"][one]:
        return Check(
            "convolutions", found, f"{most} threads are hardly faster than one: the cores are in use, or shared"
        )
    return Check("convolutions", found)
