"""Images per second and peak memory of a training step of shared weights: the ENAS micro search's, on the CPU.

    python benchmarks/shared_step.py [--rounds 3] [--architectures 10] [--threads N] [--json]

The supernet has 20 filters and 6 layers (2 repeats) and takes 128 images of 3 x 32 x 32. A round is one step (forward,
backward, clip, SGD, as in `SharedWeights`) on each of ten fixed architectures, after one step that does not count.
Fewer architectures are quicker, and have another peak.
"ours" is how the product runs it: channels_last, and memory that the C library keeps (`tune_malloc`). Beside it the
same code as PyTorch comes: contiguous, default malloc. Settings of malloc last for a process, so each variant of each
round is a process of its own; the two take turns. Figures are medians over the rounds; the ratio is the median of the
rounds' ratios, so that it holds on a busy machine too. The peak is that of the whole process (`ru_maxrss`); what it is
before the network is built, PyTorch itself, is shown apart.
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
from collections.abc import Sequence
from dataclasses import replace

VARIANTS = ("ours", "reference")
WHAT = {"ours": "channels_last, tuned malloc", "reference": "contiguous, default malloc"}
BATCH, FILTERS, REPEATS = 128, 20, 2


def peak() -> int:
    """The largest resident size of this process so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def one_round(variant: str, count: int, threads: int | None) -> dict[str, float]:
    """Run a variant in this process: images per second over the architectures, and peaks in bytes."""
    import torch

    from archwright.space import Open, Task, sample
    from archwright.spaces import EnasMicro
    from archwright.training.batches import arrange
    from archwright.training.descent import Descent
    from archwright.training.measure import tune_malloc
    from archwright.training.recipe import ENAS_MICRO_SEARCH
    from archwright.training.regularisation import training_loss

    ours = variant == "ours"
    if ours:
        tune_malloc()
    if threads is not None:
        torch.set_num_threads(threads)
    torch.manual_seed(0)
    recipe = replace(ENAS_MICRO_SEARCH, batch=BATCH)
    space = EnasMicro(repeats=REPEATS, filters=FILTERS)
    architectures = [sample(space, seed) for seed in range(count)]
    before = peak()
    network = space.network(Open.all(space), Task(3, 32, 32, 10)).train()
    if ours:
        network.to(memory_format=torch.channels_last)
    descent = Descent(network, recipe)
    x, labels = arrange(torch.randn(BATCH, 3, 32, 32), ours), torch.randint(0, 10, (BATCH,))
    seconds = []
    for architecture in [architectures[0], *architectures]:
        began = time.perf_counter()
        loss, _ = training_loss(network, x, labels, recipe, architecture)
        loss.backward()
        descent.step(recipe.learning_rate, descent.gradient_norm().item())
        descent.clear()
        seconds.append(time.perf_counter() - began)
    return {
        "images_per_second": BATCH * count / sum(seconds[1:]),
        "peak": peak(),
        "before": before,
        "threads": torch.get_num_threads(),
    }


def in_a_process(variant: str, count: int, threads: int | None) -> dict[str, float]:
    """`one_round` in a process of its own, without settings of malloc from the environment."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("MALLOC_") and name != "GLIBC_TUNABLES"
    }
    command = [sys.executable, __file__, "--variant", variant, "--architectures", str(count)]
    command += [] if threads is None else ["--threads", str(threads)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def measure(rounds: int, count: int, threads: int | None) -> dict[str, object]:
    """Both variants in turns: medians, their ratio, and the rounds one by one."""
    runs: dict[str, list[dict[str, float]]] = {variant: [] for variant in VARIANTS}
    for number in range(rounds):
        for variant in VARIANTS if number % 2 == 0 else reversed(VARIANTS):
            runs[variant].append(in_a_process(variant, count, threads))
    middle = {
        variant: {key: statistics.median(run[key] for run in done) for key in done[0]} for variant, done in runs.items()
    }
    pairs = zip(*([run["images_per_second"] for run in runs[variant]] for variant in VARIANTS), strict=True)
    return {"medians": middle, "ratio": statistics.median(ours / theirs for ours, theirs in pairs), "rounds": runs}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--architectures", type=int, default=10, help="steps of a round: the first of the fixed ones")
    parser.add_argument("--threads", type=int, help="of PyTorch; its own choice if not given")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--variant", choices=VARIANTS, help="run this one once, in this process, and print its figures")
    chosen = parser.parse_args(arguments)
    if chosen.variant is not None:
        print(json.dumps(one_round(chosen.variant, chosen.architectures, chosen.threads)))
        return
    figures = measure(chosen.rounds, chosen.architectures, chosen.threads)
    if chosen.json:
        print(json.dumps(figures))
        return
    medians = figures["medians"]
    reference = medians["reference"]["images_per_second"]
    print(f"{'step of the shared weights':<32}{'images/s':>10}{'ratio':>8}{'peak GiB':>10}{'PyTorch alone GiB':>18}")
    for variant in VARIANTS:
        run = medians[variant]
        ratio = figures["ratio"] if variant == "ours" else run["images_per_second"] / reference
        print(
            f"{WHAT[variant]:<32}{run['images_per_second']:>10.1f}{ratio:>8.2f}"
            f"{run['peak'] / 2**30:>10.2f}{run['before'] / 2**30:>18.2f}"
        )
    threads = medians["ours"]["threads"]
    print(f"{chosen.rounds} rounds of {chosen.architectures} steps, {threads:.0f} threads, batch {BATCH}")


if __name__ == "__main__":
    main()
