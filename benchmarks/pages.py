"""Seconds until the dashboard's pages paint, and the memory of its server: 200 runs, and a run of 20,000 trials.

    python benchmarks/pages.py [--runs 200] [--trials 20000] [--repeats 5] [--pictures DIR] [--json]

Run folders are made first, without training. The dashboard is the real command in a process of its own; Chromium opens
each page anew, with an empty cache, and says when its first content was painted after the address was asked for. The
first visit, which reads every run of the list, is a figure of its own; the others are medians. Memory is the most the
server ever had; its CPU time says what a page takes where other work shares the cores.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from browser import MISSING, Browser, browser, found  # noqa: E402
from made_runs import finished, under_way  # noqa: E402

PAINTED = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"


def painted(tab: Browser, url: str) -> float:
    """Seconds from asking for the page to its first content."""
    tab.call("Network.clearBrowserCache")
    tab.open(url)
    tab.until(lambda: tab.js(PAINTED) is not None)
    return float(tab.js(PAINTED)) / 1000


def peak(process: int) -> float:
    """MiB of memory that a process had at most."""
    line = next(each for each in Path(f"/proc/{process}/status").read_text().splitlines() if each.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def busy(process: int) -> float:
    """Seconds of CPU time that a process has used."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(runs: int, trials: int, repeats: int, pictures: Path | None) -> dict[str, float]:
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as work, browser() as tab:
        folder = Path(work) / "runs"
        for number in range(runs - 2):
            finished(folder / f"run-{number:03d}", trials=20, data=f"set {number % 7}")
        finished(folder / "large", trials=trials)
        with under_way(folder / "now"):
            command = [sys.executable, "-m", "archwright", "dashboard", str(folder), "--port", "0", "--json"]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
                assert server.stdout is not None
                url = json.loads(server.stdout.readline())["url"]
                pages = {
                    f"list of {runs} runs": "",
                    f"run of {trials:,} trials": "run/large",
                    "run of 20 trials": "run/run-000",
                }
                pages |= {
                    "12 runs compared": "compare?" + "&".join(f"run=run-{n:03d}" for n in range(11)) + "&run=large"
                }
                for name, path in pages.items():
                    figures[f"{name}, first visit, s"] = painted(tab, url + path)
                    before = busy(server.pid)
                    figures[f"{name}, s"] = statistics.median(painted(tab, url + path) for _ in range(repeats))
                    figures[f"{name}, CPU s of the server"] = (busy(server.pid) - before) / repeats
                    figures[f"{name}, MiB at most"] = peak(server.pid)
                    if pictures is not None:
                        tab.picture(pictures / f"{name.replace(' ', '-')}.png")
                server.terminate()
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--trials", type=int, default=20_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if found() is None:
        print(MISSING)
        return 0
    figures = measure(given.runs, given.trials, given.repeats, given.pictures)
    if given.json:
        print(json.dumps(figures))
    for name, value in {} if given.json else figures.items():
        print(f"{name:<48} {value:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
