"""Run folders as runs leave them, made without training: finished, under way, failed, many, large; and hostile."""

from __future__ import annotations

import functools
import math
from pathlib import Path
from typing import Any

from archwright.loop import Proposal, Result, Trial
from archwright.runs.planner import UserSettings, make_plan
from archwright.space import Architecture, sample
from archwright.spaces import EnasMicro
from archwright.store import RunStore
from small_images import noise_data

SPACE = EnasMicro(nodes=2)
HOSTILE = "<img src=x onerror=\"document.title='taken'\"></svg><script>document.title='taken'</script>'\"`{{7*7}}"
PNG = (
    "data:image/png;base64,"
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAAAAADhZOFXAAAAFUlEQVR42mNk+M8ABYxQmhFKMyEJAQAxGQEHFwqfRwAAAABJRU5ErkJggg=="
)

FRONT = [{"front": n < 2, "costs": {"latency_ms": 1.0 + n % 3}, "score": 0.9 - n / 20} for n in range(4)]


@functools.lru_cache
def plan(name: str = "photos", trials: int = 40) -> dict[str, Any]:
    """A plan of ENAS's cells on noise, as JSON."""
    settings = {"trials": trials, "baseline": True}
    user = UserSettings(space="enas-micro", space_fields={"nodes": 2}, settings=settings)
    return make_plan(noise_data(), user, data_name=name, data_options={}, device="cpu", timed=False).to_json()


def trial(number: int, *, error: str | None = None) -> Trial:
    """A trial whose reward rises, with the figures of a controller."""
    reward = 0.5 + 0.4 * (1 - math.exp(-number / 400)) + 0.03 * math.sin(7 * number)
    figures = {"entropy": 2.0 * math.exp(-number / 900), "baseline": reward - 0.01, "loss": 1 / (1 + number / 50)}
    result = Result(0.0, {}, error) if error else Result(reward, {"accuracy": reward})
    return Trial(number, Proposal(number, sample(SPACE, (1, number)), -3.0), result, 0.5, figures)


def add_trials(
    store: RunStore, count: int, *, begin: int = 0, failing: int = 0, pending: int = 0, why: str = "Diverged: nan"
) -> None:
    """Record trials in big transactions; the first `failing` failed, and `pending` more have no answer yet."""
    made = [trial(n, error=why if n - begin < failing else None) for n in range(begin, begin + count + pending)]
    for first in range(0, len(made), 1000):
        store.proposed([(one.number, one.proposal) for one in made[first : first + 1000]], begin + count + pending)
    for first in range(0, count, 1000):
        store.told(made[first : min(first + 1000, count)], None)


def curve(epochs: int = 6, level: float = 0.7) -> dict[str, Any]:
    """The course of a training."""
    points = []
    for step in range(1, 10 * epochs + 1):
        figures = {
            "loss": 2 / (1 + step / 8) + 0.05 * math.sin(step),
            "learning_rate": 0.1 * (1 - step / (10 * epochs)),
        }
        if step % 10 == 0:
            figures["validation_accuracy"] = level * (1 - math.exp(-step / 15))
        points.append([step, figures])
    return {"steps": 10 * epochs, "per_epoch": 10, "points": points}


def candidate(architecture: Architecture | None, accuracy: float) -> dict[str, Any]:
    """The record of a network that was trained."""
    return {
        "architecture": None if architecture is None else architecture.to_json(),
        "error": None,
        "validation_accuracy": accuracy,
        "validation_loss": 1 - accuracy,
        "seconds": 12.0,
        "epochs": 6,
        "parameters": int(1e5 * accuracy),
        "multiply_adds": int(1e7 * accuracy),
    }


def result(architecture: Architecture, classes: list[str], data: str) -> dict[str, Any]:
    """What result.json says, as far as pages read it."""
    seconds = {"preparation": 2.0, "search": 31.0, "final training": 44.0, "test": 1.5, "report": 2.2, "total": 80.7}
    return {
        "architecture": architecture.id,
        "space": architecture.space,
        "data": data,
        "split": "40 for training, 10 for validation, 10 for the test",
        "data_notes": ["values were scaled"],
        "data_warnings": ["two classes share images"],
        "test_accuracy": 0.9125,
        "test_interval": [0.87, 0.94],
        "per_class": {name: {"accuracy": 0.9, "images": 10} for name in classes},
        "parameters": 123456,
        "multiply_adds": 9876543,
        "trials": 40,
        "seconds": seconds,
        "summary": ["architecture     found", "test accuracy    91.25 %"],
    }


def finished(
    folder: Path, *, trials: int = 40, classes: tuple[str, ...] = ("cat", "dog", "owl"), data: str = "photos"
) -> Path:
    """A run that has ended."""
    best = sample(SPACE, (1, 3))
    graphs = [
        {
            "title": graph.title,
            "nodes": [vars(node) for node in graph.nodes],
            "edges": [vars(edge) for edge in graph.edges],
        }
        for graph in SPACE.graphs(best)
    ]
    parts = [
        {
            "graph": "normal",
            "node": node,
            "shapes": ["16x8x8", "32x4x4"],
            "times": 2,
            "parameters": 1234,
            "multiply_adds": 56789,
            "whole": node == "output",
        }
        for node in ("0", "1", "2/left", "2/right", "3/left", "3/right", "output")
    ]
    last = len(classes) - 1
    worst = {"truth": classes[0], "said": classes[last], "confidence": 0.987, "picture": PNG, "text": ""}
    mistakes = {
        "worst": [worst] * 5,
        "classes": list(classes),
        "right": [9] * len(classes),
        "confused": [[0, last, 3], [last, 0, 1]],
        "noun": "images",
    }
    estimates = [
        {"label": "found", "value": 91.25, "low": 87.0, "high": 94.0, "found": True},
        {"label": "random, as many trained", "value": 88.0, "low": 84.0, "high": 91.0, "found": False},
    ]
    shown = {
        "graphs": graphs,
        "parts": parts,
        "estimates": estimates,
        "measure": "test accuracy, %",
        "mistakes": mistakes,
    }
    random = sample(SPACE, (1, 9))
    with RunStore(folder, create=True) as store:
        add_trials(store, trials, failing=2)
        phases = ("search", "derive", "final training", "random search", "test")
        store.put_all(
            {
                **{f"done/{phase}": True for phase in phases},
                "plan": plan(data, trials),
                "begun": "2026-01-02 03:04:05",
                "candidate/found-0": candidate(best, 0.91),
                "candidate/random-0": candidate(random, 0.88),
                f"curve/{best.id}": curve(),
                f"curve/{random.id}": curve(level=0.6),
                "found": "found-0",
                "estimate": {"search": 30.0, "final training": 40.0},
                "versions": {"python": "3.11.9", "torch": "2.13.0"},
                "typed": "archwright search --data photos --minutes 2",
                "warnings": ["the controller has settled"],
                "front": {"metric": "accuracy", "costs": {"latency_ms": "latency"}, "points": FRONT},
                "shown": shown,
                "result": result(best, list(classes), data),
            }
        )
    return folder


def under_way(folder: Path, *, trials: int = 25) -> RunStore:
    """A run that this process is at; close the store to end that."""
    store = RunStore(folder, create=True)
    add_trials(store, trials, pending=2)
    progress = {"phase": "search", "step": trials, "steps": 40, "metrics": {"loss": 0.73}}
    seconds = {"seconds": {"search": 12.5}, "estimate": {"search": 30.0, "final training": 40.0}}
    store.put_all({"plan": plan(), "begun": "2026-01-02 03:04:05", "progress": progress, **seconds})
    return store


def failed(folder: Path, why: str = "RunError: every trial of the search failed") -> Path:
    """A run that ended with an error."""
    with RunStore(folder, create=True) as store:
        add_trials(store, 6, failing=6, why="Diverged: loss nan at step 3")
        store.put_all({"plan": plan(), "begun": "2026-01-02 03:04:05", "failure": why, "done/search": True})
    return folder
