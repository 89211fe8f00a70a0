"""What a finished run has to say: one JSON object, pictures, a page of text, and the model's files."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

from archwright.controllers.sharding import lateness
from archwright.files import write
from archwright.graph import Graph
from archwright.modalities.protocol import Modality, verdict
from archwright.report.drawing import draw
from archwright.report.plots import comparison, search_curve
from archwright.report.text import as_text
from archwright.runs.job import Job
from archwright.runs.plan import Plan
from archwright.space import Architecture

WORDS = {"same_count": "as many trained", "same_time": "as much time"}


def conclude(job: Job) -> dict[str, Any]:
    """Gather the result of a job that has ended, and write everything into the run folder. Can be done again."""
    begun = time.monotonic()
    store, plan, data, subject = job.store, job.plan, job.data, job.candidates.modality
    key = store.get("found")
    record, test = store.get(f"candidate/{key}"), store.get(f"test/{key}")
    architecture = Architecture.from_json(record["architecture"])
    metric = f"test_{subject.metric}"
    validation = f"validation_{subject.metric}"
    result: dict[str, Any] = {
        "architecture": architecture.id,
        "space": plan.space.name,
        "data": data.name,
        "split": data.split,
        **subject.figures(test),
        validation: record[validation],
        f"random_{metric}": None,
        "random_search": {},
        "parameters": record["parameters"],
        "multiply_adds": record["multiply_adds"],
        "transferred": plan.transferred,
        "trials": sum(1 for _ in store.trials()),
        "failed_trials": sum(trial.result.error is not None for trial in store.trials()),
        "epochs": store.get("settled")["epochs"],
        "recipe": store.get("recipe"),
        "seed": plan.seed,
        "device": plan.device,
    }
    if randoms := job.candidates.trained("random"):
        groups = {"same_count": randoms[: plan.finalists]}
        if plan.transferred is None:  # otherwise nothing was searched
            groups["same_time"] = randoms
        for name, keys in groups.items():
            result["random_search"][name] = _compared(job, keys, test)
        result[f"random_{metric}"] = result["random_search"]["same_count"][metric]
        tests = [store.get(f"test/{k}")[subject.metric] for k in randoms]
        result["random_search"][f"all_{metric}"] = tests
    if plan.replicas and (late := lateness(store.load().controller or {})):
        result["replicas"] = dict(zip(("updates", "mean_staleness", "most_staleness"), late, strict=True))
    if references := job.candidates.trained("reference"):
        result["reference"] = {"network": plan.reference_name, **_compared(job, references, test)}
    seconds = store.get("seconds") or {}
    result["run"] = str(store.folder)
    network, space = job.candidates.network(key).cpu(), plan.final_space.for_architecture(architecture)
    subject.save(network, architecture, space, store.folder / "model")
    write(store.folder / "architecture.json", json.dumps(architecture.to_json(), indent=1).encode())
    graphs = space.graphs(architecture)
    _pictures(job, architecture, graphs, result)
    seconds["report"] = time.monotonic() - begun
    seconds["preparation"] = float(store.get("overhead") or 0.0)
    result["seconds"] = {name: round(value, 2) for name, value in seconds.items()}
    result["seconds"]["total"] = round(sum(seconds.values()), 2)
    result["summary"] = _summary(result, subject)
    store.put("result", result)
    write(store.folder / "result.json", json.dumps(result, indent=1).encode())
    write(store.folder / "report.md", "\n".join(report(result, graphs, subject)).encode())
    return result


def _compared(job: Job, keys: Sequence[str], test: dict[str, Any]) -> dict[str, Any]:
    """The best of these candidates by validation, and the paired difference on the test part."""
    subject, store = job.candidates.modality, job.store
    chosen = job.candidates.best(keys)
    theirs, record = store.get(f"test/{chosen}"), store.get(f"candidate/{chosen}")
    difference, low, high = subject.difference(test, theirs)
    written = record["architecture"]
    figures = subject.figures(theirs)
    return {
        "architecture": None if written is None else Architecture.from_json(written).id,
        "candidates": len(keys),
        "seconds": round(sum(store.get(f"candidate/{key}")["seconds"] for key in keys), 2),
        "parameters": record["parameters"],
        "multiply_adds": record["multiply_adds"],
        f"test_{subject.metric}": figures[f"test_{subject.metric}"],
        "test_interval": figures["test_interval"],
        "difference": difference,
        "difference_interval": [low, high],
    }


def _pictures(job: Job, architecture: Architecture, graphs: Sequence[Graph], result: dict[str, Any]) -> None:
    folder, subject = job.store.folder, job.candidates.modality
    trials = list(job.store.trials())
    for suffix in ("png", "svg"):
        draw(graphs, folder / f"cell.{suffix}", title=f"{job.plan.space.name} {architecture.id}")
        if trials:
            search_curve(
                [trial.reward for trial in trials],
                folder / f"search.{suffix}",
                failed=[i for i, trial in enumerate(trials) if trial.result.error is not None],
                title="Rewards of the search",
                reward=_reward_label(job.plan),
            )
        rows = [subject.estimate("found", result, found=True)]
        for name, words in WORDS.items():
            if name in result["random_search"]:
                rows.append(subject.estimate(f"random, {words}", result["random_search"][name]))
        if "reference" in result:
            rows.append(subject.estimate(result["reference"]["network"], result["reference"]))
        if len(rows) > 1:
            comparison(
                rows,
                folder / f"comparison.{suffix}",
                title=f"{subject.measure.partition(',')[0].capitalize()} on {subject.tested(result)} of the test part",
                measure=f"test {subject.measure}",
                scale=subject.scale,
            )


def _reward_label(plan: Plan) -> str:
    what = "validation accuracy" if plan.objective == "accuracy" else f"reward ({plan.objective})"
    return what + (" (shared weights)" if plan.evaluator == "shared-weights" else "")


def report(result: dict[str, Any], graphs: Sequence[Graph], subject: Modality) -> list[str]:
    """The result as a page of Markdown."""
    lines = [f"# {result['space']} {result['architecture']} on {result['data']}", "", *result["summary"], ""]
    lines += ["![cells](cell.png)", ""]
    for graph in graphs:
        lines += [f"## {graph.title}", "", "```", *as_text(graph), "```", ""]
    lines += subject.report_sections(result)
    lines += ["## Seconds", "", "| phase | seconds |", "|---|---|"]
    lines += [f"| {name} | {value:.1f} |" for name, value in result["seconds"].items()]
    if result["trials"]:
        lines += ["", "![search](search.png)"]
    if result["random_search"]:
        lines += ["", "![comparison](comparison.png)"]
    return [*lines, ""]


def _summary(result: dict[str, Any], subject: Modality) -> list[str]:
    """The result in a few lines of plain text."""
    metric = f"test_{subject.metric}"
    low, high = result["test_interval"]
    lines = [
        f"architecture     {result['architecture']} ({result['space']})",
        f"{subject.label:<16} {subject.words(result[metric])}, {subject.words_of_interval(low, high)}, "
        f"{subject.tested(result)} used once",
    ]
    for name, what in WORDS.items():
        if group := result["random_search"].get(name):
            words = subject.words_of_difference(group["difference"], *group["difference_interval"])
            lines.append(
                f"random search    {subject.words(group[metric])} with {what} ({group['candidates']}); "
                f"found minus random {words}"
            )
    if group := result["random_search"].get("same_time"):
        lines.append(f"verdict          {verdict(subject, *group['difference_interval'])}")
    if group := result.get("reference"):
        words = subject.words_of_difference(group["difference"], *group["difference_interval"])
        lines.append(
            f"reference        {group['network']}: {subject.words(group[metric])} with {group['parameters']:,} "
            f"parameters; found minus reference {words}"
        )
    lines += subject.details(result)
    if late := result.get("replicas"):
        lines.append(
            f"updates          {late['updates']} of the controller; a gradient came {late['mean_staleness']:.2g} "
            f"updates late on average, {late['most_staleness']} at most"
        )
    failed = f", {result['failed_trials']} failed" if result["failed_trials"] else ""
    phases = ", ".join(f"{name} {value:.0f}" for name, value in result["seconds"].items())
    return [
        *lines,
        f"size             {result['parameters']:,} parameters, {result['multiply_adds']:,} multiply-adds",
        f"trials           {result['trials']}{failed}"
        if result["transferred"] is None
        else f"transferred from {result['transferred']}",
        f"seconds          {phases}",
        f"run folder       {result['run']}",
    ]
