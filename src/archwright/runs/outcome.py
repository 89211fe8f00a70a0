"""The outcome of a finished run: one JSON object, pictures, a page of text, and the model's files."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from archwright.controllers.sharding import lateness
from archwright.costs.target import COSTS, Target
from archwright.files import inside, write
from archwright.graph import Graph
from archwright.loop import Trial
from archwright.modalities.protocol import Modality, data_facts, data_lines, verdict
from archwright.proxies.joined import as_lines, first_words
from archwright.report.drawing import draw
from archwright.report.escape import for_markdown, for_terminal
from archwright.report.front import cost_words, front_picture
from archwright.report.plots import Estimate, comparison, search_curve
from archwright.report.text import as_text
from archwright.runs.job import Job
from archwright.space import Architecture, Space

WORDS = {"same_count": "as many trained", "same_time": "as much time"}


def conclude(job: Job) -> dict[str, Any]:
    """Gather the result of a job that has ended, and write everything into the run folder. Can be done again."""
    begun = time.monotonic()
    store, plan, modality = job.store, job.plan, job.modality
    key = store.get("delivered", store.get("found"))
    record, test, trials = store.get(f"candidate/{key}"), store.get(f"test/{key}"), list(store.trials())
    architecture = Architecture.from_json(record["architecture"])
    found, candidates = store.get("found"), job.candidates_of(key)
    test_of_found = store.get(f"test/{found}")  # of what the search found, which the others are compared with
    metric, validation = f"test_{modality.metric}", f"validation_{modality.metric}"
    result: dict[str, Any] = {
        "architecture": architecture.id,
        "space": candidates.plan.final.space.name,
        "data": modality.data.name,
        "split": modality.data.split,
        **data_facts(modality),
        **modality.figures(test),
        validation: record[validation],
        f"random_{metric}": None,
        "random_search": {},
        "parameters": record["parameters"],
        "multiply_adds": record["multiply_adds"],
        "transferred": plan.transferred,
        "trials": len(trials),
        "failed_trials": sum(trial.result.error is not None for trial in trials),
        "epochs": record.get("epochs", store.get("settled")["epochs"]),
        "gain": store.get("gain"),
        "recipe": store.get("recipe"),
        "seed": plan.seed,
        "device": plan.device,
        "run": str(store.folder),
    }
    way = store.get(f"candidate/{found}").get("way")  # what is compared is run in the same way
    if randoms := job.candidates.trained("random", way):
        groups = {"same_count": randoms[: plan.final.finalists]}
        if plan.transferred is None:  # otherwise nothing was searched
            groups["same_time"] = randoms
        compared = {name: _compared(job, keys, test_of_found) for name, keys in groups.items()}
        tests = [store.get(f"test/{k}")[modality.metric] for k in randoms]
        result["random_search"] = {**compared, f"all_{metric}": tests}
        result[f"random_{metric}"] = compared["same_count"][metric]
    if plan.cluster.replicas and (late := lateness(store.load().controller or {})):
        result["replicas"] = dict(zip(("updates", "mean_staleness", "most_staleness"), late, strict=True))
    if (orders := store.get("orders")) is not None:
        result["orders"] = orders
    if references := job.candidates.trained("reference", way):
        name = gain["known"] if (gain := store.get("gain")) else plan.final.reference_name
        result["reference"] = {"network": name, **_compared(job, references, test_of_found)}
    if (rival := job.rivals.last) is not None:
        result["known"] = _offered(job, rival)
        if result["known"]["better"]:
            other = "found" if key == rival else "known"
            save_model(job, found if key == rival else rival, other)
            result["known"]["folders"] = {other: str(store.folder / other)}
    if (measured := job.front) is not None:
        store.put("front", measured)
        write(store.folder / "front.json", json.dumps(measured, indent=1).encode())
        result |= _front(job, measured, key)
    space = save_model(job, key, "model")
    write(store.folder / "architecture.json", json.dumps(architecture.to_json(), indent=1).encode())
    graphs, estimates = space.graphs(architecture), _estimates(modality, result)
    _draw(job, graphs, trials, estimates, result)
    store.put("shown", _shown(job, key, graphs, estimates, test))
    seconds = {
        **store.get("seconds", {}),
        "report": time.monotonic() - begun,
        "preparation": float(store.get("overhead", 0.0)),
    }
    seconds["total"] = sum(seconds.values())
    result["seconds"] = {name: round(value, 2) for name, value in seconds.items()}
    result["summary"] = _summary(result, modality)
    write(store.folder / "result.json", json.dumps(result, indent=1).encode())
    write(store.folder / "report.md", "\n".join(_report(result, graphs, modality)).encode())
    store.put("result", result)  # last: a run that has one is finished, and resume writes nothing
    return result


def _front(job: Job, measured: dict[str, Any], key: str) -> dict[str, Any]:
    """Draw the front, save its trained networks as `front-ID`, and return what a result says of it."""
    for suffix in ("png", "svg"):
        front_picture(measured, job.store.folder / f"front.{suffix}")
    members = [point for point in measured["points"] if point["front"]]
    for point in members:
        if job.plan.search.pareto and str(point["key"]).startswith("found"):
            save_model(job, point["key"], f"front-{point['id']}")
    (own,) = [point for point in measured["points"] if point["key"] == key]
    return {"costs": own["costs"], "target": vars(job.plan.target), "front": [point["id"] for point in members]}


def save_model(job: Job, key: str, folder: str) -> Space:
    """Write a trained candidate as a model, and return its space."""
    candidates, store = job.candidates_of(key), job.store
    architecture = Architecture.from_json(store.get(f"candidate/{key}")["architecture"])
    space: Space = candidates.space(store.get(f"candidate/{key}")).for_architecture(architecture)
    job.modality.save(candidates.network(key).cpu(), architecture, space, inside(store.folder, folder))
    return space


def _offered(job: Job, key: str) -> dict[str, Any]:
    """Return a known network beside what the search found: who is better in validation, and by how much."""
    modality, store, rival = job.modality, job.store, job.rivals.chosen[key]
    record, found = store.get(f"candidate/{key}"), store.get("found")
    validation, figures = f"validation_{modality.metric}", modality.figures(store.get(f"test/{key}"))
    theirs = store.get(f"candidate/{found}")
    return {
        "network": rival["network"],
        "share": rival["share"],
        "difference": rival["difference"],
        "difference_interval": rival["interval"],
        "better": rival["better"],
        "delivered": store.get("delivered") == key,
        **{name: record[name] for name in ("seconds", "epochs", "parameters", "multiply_adds", validation)},
        **{name: figures[name] for name in (f"test_{modality.metric}", "test_interval")},
        "architecture": Architecture.from_json(record["architecture"]).id,
        "found": {"architecture": Architecture.from_json(theirs["architecture"]).id, validation: theirs[validation]}
        | {name: value for name, value in modality.figures(store.get(f"test/{found}")).items() if "test" in name},
    }


def _compared(job: Job, keys: Sequence[str], test: dict[str, Any]) -> dict[str, Any]:
    """Return the best of these candidates by validation, and the paired difference on the test part."""
    modality, store = job.modality, job.store
    chosen = job.candidates.best(keys)
    theirs, record = store.get(f"test/{chosen}"), store.get(f"candidate/{chosen}")
    difference, *interval = modality.difference(test, theirs)
    written, figures = record["architecture"], modality.figures(theirs)
    return {
        "architecture": None if written is None else Architecture.from_json(written).id,
        "candidates": len(keys),
        "seconds": round(sum(store.get(f"candidate/{key}")["seconds"] for key in keys), 2),
        **{name: record[name] for name in ("parameters", "multiply_adds")},
        **{name: figures[name] for name in (f"test_{modality.metric}", "test_interval")},
        "difference": difference,
        "difference_interval": interval,
    }


def _comparisons(result: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any], str]]:
    """Yield what was trained beside the network found: its kind, its name in a picture, its figures, in words."""
    for name, what in WORDS.items():
        if group := result["random_search"].get(name):
            yield "random search", f"random, {what}", group, f" with {what} ({group['candidates']})"
    if group := result.get("reference"):
        yield "reference", group["network"], group, f" with {group['parameters']:,} parameters"


def _estimates(modality: Modality, result: dict[str, Any]) -> list[Estimate]:
    """Return the metric of the network delivered and of what was trained beside it, with intervals."""
    known = result.get("known", {"delivered": False})
    rows = [modality.estimate(known["network"] if known["delivered"] else "found", result, found=True)]
    if "network" in known:
        other = ("found", known["found"]) if known["delivered"] else (known["network"], known)
        rows.append(modality.estimate(*other))
    return rows + [modality.estimate(name, figures) for _, name, figures, _ in _comparisons(result)]


def _shown(
    job: Job, key: str, graphs: Sequence[Graph], estimates: Sequence[Estimate], test: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what pages show of the network delivered, as plain data: they have no data and none of the user's code."""
    modality = job.modality
    return {
        "graphs": [asdict(graph) for graph in graphs],
        "parts": [asdict(part) for part in modality.parts(job.candidates_of(key).network(key).cpu())],
        "estimates": [asdict(estimate) for estimate in estimates],
        "measure": f"test {modality.wording.measure}",
        "mistakes": modality.mistakes(test).to_json(),
    }


def _draw(
    job: Job,
    graphs: Sequence[Graph],
    trials: Sequence[Trial],
    rows: Sequence[Estimate],
    result: dict[str, Any],
) -> None:
    folder, modality, search = job.store.folder, job.modality, job.plan.search
    reward = "validation accuracy" if hasattr(search.reward, "words") else search.reward_name
    measured = modality.wording.measure.partition(",")[0].capitalize()
    for suffix in ("png", "svg"):
        draw(graphs, folder / f"cell.{suffix}", title=f"{result['space']} {result['architecture']}")
        if trials:
            search_curve(
                [trial.reward for trial in trials],
                folder / f"search.{suffix}",
                failed=[i for i, trial in enumerate(trials) if trial.result.error is not None],
                title="Rewards of the search",
                reward=reward + search.method.phrase,
            )
        if len(rows) > 1:
            comparison(
                rows,
                folder / f"comparison.{suffix}",
                title=f"{measured} on {modality.tested(result)} of the test part",
                measure=f"test {modality.wording.measure}",
            )


def _report(result: dict[str, Any], graphs: Sequence[Graph], modality: Modality) -> list[str]:
    """Return the result as a page of Markdown."""
    title = for_markdown(f"{result['space']} {result['architecture']} on {result['data']}")
    lines = [f"# {title}", "", "```", *map(for_terminal, result["summary"]), "```", ""]
    lines += ["![cells](cell.png)", ""]
    for graph in graphs:
        lines += [f"## {for_markdown(graph.title)}", "", "```", *as_text(graph), "```", ""]
    if orders := result.get("orders"):
        lines += [
            "## Orders of the shortlist",
            "",
            f"Kendall's tau with {orders['trained']} trainings from scratch:",
            "",
        ]
        lines += ["```", *as_lines(orders), "```", ""]
    lines += modality.report_sections(result)
    lines += ["## Data", "", *(f"- {for_markdown(line)}" for line in data_lines(modality)), ""]
    lines += ["## Seconds", "", "| phase | seconds |", "|---|---|"]
    lines += [f"| {for_markdown(name)} | {value:.1f} |" for name, value in result["seconds"].items()]
    if result["trials"]:
        lines += ["", "![search](search.png)"]
    if result["random_search"]:
        lines += ["", "![comparison](comparison.png)"]
    if "front" in result:
        lines += ["", "![front](front.png)"]
    return [*lines, ""]


def _summary(result: dict[str, Any], modality: Modality) -> list[str]:
    """Return the result in a few lines of plain text."""
    metric, interval = f"test_{modality.metric}", modality.wording.words_of_interval(*result["test_interval"])
    rows = [
        ("architecture", f"{result['architecture']} ({result['space']})"),
        (modality.label, f"{modality.wording.words(result[metric])}, {interval}, {modality.tested(result)} used once"),
    ]
    for kind, name, group, words in _comparisons(result):
        ours = "" if kind == "random search" else f"{name}: "
        difference = modality.wording.words_of_difference(group["difference"], *group["difference_interval"])
        against = f"found minus {kind.partition(' ')[0]} {difference}"
        rows.append((kind, f"{ours}{modality.wording.words(group[metric])}{words}; {against}"))
        if group is result["random_search"].get("same_time"):
            rows.append(("verdict", verdict(modality, *group["difference_interval"])))
    if known := result.get("known"):
        rows.append(("known network", _known_in_words(known, modality, result["run"])))
    if gain := result.get("gain"):
        rows.append(("known networks", _gain_in_words(gain, modality, result["architecture"])))
    if orders := result.get("orders"):
        rows.append(("shortlist", f"{first_words(orders)}, of {orders['trained']} trained from scratch"))
    lines = [f"{title:<16} {words}" for title, words in rows] + modality.details(result)
    if late := result.get("replicas"):
        lines.append(
            f"updates          {late['updates']} of the controller; a gradient came {late['mean_staleness']:.2g} "
            f"updates late on average, {late['most_staleness']} at most"
        )
    if "front" in result:
        told = [cost_words(name, value, COSTS[name]) for name, value in result["costs"].items() if name in COSTS]
        lines.append(f"costs            {', '.join(told)} ({Target(**result['target']).words()})")
        lines.append(f"front            {len(result['front'])} networks: archwright front {result['run']}")
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


def _known_in_words(known: dict[str, Any], modality: Modality, run: str) -> str:
    """Say whether a known network is better than what the search found, and where the other is."""
    name, share = known["network"], known["share"]
    difference = modality.wording.words_of_difference(known["difference"], *known["difference_interval"])
    low, high = known["difference_interval"]
    words = (
        f"{name}, trained for {known['seconds']:.0f} s ({share:.0%} of what was found): "
        f"{modality.wording.words(known[f'test_{modality.metric}'])}; in validation found minus known {difference}"
    )
    if not known["better"]:
        return f"{words}: the network found is better" if not low <= 0 <= high else words
    sure = "is better" if not low <= 0 <= high else "is ahead, not certainly"
    if known["delivered"]:
        return f"{words}: {name} {sure} and is delivered; what the search found is in {run}/found"
    return f"{words}: {name} {sure}; archwright predict or export {run}/known takes it (--deliver best delivers it)"


def _gain_in_words(gain: dict[str, Any], modality: Modality, delivered: str) -> str:
    """Say what a race found beside the best known network that raced.

    Another one than the winner is `delivered` where several are trained to their end, or the winner failed there.
    """
    if gain["won"] and Architecture.from_json(gain["architecture"]).id != delivered:
        ahead = f"{gain['known']} was ahead in the last heat, after equal seconds"
        return f"{ahead}; {delivered}, which is delivered, is the best in validation of those trained to their end"
    if gain["won"]:
        return f"{gain['known']} won the race: nothing that was found was far enough ahead after equal seconds"
    difference = modality.wording.words_of_difference(gain["difference"], *gain["interval"])
    return f"in the last heat, after equal seconds, found minus {gain['known']} {difference} (validation)"
