"""Seconds that a controller takes to propose 20 ENAS micro architectures and to learn from their rewards.

    python benchmarks/controller.py [--repeats 30] [--json]

One architecture is 40 decisions in 54 steps of an LSTM with 100 units. Beside it, in turns in the same process, so
that the ratios hold on a busy machine too: the bare LSTM forward and backward over as many steps of as many rows with
fixed inputs and no decisions (PyTorch's LSTMCell in a loop, which is what the steps of a controller have to be; its
LSTM, which is told all inputs at once, for information), and the same proposals asked for one by one. The controller
runs on one thread whatever PyTorch is set to; the references are timed both as PyTorch is set and on one thread. Each
figure is the median over the repeats; the ratio is to the faster of the two loops.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence

import torch

from archwright.controllers.reinforce import Reinforce
from archwright.controllers.threads import one_thread
from archwright.loop import Proposal, Result, Trial
from archwright.spaces.enas_micro import EnasMicro

LANES, STEPS, UNITS = 20, 54, 100


class Ours:
    """A controller that is asked and told again and again; rewards are of no account here."""

    def __init__(self) -> None:
        self.controller = Reinforce(EnasMicro(), units=UNITS, batch=LANES)
        self.proposals: list[Proposal] = []

    def sample(self) -> None:
        self.proposals = self.controller.ask(range(LANES))

    def update(self) -> None:
        assert self.controller.tell([Trial(p.stream, p, Result(p.stream / LANES), 0.0) for p in self.proposals])

    def one_by_one(self) -> None:
        for stream in range(LANES):
            self.controller.ask([stream])


class Bare:
    """The LSTM alone, with inputs that are given."""

    def __init__(self) -> None:
        self.inputs = torch.randn(STEPS, LANES, UNITS)
        self.cell = torch.nn.LSTMCell(UNITS, UNITS, bias=False)
        self.lstm = torch.nn.LSTM(UNITS, UNITS, bias=False)

    def loop(self) -> None:
        h = c = torch.zeros(LANES, UNITS)
        outputs = []
        for x in self.inputs:
            h, c = self.cell(x, (h, c))
            outputs.append(h)
        self.cell.zero_grad()
        torch.stack(outputs).sum().backward()

    def whole(self) -> None:
        self.lstm.zero_grad()
        self.lstm(self.inputs)[0].sum().backward()


def on_one_thread(work: Callable[[], None]) -> Callable[[], None]:
    def run() -> None:
        with one_thread():
            work()

    return run


def measure(repeats: int) -> dict[str, float]:
    """Seconds of each piece of work: the median over the repeats, after two turns that do not count."""
    ours, bare = Ours(), Bare()
    work: dict[str, Callable[[], None]] = {
        "sample 20 architectures": ours.sample,
        "update from 20 rewards": ours.update,
        "sample 20, one by one": ours.one_by_one,
        "LSTMCell in a loop": bare.loop,
        "LSTMCell in a loop, one thread": on_one_thread(bare.loop),
        "LSTM told all inputs at once": bare.whole,
        "LSTM told all inputs, one thread": on_one_thread(bare.whole),
    }
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(repeats + 2):
        for name, run in work.items():
            began = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - began)
    return {name: statistics.median(times[2:]) for name, times in seconds.items()}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    chosen = parser.parse_args(arguments)
    seconds = measure(chosen.repeats)
    total = seconds["sample 20 architectures"] + seconds["update from 20 rewards"]
    loop = min(seconds["LSTMCell in a loop"], seconds["LSTMCell in a loop, one thread"])
    if chosen.json:
        threads = torch.get_num_threads()
        print(json.dumps({"threads": threads, "seconds": seconds, "total": total, "ratio_to_loop": total / loop}))
        return
    print(f"{'work':<34}{'ms':>9}{'x the loop':>12}   (PyTorch is set to {torch.get_num_threads()} threads)")
    for name, value in {**seconds, "sample and update": total}.items():
        print(f"{name:<34}{value * 1e3:>9.2f}{value / loop:>12.2f}")


if __name__ == "__main__":
    main()
