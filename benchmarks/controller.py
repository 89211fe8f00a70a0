"""Seconds that a controller takes to propose 20 ENAS micro architectures and to learn from their rewards.

    python benchmarks/controller.py [--repeats 30] [--threads 1] [--json]

One architecture is 40 decisions in 54 steps of an LSTM with 100 units. Beside it, in turns in the same process, so
that the ratios hold on a busy machine too: the bare LSTM forward and backward over as many steps of as many rows, with
fixed inputs and no decisions (PyTorch's LSTMCell in a loop, which is what the steps of a controller have to be; its
LSTM, which is given all inputs at once, for information), and the same proposals asked for one by one. Each figure is
the median over the repeats.

The controller runs on one thread whatever PyTorch is set to, and so do the references unless `--threads` says
otherwise: products of this size are too small to share, and on a busy machine sharing them costs many times as much.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable

import torch

from archwright.controllers.reinforce import Reinforce
from archwright.loop import Proposal, Result, Trial
from archwright.spaces.enas_micro import EnasMicro

LANES, STEPS, UNITS = 20, 54, 100


class Ours:
    """A controller that proposes and learns again and again; its rewards do not matter."""

    def __init__(self) -> None:
        self.controller = Reinforce(EnasMicro(), units=UNITS, batch=LANES)
        self.proposals: list[Proposal] = []

    def sample(self) -> None:
        """Propose 20 architectures."""
        self.proposals = self.controller.ask(range(LANES))

    def update(self) -> None:
        """Take one step of Adam from their rewards."""
        assert self.controller.tell([Trial(p.stream, p, Result(p.stream / LANES), 0.0) for p in self.proposals])

    def one_by_one(self) -> None:
        """Propose the 20 architectures, each by itself."""
        for stream in range(LANES):
            self.controller.ask([stream])


class Bare:
    """The LSTM alone, with inputs that are given."""

    def __init__(self) -> None:
        self.inputs = torch.randn(STEPS, LANES, UNITS)
        self.cell = torch.nn.LSTMCell(UNITS, UNITS, bias=False)
        self.lstm = torch.nn.LSTM(UNITS, UNITS, bias=False)

    def loop(self) -> None:
        """One step after the other, forward and backward."""
        h = c = torch.zeros(LANES, UNITS)
        outputs = []
        for x in self.inputs:
            h, c = self.cell(x, (h, c))
            outputs.append(h)
        self.cell.zero_grad()
        torch.stack(outputs).sum().backward()

    def whole(self) -> None:
        """All steps in one call, forward and backward."""
        self.lstm.zero_grad()
        self.lstm(self.inputs)[0].sum().backward()


def measure(repeats: int) -> dict[str, float]:
    """Seconds of each piece of work: the median over the repeats, after two turns that do not count."""
    ours, bare = Ours(), Bare()
    work: dict[str, Callable[[], None]] = {
        "sample 20 architectures": ours.sample,
        "update from 20 rewards": ours.update,
        "sample 20, one by one": ours.one_by_one,
        "bare LSTMCell in a loop": bare.loop,
        "bare LSTM given all inputs at once": bare.whole,
    }
    seconds: dict[str, list[float]] = {name: [] for name in work}
    totals: list[float] = []
    for _ in range(repeats + 2):
        for name, run in work.items():
            began = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - began)
        totals.append(seconds["sample 20 architectures"][-1] + seconds["update from 20 rewards"][-1])
    seconds["sample and update"] = totals
    return {name: statistics.median(times[2:]) for name, times in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--threads", type=int, default=1, help="of the references")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    seconds = measure(arguments.repeats)
    loop = seconds["bare LSTMCell in a loop"]
    if arguments.json:
        ratio = seconds["sample and update"] / loop
        print(json.dumps({"threads": arguments.threads, "seconds": seconds, "ratio_to_loop": ratio}))
        return
    print(f"{'work':<34}{'ms':>9}{'x the loop':>12}")
    for name, value in seconds.items():
        print(f"{name:<34}{value * 1e3:>9.2f}{value / loop:>12.2f}")


if __name__ == "__main__":
    main()
