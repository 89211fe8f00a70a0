"""Seconds from starting `archwright --help` as a process to its end, beside a Python that does nothing.

    python benchmarks/startup.py [--repeats 20] [--json]

The processes take turns, so that the ratios hold on a busy machine too; one turn, which fills the disk cache and
writes bytecode, does not count. Each figure is the median over the repeats. The installed command is measured where
there is one beside this Python; `python -c "import torch"` is what a command costs that needs PyTorch.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path


def commands() -> dict[str, list[str]]:
    """What is started, by how it is shown; the first is the reference."""
    python = sys.executable
    work = {
        "python -c pass": [python, "-c", "pass"],
        "python -m archwright --help": [python, "-m", "archwright", "--help"],
        "python -c 'import archwright'": [python, "-c", "import archwright"],
        "python -c 'import torch'": [python, "-c", "import torch"],
    }
    installed = shutil.which("archwright", path=str(Path(python).parent))
    if installed is not None:
        work["archwright --help"] = [installed, "--help"]
    return work


def measure(repeats: int) -> dict[str, float]:
    """Seconds of each command: the median over the repeats, after one turn that does not count."""
    work = commands()
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(repeats + 1):
        for name, command in work.items():
            began = time.perf_counter()
            subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
            seconds[name].append(time.perf_counter() - began)
    return {name: statistics.median(times[1:]) for name, times in seconds.items()}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    chosen = parser.parse_args(arguments)
    seconds = measure(chosen.repeats)
    python = next(iter(seconds.values()))
    ratios = {name: value / python for name, value in seconds.items()}
    if chosen.json:
        print(json.dumps({"seconds": seconds, "ratio_to_python": ratios}))
        return
    print(f"{'process':<34}{'ms':>9}{'x python':>10}")
    for name, value in seconds.items():
        print(f"{name:<34}{value * 1e3:>9.1f}{ratios[name]:>10.2f}")


if __name__ == "__main__":
    main()
