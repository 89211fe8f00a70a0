"""How well a search uses its workers: children of known length, and children that train.

    python benchmarks/scaling.py [--engine ray|local] [--workers 1 2 4 8 16 32] [--seconds 2] [--rounds 3] [--json]
    python benchmarks/scaling.py --train [--workers 1 2] [--json]

Sleeping children: `run` with every trial recorded, as many children as fill `--rounds` rounds of all workers, each
asleep for `--seconds`. The workers' processes have been started by then (that is timed by itself), CPUs of the Ray
cluster are declared and not there. Efficiency is rounds x seconds over the time it took; driver time is the CPU time of
the process that searches, by trial, Ray's threads in it included; stored is what is in the object store once the
evaluator is, grown by how much more there is at the end for each trial; sent is the pickled size of a child's message
and of its answer, which go from process to process and not through the store.

Training children: NAS's convolutional children on the digits, `--rounds` for each worker; trials a minute beside those
of the in-process engine. On a machine with fewer free cores than workers this says what the engine costs, not how it
scales.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import tempfile
import time
from pathlib import Path
from typing import Any

from archwright.controllers.random import Random
from archwright.engines import Inline, LocalProcesses
from archwright.evaluators.function import Function
from archwright.loop import Engine, Proposal, Result, Trials, run
from archwright.space import Architecture, sample
from archwright.spaces import SPACES
from archwright.store import RunStore

STORE = 200 * 2**20  # bytes, of the object store
START_SECONDS = 0.2  # of the children that wait for all processes to be there


class Asleep(Function):
    """Takes a known time."""

    def __init__(self, seconds: float) -> None:
        super().__init__(_nothing)
        self.seconds = seconds

    def evaluate(self, proposal: Proposal) -> Result:
        time.sleep(self.seconds)
        return Result(1.0, {"process": float(os.getpid())})


def _nothing(architecture: Architecture) -> float:
    return 1.0


def training() -> Any:
    """NAS's small convolutional children on the digits, one epoch."""
    from dataclasses import replace

    from archwright.components import with_fields
    from archwright.data.sources import load
    from archwright.evaluators.from_scratch import FromScratch
    from archwright.modalities import modality
    from archwright.presets import preset

    data, cls = load("digits"), SPACES["nas-conv"]
    small = preset("small", cls, modality(data))
    space = with_fields(cls, dict(small.space))
    return space, FromScratch(space, data, replace(small.search_recipe, epochs=1), device="cpu")


def engine(kind: str, workers: int) -> Engine:
    if kind == "inline":
        return Inline()
    if kind == "local":
        return LocalProcesses(workers)
    from archwright.engines.ray import RayTasks

    return RayTasks(workers, object_store=STORE)


def stored_bytes(kind: str) -> int:
    """Bytes in the object store."""
    if kind != "ray":
        return 0
    import ray

    time.sleep(3.0)  # the cluster hears of it with a delay
    name = "object_store_memory"
    return int(ray.cluster_resources()[name] - ray.available_resources()[name])


def message_bytes(kind: str, evaluator: Function, proposal: Proposal) -> int:
    """Of what a child is sent, and of its answer."""
    message: Any = proposal
    if kind == "ray":
        from archwright.engines.ray import send
        from archwright.engines.worker_slot import Limits

        message = (send(evaluator), proposal, Limits())
    return len(pickle.dumps(message)) + len(pickle.dumps(Result(1.0)))


def searched(space: Any, evaluator: Any, workers: Engine, trials: int) -> tuple[float, float]:
    """Seconds, and CPU seconds of this process, of a recorded search."""
    with tempfile.TemporaryDirectory() as folder, RunStore(Path(folder), create=True) as store:
        began, cpu = time.perf_counter(), time.process_time()
        for trial in run(Random(space), evaluator, budget=Trials(trials), store=store, engine=workers):
            assert trial.result.error is None, trial  # type: ignore[union-attr]
        return time.perf_counter() - began, time.process_time() - cpu


def measure(kind: str, workers: int, seconds: float, rounds: int) -> dict[str, float]:
    """One row of sleeping children."""
    space = SPACES["enas-micro"]()
    began = time.perf_counter()
    pool = engine(kind, workers)
    try:
        evaluator = Asleep(seconds)
        proposals = [Proposal(n, sample(space, n)) for n in range(workers)]
        processes: set[float] = set()
        soon = Asleep(min(seconds, START_SECONDS))
        while len(processes) < workers:  # the first ones to be there may have taken the others' children
            futures = [pool.submit(soon, proposal) for proposal in proposals]
            processes = {future.result().metrics["process"] for future in futures}
        ready = time.perf_counter() - began
        for future in [pool.submit(evaluator, proposal) for proposal in proposals]:  # each process has it then
            future.result()
        before = stored_bytes(kind)
        trials = rounds * workers
        wall, cpu = searched(space, evaluator, pool, trials)
        return {
            "workers": workers,
            "ready_seconds": ready,
            "seconds": wall,
            "efficiency": rounds * seconds / wall,
            "driver_ms_per_trial": 1000 * cpu / trials,
            "stored_bytes": before,
            "stored_bytes_per_trial": (stored_bytes(kind) - before) / trials,
            "message_bytes_per_trial": message_bytes(kind, evaluator, proposals[0]),
        }
    finally:
        pool.close()


def measure_training(kinds: list[tuple[str, int]], rounds: int) -> list[dict[str, Any]]:
    """Trials a minute, once every process has loaded torch and the data."""
    space, evaluator = training()
    rows = []
    for kind, workers in kinds:
        pool = engine(kind, workers)
        try:
            proposals = [Proposal(n, sample(space, n)) for n in range(workers)]
            for future in [pool.submit(evaluator, proposal) for proposal in proposals]:
                future.result()
            before = stored_bytes(kind)
            trials = rounds * workers
            wall, _ = searched(space, evaluator, pool, trials)
            stored = (stored_bytes(kind) - before) / trials
        finally:
            pool.close()
        row = {"engine": kind, "workers": workers, "trials_per_minute": 60 * trials / wall}
        rows.append({**row, "stored_bytes": before, "stored_bytes_per_trial": stored})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", choices=("ray", "local"), default="ray")
    parser.add_argument("--workers", type=int, nargs="+", help="default: 1 2 4 8 16 32, with --train 1 2")
    parser.add_argument("--seconds", type=float, default=2.0, help="of a sleeping child")
    parser.add_argument("--rounds", type=int, default=3, help="children for each worker")
    parser.add_argument("--train", action="store_true", help="children that train")
    parser.add_argument("--json", action="store_true", help="a JSON object on each line")
    arguments = parser.parse_args()
    if arguments.train:
        kinds = [("inline", 1), *((arguments.engine, workers) for workers in arguments.workers or (1, 2))]
        for row in measure_training(kinds, arguments.rounds):
            print(json.dumps(row) if arguments.json else row, flush=True)
        return
    if not arguments.json:
        names = {
            "workers": 8,
            "ready s": 10,
            "seconds": 10,
            "efficiency": 12,
            "driver ms": 11,
            "stored B": 10,
            "grown B": 9,
            "sent B": 8,
        }
        print("".join(f"{name:>{width}}" for name, width in names.items()))
    for workers in arguments.workers or (1, 2, 4, 8, 16, 32):
        row = measure(arguments.engine, workers, arguments.seconds, arguments.rounds)
        if arguments.json:
            print(json.dumps({"engine": arguments.engine, **row}), flush=True)
            continue
        ready, wall, efficiency, driver, stored, grown, sent = list(row.values())[1:]
        print(
            f"{workers:>8}{ready:>10.1f}{wall:>10.2f}{efficiency:>12.1%}{driver:>11.2f}{stored:>10.0f}{grown:>9.0f}"
            f"{sent:>8.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
