"""ONNX files of hardware.py: written, tested on the whole test part, and timed together on one thread."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from archwright.costs.latency import latency, median_interval
from archwright.costs.target import Target
from archwright.data.sources import load
from archwright.export.onnx_runtime import int8, onnx_session
from archwright.export.tracing import ExportError
from archwright.modalities import load_model
from value_table import Record

BATCH = 250
CALIBRATING = 256  # training images whose ranges int8 has
BLOCK = 0.003  # seconds of passes of a file in its turn
ROUNDS, OPENINGS = 100, 5  # files are opened several times: where their memory lies makes some per cent


def exported(run: Path, folder: Path) -> dict[str, Path]:
    """Write each trained network of a run's front, and the one it delivers, as ONNX; return the files by name."""
    found: dict[str, Path] = {}
    seen = set()
    for place in sorted([*run.glob("front-*/model.json"), run / "model" / "model.json"]):
        model = load_model(place.parent)
        what = (model.architecture.id, repr(model.space))
        if what in seen:
            continue
        seen.add(what)
        name = place.parent.name.removeprefix("front-")
        files = model.export(folder / name, formats=("onnx",))
        found[name] = files["onnx"]
    return found


def quantised(file: Path, source: str, seed: int) -> dict[str, Path]:
    """Write a file in 8 bits beside it; return it by what its name adds, or nothing where that cannot be done."""
    made = file.with_suffix(".int8.onnx")
    images = torch.split(load(source, seed=seed).train.x[:CALIBRATING], BATCH)
    try:
        int8(file, made, [{"images": x.float().numpy()} for x in images])
    except ExportError:
        return {}
    return {", int8": made}


def tested(file: Path, source: str, seed: int) -> Record:
    """Run a file on the whole test part: accuracy, and which images are right, as hexadecimal digits."""
    part, session, right = load(source, seed=seed).test, onnx_session(file), []
    for x, y in zip(torch.split(part.x, BATCH), torch.split(part.y, BATCH), strict=True):
        right.append(torch.from_numpy(session({"images": x.float().numpy()})[0]).argmax(1) == y)
    bits = torch.cat(right).tolist()
    content = f"{int(''.join('01'[bit] for bit in [True, *bits]), 2):x}"  # a leading one keeps the length
    return {"accuracy": sum(bits) / len(bits), "correct": content, "bytes": file.stat().st_size}


def correct(one: Record) -> list[bool]:
    """Which test images a file has right."""
    return [bit == "1" for bit in f"{int(one['correct'], 16):b}"[1:]]


def milliseconds(file: Path) -> float:
    """What one image takes, measured as archwright measures it in a search."""
    session = onnx_session(file)
    return latency(partial(session, session.example(1)), Target("onnx"), seconds=2.0).milliseconds


def latencies(paths: Sequence[str], folder: Path) -> Record:
    """Measure files together, in turns in random order: milliseconds of one image, and ratios of files' turns.

    A ratio is that of two turns of one round, so noise that lasts longer than a round cancels. Processor time of the
    thread counts. Each has a 95 % interval of the median.
    """
    order, source = list(paths), random.Random(0)
    turns: dict[str, list[float]] = {path: [] for path in paths}
    for _ in range(OPENINGS):
        runs = {path: _block(folder / path) for path in paths}
        for _ in range(ROUNDS):
            source.shuffle(order)
            for path in order:
                turns[path].append(runs[path]())
    medians = {path: _median([1000 * seconds for seconds in own]) for path, own in turns.items()}
    ratios = {
        one: {other: _median([a / b for a, b in zip(turns[one], turns[other], strict=True)]) for other in paths}
        for one in paths
    }
    return {"milliseconds": medians, "ratios": ratios, "rounds": OPENINGS * ROUNDS}


def _block(file: Path) -> Callable[[], float]:
    """Return what runs a file for a block of passes and returns the seconds of one."""
    session = onnx_session(file)
    feed: Any = session.example(1)

    def block(calls: int) -> float:
        begun = time.thread_time()
        for _ in range(calls):
            session(feed)
        return (time.thread_time() - begun) / calls

    block(5)
    return partial(block, max(1, round(BLOCK / block(10))))


def _median(values: list[float]) -> list[float]:
    return [statistics.median(values), *median_interval(sorted(values))]
