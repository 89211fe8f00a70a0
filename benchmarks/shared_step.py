"""A training step of shared weights: throughput and peak memory, beside a child's and beside a plain reference.

    python benchmarks/shared_step.py [--space micro|macro|recurrent] [--rounds 3] [--architectures 10] [--threads N]
        [--beside CHECKOUT] [--processor]

A step is forward, backward, clip, update, as in `SharedWeights`, at the sizes of the official searches: `micro` 20
filters and 6 layers, `macro` 12 layers of 36 filters, 128 images of 3 x 32 x 32 each; `recurrent` 12 nodes of 1,000
units, 64 x 35 words of a vocabulary of 10,000. A round is, for each of ten fixed architectures, one step that does not
count and one that does. Variants:

- `shared`: the supernet as the product runs it: channels_last, and memory that the C library keeps (`tune_malloc`).
- `child`: each architecture's network alone, run the same way. `shared` should cost what it costs.
- `plain` (images): the supernet as PyTorch comes: contiguous, default malloc.
- `beside`, with `--beside CHECKOUT`: `shared` of another version of archwright, say one of `git worktree add CHECKOUT
  COMMIT`, in the same rounds.
- `bfloat16` (recurrent): `shared` with products in bfloat16, as `--search-recipe.precision bfloat16` has them.
- `products` (recurrent): only the matrix products of such a step, forward and backward, with nothing between them.

Settings of malloc last for a process, so each variant of each round is a process of its own; they take turns. Figures
are medians over the rounds, ratios medians of the rounds' ratios, so that they hold on a busy machine too; on a very
busy one `--processor` counts seconds of the processor, for one thread. The peak is that of the whole process
(`ru_maxrss`); what it is before the network is built, PyTorch itself, is shown apart. `bound` is the child's peak plus
the shared weights and their momentum.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

VARIANTS = {
    "micro": ("shared", "child", "plain"),
    "macro": ("shared", "child", "plain"),
    "recurrent": ("shared", "bfloat16", "child", "products"),
}
IMAGES = 128
ROWS, LENGTH, VOCABULARY, UNITS, NODES = 64, 35, 10_000, 1000, 12


def peak() -> int:
    """The largest resident size of this process so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def image_steps(space: Any, recipe: Any, variant: str, count: int) -> Iterator[Callable[[], None]]:
    """For each architecture, a step."""
    import torch

    from archwright.space import Open, Task, sample
    from archwright.training.batches import arrange
    from archwright.training.optimizer import Optimizer
    from archwright.training.regularisation import training_loss

    task = Task(3, 32, 32, 10)
    tuned = variant != "plain"
    x, labels = arrange(torch.randn(IMAGES, 3, 32, 32), tuned), torch.randint(0, 10, (IMAGES,))

    def placed(open_: Any) -> tuple[Any, Any]:
        network = space.network(open_, task).train()
        if tuned:
            network.to(memory_format=torch.channels_last)
        return network, Optimizer(network, recipe)

    network, optimizer = placed(Open.all(space)) if variant != "child" else (None, None)
    for seed in range(count):
        architecture = sample(space, seed)
        if variant == "child":
            network, optimizer = placed(Open.only(space, architecture))

        def step(network: Any = network, optimizer: Any = optimizer, architecture: Any = architecture) -> None:
            loss, _ = training_loss(network, x, labels, recipe, architecture)
            loss.backward()
            optimizer.step(recipe.learning_rate, optimizer.gradient_norm().item())
            optimizer.clear()

        yield step


def text_steps(variant: str, count: int) -> Iterator[Callable[[], None]]:
    """The same for the recurrent space."""
    import torch

    from archwright.space import Open, TextTask, sample
    from archwright.spaces import EnasRecurrent
    from archwright.training.optimizer import Optimizer
    from archwright.training.recipe import ENAS_RECURRENT
    from archwright.training.regularisation import token_loss

    recipe = replace(ENAS_RECURRENT, precision="bfloat16" if variant == "bfloat16" else "float32")
    space = EnasRecurrent(nodes=NODES, units=UNITS)
    task = TextTask(VOCABULARY)
    tokens = torch.randint(0, VOCABULARY, (LENGTH + 1, ROWS))
    shared = space.network(Open.all(space), task).train() if variant in ("shared", "bfloat16") else None
    optimizer = Optimizer(shared, recipe) if shared is not None else None
    for seed in range(count):
        architecture = sample(space, seed)
        if variant == "products":
            yield products
            continue
        network = shared
        if variant == "child":
            network = space.network(Open.only(space, architecture), task).train()
            optimizer = Optimizer(network, recipe)

        def step(network: Any = network, optimizer: Any = optimizer, architecture: Any = architecture) -> None:
            loss, _ = token_loss(network, tokens[:-1], tokens[1:], network.start(ROWS), recipe, architecture)
            loss.backward()
            optimizer.step(0.1, optimizer.gradient_norm().item())
            optimizer.clear()

        yield step


def products() -> None:
    """The matrix products of a step of the recurrent space: of every node at every time, of the input, of the words."""
    import torch

    with torch.no_grad():
        h, wide = torch.randn(ROWS, UNITS), torch.randn(ROWS, 2 * UNITS)
        matrices = [torch.randn(UNITS, 2 * UNITS) for _ in range(NODES)]
        for _ in range(LENGTH):
            for matrix in matrices:
                h @ matrix
        for _ in range(LENGTH):
            for matrix in matrices:
                wide @ matrix.t()
        every, every_wide = torch.randn(LENGTH * ROWS, UNITS), torch.randn(LENGTH * ROWS, 2 * UNITS)
        for _ in matrices:
            every.t() @ every_wide
        for matrix, out in (
            (matrices[0], every_wide),
            (torch.randn(UNITS, VOCABULARY), torch.randn(LENGTH * ROWS, VOCABULARY)),
        ):
            every @ matrix
            out @ matrix.t()
            every.t() @ out


def one_round(
    space_name: str, variant: str, count: int, threads: int | None, clock: Callable[[], float] = time.perf_counter
) -> dict[str, float]:
    """Run a variant in this process: images or words per second over the architectures, and peaks in bytes."""
    import torch

    from archwright.space import Open, Task, TextTask
    from archwright.spaces import EnasMacro, EnasMicro, EnasRecurrent
    from archwright.training.measure import parameters, tune_malloc
    from archwright.training.recipe import ENAS_MACRO_SEARCH, ENAS_MICRO_SEARCH

    if variant != "plain":
        tune_malloc()
    if threads is not None:
        torch.set_num_threads(threads)
    torch.manual_seed(0)
    before = peak()
    spaces = {"micro": (EnasMicro(), ENAS_MICRO_SEARCH), "macro": (EnasMacro(), ENAS_MACRO_SEARCH)}
    if space_name == "recurrent":
        steps, size = text_steps(variant, count), ROWS * LENGTH
    else:
        space, recipe = spaces[space_name]
        steps, size = image_steps(space, replace(recipe, batch=IMAGES), variant, count), IMAGES
    seconds = []
    for step in steps:
        step()
        began = clock()
        step()
        seconds.append(clock() - began)
    highest = peak()
    if space_name == "recurrent":
        space = EnasRecurrent(nodes=NODES, units=UNITS)
        with torch.device("meta"):
            weights = parameters(space.network(Open.all(space), TextTask(VOCABULARY)))
        kept = 4 * weights  # the published recipe has no momentum
    else:
        with torch.device("meta"):
            kept = 8 * parameters(spaces[space_name][0].network(Open.all(spaces[space_name][0]), Task(3, 32, 32, 10)))
    return {
        "per_second": size * count / sum(seconds),
        "peak": highest,
        "before": before,
        "shared_weights": kept,
        "threads": torch.get_num_threads(),
    }


def in_a_process(
    space: str, variant: str, count: int, threads: int | None, beside: Path | None = None, *, processor: bool = False
) -> dict[str, float]:
    """`one_round` in a process of its own, without settings of malloc from the environment."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("MALLOC_") and name != "GLIBC_TUNABLES"
    }
    if variant == "beside":
        environment["PYTHONPATH"], variant = f"{beside}/src", "shared"
    command = [sys.executable, __file__, "--space", space, "--variant", variant, "--architectures", str(count)]
    command += [] if threads is None else ["--threads", str(threads)]
    command += ["--processor"] if processor else []
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def measure(
    space: str, rounds: int, count: int, threads: int | None, beside: Path | None, *, processor: bool = False
) -> dict[str, Any]:
    """All variants in turns: medians, `shared` over each, and the rounds one by one."""
    variants = (*VARIANTS[space], *(() if beside is None else ("beside",)))
    runs: dict[str, list[dict[str, float]]] = {variant: [] for variant in variants}
    for number in range(rounds):
        for variant in variants if number % 2 == 0 else reversed(variants):
            runs[variant].append(in_a_process(space, variant, count, threads, beside, processor=processor))
    middle = {
        variant: {key: statistics.median(run[key] for run in done) for key in done[0]} for variant, done in runs.items()
    }
    ratios = {
        variant: statistics.median(
            ours["per_second"] / theirs["per_second"]
            for ours, theirs in zip(runs["shared"], runs[variant], strict=True)
        )
        for variant in variants
    }
    return {"medians": middle, "shared_over": ratios, "rounds": runs}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--space", choices=VARIANTS, help="only this one; all three if not given")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--architectures", type=int, default=10, help="of a round: the first of the fixed ones")
    parser.add_argument("--threads", type=int, help="of PyTorch; its own choice if not given")
    parser.add_argument("--beside", type=Path, help="a checkout of another version to compare with")
    parser.add_argument("--processor", action="store_true", help="seconds of the processor, not of the clock")
    parser.add_argument("--json", action="store_true", help="print one JSON object for each space")
    parser.add_argument("--variant", help="run this one once, in this process, and print its figures")
    chosen = parser.parse_args(arguments)
    if chosen.variant is not None:
        clock = time.process_time if chosen.processor else time.perf_counter
        print(json.dumps(one_round(chosen.space, chosen.variant, chosen.architectures, chosen.threads, clock)))
        return
    for space in [chosen.space] if chosen.space else VARIANTS:
        figures = measure(
            *(space, chosen.rounds, chosen.architectures, chosen.threads, chosen.beside), processor=chosen.processor
        )
        if chosen.json:
            print(json.dumps({"space": space, **figures}))
            continue
        medians = figures["medians"]
        unit = "words/s" if space == "recurrent" else "images/s"
        print(f"{space:<12}{unit:>10}{'shared over it':>16}{'peak GiB':>10}{'before GiB':>12}{'bound GiB':>11}")
        for variant, run in medians.items():
            bound = medians["child"]["peak"] + run["shared_weights"] if variant == "shared" else run["peak"]
            print(
                f"{variant:<12}{run['per_second']:>10.1f}{figures['shared_over'][variant]:>16.2f}"
                f"{run['peak'] / 2**30:>10.2f}{run['before'] / 2**30:>12.2f}{bound / 2**30:>11.2f}"
            )
        threads = medians["shared"]["threads"]
        print(f"{chosen.rounds} rounds of {chosen.architectures} architectures, {threads:.0f} threads\n")


if __name__ == "__main__":
    main()
