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
    store, plan, modality = job.store, job.plan, job.modality
    key = store.get("found")
    record, test = store.get(f"candidate/{key}"), store.get(f"test/{key}")
    architecture = Architecture.from_json(record["architecture"])
    metric = f"test_{modality.metric}"
    validation = f"validation_{modality.metric}"
    result: dict[str, Any] = {
        "architecture": architecture.id,
        "space": plan.search.space.name,
        "data": modality.data.name,
        "split": modality.data.split,
        **modality.figures(test),
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
        groups = {"same_count": randoms[: plan.final.finalists]}
        if plan.transferred is None:  # otherwise nothing was searched
            groups["same_time"] = randoms
        for name, keys in groups.items():
            result["random_search"][name] = _compared(job, keys, test)
        result[f"random_{metric}"] = result["random_search"]["same_count"][metric]
        tests = [store.get(f"test/{k}")[modality.metric] for k in randoms]
        result["random_search"][f"all_{metric}"] = tests
    if plan.cluster.replicas and (late := lateness(store.load().controller or {})):
        result["replicas"] = dict(zip(("updates", "mean_staleness", "most_staleness"), late, strict=True))
    if references := job.candidates.trained("reference"):
        result["reference"] = {"network": plan.final.reference_name, **_compared(job, references, test)}
    seconds = store.get("seconds") or {}
    result["run"] = str(store.folder)
    network, space = job.candidates.network(key).cpu(), plan.final.space.for_architecture(architecture)
    modality.save(network, architecture, space, store.folder / "model")
    write(store.folder / "architecture.json", json.dumps(architecture.to_json(), indent=1).encode())
    graphs = space.graphs(architecture)
    _pictures(job, architecture, graphs, result)
    seconds["report"] = time.monotonic() - begun
    seconds["preparation"] = float(store.get("overhead") or 0.0)
    result["seconds"] = {name: round(value, 2) for name, value in seconds.items()}
    result["seconds"]["total"] = round(sum(seconds.values()), 2)
    result["summary"] = _summary(result, modality)
    store.put("result", result)
    write(store.folder / "result.json", json.dumps(result, indent=1).encode())
    write(store.folder / "report.md", "\n".join(report(result, graphs, modality)).encode())
    return result


def _compared(job: Job, keys: Sequence[str], test: dict[str, Any]) -> dict[str, Any]:
    """The best of these candidates by validation, and the paired difference on the test part."""
    modality, store = job.modality, job.store
    chosen = job.candidates.best(keys)
    theirs, record = store.get(f"test/{chosen}"), store.get(f"candidate/{chosen}")
    difference, low, high = modality.difference(test, theirs)
    written = record["architecture"]
    figures = modality.figures(theirs)
    return {
        "architecture": None if written is None else Architecture.from_json(written).id,
        "candidates": len(keys),
        "seconds": round(sum(store.get(f"candidate/{key}")["seconds"] for key in keys), 2),
        "parameters": record["parameters"],
        "multiply_adds": record["multiply_adds"],
        f"test_{modality.metric}": figures[f"test_{modality.metric}"],
        "test_interval": figures["test_interval"],
        "difference": difference,
        "difference_interval": [low, high],
    }


def _pictures(job: Job, architecture: Architecture, graphs: Sequence[Graph], result: dict[str, Any]) -> None:
    folder, modality = job.store.folder, job.modality
    measured = modality.measure.partition(",")[0].capitalize()
    trials = list(job.store.trials())
    for suffix in ("png", "svg"):
        draw(graphs, folder / f"cell.{suffix}", title=f"{job.plan.search.space.name} {architecture.id}")
        if trials:
            search_curve(
                [trial.reward for trial in trials],
                folder / f"search.{suffix}",
                failed=[i for i, trial in enumerate(trials) if trial.result.error is not None],
                title="Rewards of the search",
                reward=_reward_label(job.plan),
            )
        rows = [modality.estimate("found", result, found=True)]
        for name, words in WORDS.items():
            if name in result["random_search"]:
                rows.append(modality.estimate(f"random, {words}", result["random_search"][name]))
        if "reference" in result:
            rows.append(modality.estimate(result["reference"]["network"], result["reference"]))
        if len(rows) > 1:
            comparison(
                rows,
                folder / f"comparison.{suffix}",
                title=f"{measured} on {modality.tested(result)} of the test part",
                measure=f"test {modality.measure}",
            )


def _reward_label(plan: Plan) -> str:
    search = plan.search
    what = "validation accuracy" if hasattr(search.reward, "words") else f"reward ({search.objective})"
    return what + search.method.phrase


def report(result: dict[str, Any], graphs: Sequence[Graph], modality: Modality) -> list[str]:
    """The result as a page of Markdown."""
    lines = [f"# {result['space']} {result['architecture']} on {result['data']}", "", *result["summary"], ""]
    lines += ["![cells](cell.png)", ""]
    for graph in graphs:
        lines += [f"## {graph.title}", "", "```", *as_text(graph), "```", ""]
    lines += modality.report_sections(result)
    lines += ["## Seconds", "", "| phase | seconds |", "|---|---|"]
    lines += [f"| {name} | {value:.1f} |" for name, value in result["seconds"].items()]
    if result["trials"]:
        lines += ["", "![search](search.png)"]
    if result["random_search"]:
        lines += ["", "![comparison](comparison.png)"]
    return [*lines, ""]


def _summary(result: dict[str, Any], modality: Modality) -> list[str]:
    """The result in a few lines of plain text."""
    metric = f"test_{modality.metric}"
    low, high = result["test_interval"]
    lines = [
        f"architecture     {result['architecture']} ({result['space']})",
        f"{modality.label:<16} {modality.words(result[metric])}, {modality.words_of_interval(low, high)}, "
        f"{modality.tested(result)} used once",
    ]
    for name, what in WORDS.items():
        if group := result["random_search"].get(name):
            words = modality.words_of_difference(group["difference"], *group["difference_interval"])
            lines.append(
                f"random search    {modality.words(group[metric])} with {what} ({group['candidates']}); "
                f"found minus random {words}"
            )
    if group := result["random_search"].get("same_time"):
        lines.append(f"verdict          {verdict(modality, *group['difference_interval'])}")
    if group := result.get("reference"):
        words = modality.words_of_difference(group["difference"], *group["difference_interval"])
        lines.append(
            f"reference        {group['network']}: {modality.words(group[metric])} with {group['parameters']:,} "
            f"parameters; found minus reference {words}"
        )
    lines += modality.details(result)
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
