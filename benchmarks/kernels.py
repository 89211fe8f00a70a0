"""Separable and pointwise convolutions by our own kernels beside PyTorch's, forward and backward, in milliseconds.

    python benchmarks/kernels.py [--images 128] [--threads 1] [--shapes 20x32 40x16 80x8 36x32]

Maps are of the supernets' sizes (channels x side), channels innermost. Figures are of processor time, the least of five
passes; the two take turns. `CC="gcc -mno-avx512f"` shows what there is without AVX-512, `CC=false` that PyTorch runs.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from archwright.nets import chain, native
from archwright.nets.cell import Joined
from archwright.nets.feature_map import FeatureMap, apply
from archwright.nets.ops import Pointwise, Separable
from archwright.training.measure import tune_process

PASSES = 5
Run = Callable[[], Tensor]


def modules(channels: int, maps: Sequence[Tensor]) -> dict[str, tuple[nn.Module, Run]]:
    """What a supernet's cells are made of, and how each runs."""
    made = {f"sep_{k}x{k}": Separable(channels, channels, 1, k) for k in (3, 5)} | {
        "conv_1x1": Pointwise(channels, channels)
    }
    alone = {name: (module, lambda module=module: apply(module, FeatureMap(maps[0]))) for name, module in made.items()}
    joined = Joined(range(len(maps)), channels)
    return {**alone, "three maps joined": (joined, lambda: joined(maps, range(len(maps))))}


def least(run: Callable[[], object]) -> float:
    seconds = []
    for _ in range(PASSES + 1):
        began = time.process_time()
        run()
        seconds.append(time.process_time() - began)
    return 1000 * min(seconds[1:])


def measure(module: nn.Module, run: Run) -> tuple[float, float]:
    """Forward, and forward with backward."""
    gradient = torch.randn_like(run())

    def both() -> None:
        torch.autograd.backward(run(), gradient)
        module.zero_grad()

    return least(run), least(both)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=128)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--shapes", nargs="+", default=["20x32", "40x16", "80x8", "36x32"])
    chosen = parser.parse_args(arguments)
    tune_process()
    torch.set_num_threads(chosen.threads)
    print(f"kernels: {native.found()[1]}")
    print(f"{'':<26}{'kernels':>18}{'PyTorch':>18}{'ratio':>14}")
    ours = chain.library
    for shape in chosen.shapes:
        channels, side = map(int, shape.split("x"))
        maps = [torch.randn(chosen.images, channels, side, side) for _ in range(3)]
        maps = [one.contiguous(memory_format=torch.channels_last).requires_grad_() for one in maps]
        for name, (module, run) in modules(channels, maps).items():
            found = []
            for library in (ours, lambda: None):
                chain.library = library
                found.append(measure(module.to(memory_format=torch.channels_last), run))
            (forward, both), (plain, plain_both) = found
            print(
                f"{shape:<8}{name:<18}{forward:>9.2f}{both:>9.2f}{plain:>9.2f}{plain_both:>9.2f}"
                f"{plain / forward:>7.2f}{plain_both / both:>7.2f}",
                flush=True,
            )
    chain.library = ours


if __name__ == "__main__":
    main()
