"""Steps of DARTS's search: images per second and peak memory of the mixture, beside the official code's way.

    python benchmarks/darts_step.py [--rounds 2] [--filters 16] [--repeats 2] [--batch 64] [--threads N] [--json]

The network is that of the official search, 8 cells of 16 filters for images of 3 x 32 x 32. A weights step is forward,
backward, clip and SGD; an architecture step (first order) forward, backward and Adam on the alphas. Seconds are the
clock's, or with `--cpu` those of the processor, on one thread: for machines that are busy with other work. Variants:

- `reference`: each edge computes each of its operations and multiplies its output, in PyTorch's own layout, written
  here as the official code is written; its backward passes give the gradients of weights and alphas both.
- `mixture`: the product's network as it is searched.
- `checkpointed`, `bfloat16`, `partial`: that with cells computed again, in bfloat16, with a quarter of the channels.

Each variant of each round is a process of its own, so that its peak is its own; they take turns. A process runs one
step of each kind that does not count, and one (`reference`) or three that do. Figures are medians over rounds, ratios
medians of the rounds' ratios. The peak is that of the whole process (`ru_maxrss`), PyTorch included.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

VARIANTS = ("reference", "mixture", "checkpointed", "bfloat16", "partial")
PRIMITIVES = ("none", "max_pool_3x3", "avg_pool_3x3", "skip_connect", "sep_conv_3x3", "sep_conv_5x5", "dil_conv_3x3")
PRIMITIVES += ("dil_conv_5x5",)
NODES = 4


class Zero(nn.Module):
    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :, :: self.stride, :: self.stride].mul(0.0)


class FactorizedReduce(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv_1 = nn.Conv2d(inputs, outputs // 2, 1, 2, bias=False)
        self.conv_2 = nn.Conv2d(inputs, outputs // 2, 1, 2, bias=False)
        self.bn = nn.BatchNorm2d(outputs, affine=False)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(x)
        return self.bn(torch.cat([self.conv_1(x), self.conv_2(x[:, :, 1:, 1:])], 1))


def depthwise(channels: int, kernel: int, stride: int, dilation: int = 1) -> list[nn.Module]:
    padding = kernel // 2 * dilation
    return [
        nn.ReLU(),
        nn.Conv2d(channels, channels, kernel, stride, padding, dilation, channels, bias=False),
        nn.Conv2d(channels, channels, 1, bias=False),
        nn.BatchNorm2d(channels, affine=False),
    ]


def primitive(name: str, channels: int, stride: int) -> nn.Module:
    if name == "none":
        return Zero(stride)
    if name == "skip_connect":
        return nn.Identity() if stride == 1 else FactorizedReduce(channels, channels)
    if name.endswith("pool_3x3"):
        average = nn.AvgPool2d(3, stride, padding=1, count_include_pad=False)
        pool = average if name.startswith("avg") else nn.MaxPool2d(3, stride, padding=1)
        return nn.Sequential(pool, nn.BatchNorm2d(channels, affine=False))
    kernel = int(name[-1])
    if name.startswith("dil"):
        return nn.Sequential(*depthwise(channels, kernel, stride, 2))
    return nn.Sequential(*depthwise(channels, kernel, stride), *depthwise(channels, kernel, 1))


class Cell(nn.Module):
    """model_search.py: the mixed operations of all edges in order, each the sum of its weighted operations."""

    def __init__(self, before: int, last: int, channels: int, *, reduction: bool, after_reduction: bool) -> None:
        super().__init__()

        def project(inputs: int) -> nn.Module:
            norm = nn.BatchNorm2d(channels, affine=False)
            return nn.Sequential(nn.ReLU(), nn.Conv2d(inputs, channels, 1, bias=False), norm)

        self.older = FactorizedReduce(before, channels) if after_reduction else project(before)
        self.newer = project(last)
        self.edges = nn.ModuleList()
        for node in range(NODES):
            for source in range(2 + node):
                stride = 2 if reduction and source < 2 else 1
                self.edges.append(nn.ModuleList(primitive(name, channels, stride) for name in PRIMITIVES))

    def forward(self, older: Tensor, newer: Tensor, weights: Tensor) -> Tensor:
        states, first = [self.older(older), self.newer(newer)], 0
        for _ in range(NODES):
            summed = []
            for edge, state in enumerate(states, start=first):
                operations: Any = self.edges[edge]
                summed.append(sum(w * operation(state) for w, operation in zip(weights[edge], operations, strict=True)))
            first += len(states)
            states.append(sum(summed))
        return torch.cat(states[-NODES:], 1)


class Reference(nn.Module):
    """model_search.py: the network; `forward` takes the weights [14, 8] of normal and of reduction cells."""

    def __init__(self, filters: int, layers: int, classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 3 * filters, 3, padding=1, bias=False), nn.BatchNorm2d(3 * filters))
        before, last, channels, after_reduction = 3 * filters, 3 * filters, filters, False
        self.cells, self.kinds = nn.ModuleList(), []
        for index in range(layers):
            reduction = index in (layers // 3, 2 * layers // 3)
            channels *= 1 + reduction
            self.cells.append(Cell(before, last, channels, reduction=reduction, after_reduction=after_reduction))
            before, last, after_reduction = last, NODES * channels, reduction
            self.kinds.append("reduction" if reduction else "normal")
        self.classify = nn.Linear(last, classes)

    def forward(self, x: Tensor, weights: dict[str, Tensor]) -> Tensor:
        older = newer = self.stem(x)
        for kind, cell in zip(self.kinds, self.cells, strict=True):
            older, newer = newer, cell(older, newer, weights[kind])
        return self.classify(newer.mean((2, 3)))


def edges_of(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights [14, 8] of each kind of cell under the names of the product."""
    places = [(node, source) for node in range(2, NODES + 2) for source in range(node)]
    return {f"{k}/{n}/{s}": w for k, rows in weights.items() for (n, s), w in zip(places, rows.unbind(), strict=True)}


def product(variant: str, filters: int, repeats: int) -> Any:
    """Return the product's network of a variant."""
    from archwright.space import Open, Task
    from archwright.spaces.darts import Darts

    partial = 4 if variant == "partial" else 1
    space = Darts(filters=filters, repeats=repeats, partial=partial, checkpointed=variant == "checkpointed")
    return space.network(Open.mixture(space), Task(3, 32, 32, 10)).to(memory_format=torch.channels_last)


def stepper(variant: str, filters: int, repeats: int, batch: int) -> Callable[[bool], None]:
    """Return a function that takes an architecture step, or one of the weights."""
    x, labels = torch.randn(batch, 3, 32, 32), torch.randint(0, 10, (batch,))
    alphas = {kind: (1e-3 * torch.randn(14, 8)).requires_grad_() for kind in ("normal", "reduction")}
    ours = variant != "reference"
    network = product(variant, filters, repeats) if ours else Reference(filters, 3 * repeats + 2)
    if ours:
        x = x.contiguous(memory_format=torch.channels_last)
    network.train()
    adam = torch.optim.Adam(alphas.values(), lr=3e-4, betas=(0.5, 0.999), weight_decay=1e-3)
    sgd = torch.optim.SGD(network.parameters(), lr=0.025, momentum=0.9, weight_decay=3e-4)

    def loss(weights: dict[str, Tensor]) -> Tensor:
        if not ours:
            return functional.cross_entropy(network(x, weights), labels)
        soft = edges_of(weights)
        if variant == "partial":
            soft |= {f"{kind}/{n}": torch.full((n,), 1 / n) for kind in weights for n in range(2, NODES + 2)}
        with torch.autocast("cpu", torch.bfloat16, enabled=variant == "bfloat16"):
            return functional.cross_entropy(network(x, soft).float(), labels)

    def step(architecture: bool) -> None:
        weights = {kind: alpha.softmax(1) for kind, alpha in alphas.items()}
        if not ours:
            loss(weights).backward()
        elif architecture:
            network.requires_grad_(False)
            gradients = torch.autograd.grad(loss(weights), list(alphas.values()))
            for alpha, gradient in zip(alphas.values(), gradients, strict=True):
                alpha.grad = gradient
            network.requires_grad_(True)
        else:
            loss({kind: weight.detach() for kind, weight in weights.items()}).backward()
        if architecture:
            adam.step()
        else:
            nn.utils.clip_grad_norm_(network.parameters(), 5)
            sgd.step()
        adam.zero_grad()
        sgd.zero_grad()

    return step


def one_round(variant: str, given: argparse.Namespace) -> dict[str, float]:
    """Run a variant in this process: images per second of both kinds of steps, and the peak in bytes."""
    if variant != "reference":
        from archwright.training.measure import tune_malloc

        tune_malloc()
    threads, clock = (1, time.process_time) if given.cpu else (given.threads, time.perf_counter)
    if threads is not None:
        torch.set_num_threads(threads)
    torch.manual_seed(0)
    step = stepper(variant, given.filters, given.repeats, given.batch)
    count, found = 1 if variant == "reference" else 3, {}
    for architecture, name in ((False, "weights"), (True, "architecture")):
        step(architecture)
        began = clock()
        for _ in range(count):
            step(architecture)
        found[name] = given.batch * count / (clock() - began)
    unit = 1 if sys.platform == "darwin" else 1024
    return {**found, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--filters", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, help="of PyTorch; its own choice if not given")
    parser.add_argument("--variants", default=",".join(VARIANTS), help="the others are compared with the first")
    parser.add_argument("--cpu", action="store_true", help="count seconds of the processor; one thread")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--variant", help="run this one once, in this process, and print its figures")
    given = parser.parse_args(arguments)
    if given.variant is not None:
        print(json.dumps(one_round(given.variant, given)))
        return
    variants = given.variants.split(",")
    runs: dict[str, list[dict[str, float]]] = {variant: [] for variant in variants}
    sizes = [f"--{name}={getattr(given, name)}" for name in ("filters", "repeats", "batch")]
    sizes += ["--cpu"] if given.cpu else [] if given.threads is None else [f"--threads={given.threads}"]
    for number in range(given.rounds):
        for variant in variants if number % 2 == 0 else reversed(variants):
            command = [sys.executable, __file__, f"--variant={variant}", *sizes]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            runs[variant].append(json.loads(done.stdout))
    medians = {v: {key: statistics.median(run[key] for run in done) for key in done[0]} for v, done in runs.items()}
    first = runs[variants[0]]
    ratios = {
        v: {key: statistics.median(a[key] / b[key] for a, b in zip(done, first, strict=True)) for key in done[0]}
        for v, done in runs.items()
    }
    if given.json:
        print(json.dumps({"medians": medians, "ratios": ratios, "rounds": runs}))
        return
    print(f"{'':<14}{'weights img/s':>15}{'ratio':>7}{'alphas img/s':>14}{'ratio':>7}{'peak GiB':>10}{'ratio':>7}")
    for variant in variants:
        own, over = medians[variant], ratios[variant]
        print(
            f"{variant:<14}{own['weights']:>15.1f}{over['weights']:>7.2f}{own['architecture']:>14.1f}"
            f"{over['architecture']:>7.2f}{own['peak'] / 2**30:>10.2f}{over['peak']:>7.2f}"
        )


if __name__ == "__main__":
    main()
