"""How scores of untrained networks order the cells of NAS-Bench-201, beside what the papers say of them.

    python benchmarks/proxies.py --table DIR/nasbench201/cifar10.npz --cells 200 --repeats 5

Kendall's tau with the test accuracy after 200 epochs, and its 95 % interval, over a random sample of cells, and seconds
of processor time for each network, on one thread.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch

from archwright.lab.nas_bench_201 import FromArrays
from archwright.proxies import PROXIES, proxies_of
from archwright.proxies.joined import agreement, as_lines, columns_of
from archwright.space import sample
from archwright.spaces.nas_bench_201 import NasBench201


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--cells", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=5, help="cells of a stage")
    parser.add_argument("--filters", type=int, default=16)
    parser.add_argument("--proxies", nargs="*", default=list(PROXIES))
    given = parser.parse_args()
    torch.set_num_threads(1)
    space = NasBench201(repeats=given.repeats, filters=given.filters, affine=True)
    look = FromArrays(given.table)
    cells = [sample(space, (0, index)) for index in range(given.cells)]
    rows, begun = [], time.process_time()
    for cell in cells:
        rows.append(proxies_of(space, cell, names=given.proxies))
    seconds = (time.process_time() - begun) / len(cells)
    print(*as_lines(agreement(columns_of(rows), [look(cell)["test_accuracy"] for cell in cells])), sep="\n")
    print(f"{len(cells)} cells, {seconds:.2f} s each")


if __name__ == "__main__":
    main()
