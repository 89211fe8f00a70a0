"""What a finished run has to say: one JSON object, pictures, a page of text, and the model's files."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from archwright.data.images import ImageData
from archwright.files import write
from archwright.report.drawing import draw
from archwright.report.graph import graphs_of
from archwright.report.plots import Estimate, comparison, search_curve
from archwright.report.statistics import paired_difference, wilson
from archwright.report.text import as_text
from archwright.runs.job import Job
from archwright.runs.model import TrainedModel
from archwright.space import Architecture


def conclude(job: Job) -> dict[str, Any]:
    """Gather the result of a job that has ended, and write everything into the run folder. Can be done again."""
    begun = time.monotonic()
    store, plan, data = job.store, job.plan, job.data
    key = store.get("found")
    record = store.get(f"candidate/{key}")
    architecture = Architecture.from_json(record["architecture"])
    correct = _bits(store.get(f"test/{key}"))
    randoms = job.candidates.trained("random")
    result: dict[str, Any] = {
        "architecture": architecture.id,
        "space": plan.space.name,
        "data": data.name,
        "split": data.split,
        "test_accuracy": _share(correct),
        "test_interval": list(wilson(int(correct.sum()), len(correct))),
        "test_images": len(correct),
        "per_class": _per_class(data, correct),
        "validation_accuracy": record["validation_accuracy"],
        "random_test_accuracy": None,
        "random_search": {},
        "parameters": record["parameters"],
        "multiply_adds": record["multiply_adds"],
        "trials": sum(1 for _ in store.trials()),
        "failed_trials": sum(trial.result.error is not None for trial in store.trials()),
        "epochs": store.get("settled")["epochs"],
        "seed": plan.seed,
        "device": plan.device,
    }
    if randoms:
        groups = {"same_count": randoms[: plan.finalists], "same_time": randoms}
        for name, keys in groups.items():
            result["random_search"][name] = _baseline(job, keys, correct)
        result["random_test_accuracy"] = result["random_search"]["same_count"]["test_accuracy"]
        accuracies = [store.get(f"test/{k}")["accuracy"] for k in randoms]
        result["random_search"]["all_test_accuracies"] = accuracies
    seconds = store.get("seconds") or {}
    result["run"] = str(store.folder)
    model = TrainedModel(
        job.candidates.network(key).cpu(), architecture, plan.final_space, data.classes, data.preprocessing
    )
    model.save(store.folder / "model")
    write(store.folder / "architecture.json", json.dumps(architecture.to_json(), indent=1).encode())
    _pictures(job, architecture, result)
    seconds["report"] = time.monotonic() - begun
    seconds["preparation"] = float(store.get("overhead") or 0.0)
    result["seconds"] = {name: round(value, 2) for name, value in seconds.items()}
    result["seconds"]["total"] = round(sum(seconds.values()), 2)
    store.put("result", result)
    write(store.folder / "result.json", json.dumps(result, indent=1).encode())
    write(store.folder / "report.md", "\n".join(report(result, architecture)).encode())
    return result


def _bits(record: dict[str, Any]) -> np.ndarray:
    return np.array([bit == "1" for bit in record["correct"]])


def _share(correct: np.ndarray) -> float:
    return float(correct.mean())


def _per_class(data: ImageData, correct: np.ndarray) -> dict[str, dict[str, float | None]]:
    labels = data.test.y.numpy()
    found: dict[str, dict[str, float | None]] = {}
    for index, name in enumerate(data.classes):
        ours = correct[labels == index]
        found[name] = {"accuracy": float(ours.mean()) if len(ours) else None, "images": len(ours)}
    return found


def _baseline(job: Job, keys: Sequence[str], correct: np.ndarray) -> dict[str, Any]:
    """The best random candidate by validation accuracy, and the paired difference on the test images."""
    chosen = job.candidates.best(keys)
    theirs = _bits(job.store.get(f"test/{chosen}"))
    difference, low, high = paired_difference(correct, theirs)
    records = [job.store.get(f"candidate/{key}") for key in keys]
    return {
        "architecture": Architecture.from_json(job.store.get(f"candidate/{chosen}")["architecture"]).id,
        "candidates": len(keys),
        "seconds": round(sum(record["seconds"] for record in records), 2),
        "test_accuracy": _share(theirs),
        "test_interval": list(wilson(int(theirs.sum()), len(theirs))),
        "difference": difference,
        "difference_interval": [low, high],
    }


def _pictures(job: Job, architecture: Architecture, result: dict[str, Any]) -> None:
    folder = job.store.folder
    graphs = graphs_of(architecture)
    trials = list(job.store.trials())
    for suffix in ("png", "svg"):
        draw(graphs, folder / f"cell.{suffix}", title=f"{job.plan.space.name} {architecture.id}")
        if trials:
            search_curve(
                [trial.reward for trial in trials],
                folder / f"search.{suffix}",
                failed=[i for i, trial in enumerate(trials) if trial.result.error is not None],
                title="Rewards of the search",
                reward="validation accuracy" + (" (shared weights)" if job.plan.evaluator == "shared-weights" else ""),
            )
        if result["random_search"]:
            rows = [_estimate("found", result, found=True)]
            labels = {"same_count": "random, as many trained", "same_time": "random, as much time"}
            for name, label in labels.items():
                group = result["random_search"][name]
                rows.append(_estimate(label, group))
            comparison(rows, folder / f"comparison.{suffix}", title=f"Accuracy on {result['test_images']} test images")


def _estimate(label: str, figures: dict[str, Any], *, found: bool = False) -> Estimate:
    low, high = figures["test_interval"]
    return Estimate(label, figures["test_accuracy"], low, high, found=found)


def report(result: dict[str, Any], architecture: Architecture) -> list[str]:
    """The result as a page of Markdown."""
    lines = [f"# {result['space']} {result['architecture']} on {result['data']}", "", *summary(result), ""]
    lines += ["![cells](cell.png)", ""]
    for graph in graphs_of(architecture):
        lines += [f"## {graph.title}", "", "```", *as_text(graph), "```", ""]
    lines += ["## Accuracy by class", "", "| class | accuracy | test images |", "|---|---|---|"]
    for name, figures in result["per_class"].items():
        accuracy = "" if figures["accuracy"] is None else f"{figures['accuracy']:.2%}"
        lines.append(f"| {name.replace('|', chr(92) + '|')} | {accuracy} | {figures['images']} |")
    lines += ["", "## Seconds", "", "| phase | seconds |", "|---|---|"]
    lines += [f"| {name} | {value:.1f} |" for name, value in result["seconds"].items()]
    lines += ["", "![search](search.png)"]
    if result["random_search"]:
        lines += ["", "![comparison](comparison.png)"]
    return [*lines, ""]


def summary(result: dict[str, Any]) -> list[str]:
    """The result in a few lines of plain text."""
    low, high = result["test_interval"]
    lines = [
        f"architecture     {result['architecture']} ({result['space']})",
        f"test accuracy    {result['test_accuracy']:.2%}, 95 % interval {low:.2%} to {high:.2%}, "
        f"{result['test_images']} images used once",
    ]
    words = {"same_count": "as many trained", "same_time": "as much time"}
    for name, what in words.items():
        group = result["random_search"].get(name)
        if group:
            a, b = group["difference_interval"]
            lines.append(
                f"random search    {group['test_accuracy']:.2%} with {what} ({group['candidates']}); "
                f"found minus random {group['difference'] * 100:+.2f} points, "
                f"95 % interval {a * 100:+.2f} to {b * 100:+.2f}"
            )
    group = result["random_search"].get("same_time")
    if group:
        a, b = group["difference_interval"]
        verdict = (
            "the search found a better network than random search in the same time"
            if a > 0
            else "the search found a worse network than random search in the same time"
            if b < 0
            else "on these test images the search cannot be told from random search"
        )
        lines.append(f"verdict          {verdict}")
    lines += [
        f"size             {result['parameters']:,} parameters, {result['multiply_adds']:,} multiply-adds",
        f"trials           {result['trials']}"
        + (f", {result['failed_trials']} failed" if result["failed_trials"] else ""),
    ]
    phases = (
        ", ".join(f"{name} {value:.0f}" for name, value in result["seconds"].items()) if "seconds" in result else ""
    )
    return [*lines, f"seconds          {phases}", f"run folder       {result['run']}"]
