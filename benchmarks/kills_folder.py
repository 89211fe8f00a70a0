"""What a folder holds after a job, without times, and how two such folders differ; the phase that a run is in."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from archwright.errors import RunError
from archwright.runs.plan import wanted_phases
from archwright.store import RunStore

DATABASE = "run.sqlite"
TIMES = {"overhead", "begun", "estimate", "rates", "summary", "command"}  # and every name with "seconds" in it
TIMES |= {"typed", "warnings"}  # the latter of a search, by the trials that one process saw
SHOWN = 160  # characters of a value in a difference
Held = dict[str, Any]  # what is compared, by where it is


def timeless(value: Any) -> Any:
    """Return plain data, or a state, without what depends on how fast the machine was."""
    if isinstance(value, Mapping):
        return {name: timeless(each) for name, each in value.items() if not _is_time(str(name))}
    if isinstance(value, (list, tuple)):
        return [timeless(each) for each in value]
    if isinstance(value, torch.Tensor):
        value = value.detach().contiguous().reshape(-1).view(torch.uint8).numpy()
    if hasattr(value, "tobytes"):
        return f"{value.dtype} {list(value.shape)} {hashlib.sha256(value.tobytes()).hexdigest()}"
    return repr(value) if isinstance(value, float) else value  # NaN does not equal itself


def _is_time(name: str) -> bool:
    return name in TIMES or "seconds" in name or name.startswith("rate/")


def held(folder: Path) -> Held:
    """Return everything below a folder: files by their bytes, JSON without times, runs by what is recorded in them."""
    found: Held = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_dir() or path.parent.name == "checkpoints":
            continue
        if path.name == DATABASE:
            found |= {f"{name}: {what}": value for what, value in recorded(path.parent)}
        elif path.suffix == ".json":
            found[name] = timeless(json.loads(path.read_text()))
        elif path.suffix == ".jsonl":
            found[name] = [timeless(json.loads(line)) for line in path.read_text().splitlines()]
        elif path.name == "report.md":
            found[name] = _without_times(path.read_text())
        elif path.name == "report.html":
            found[name] = "made of what is recorded"
        else:
            found[name] = path.read_bytes()
    return found


def recorded(folder: Path) -> Iterator[tuple[str, Any]]:
    """Yield what a run has: facts, trials, proposals without an answer, states, and the files of checkpoints."""
    with RunStore.reading(folder) as store:
        facts = [key for (key,) in store._database.rows("SELECT key FROM facts")]
        yield from ((f"fact {key}", timeless(store.get(key))) for key in facts if not _is_time(key))
        saved = store.load()
        for trial in saved.trials:
            proposal, result = trial.proposal, trial.result
            answers = {"architecture": proposal.architecture.to_json(), "stream": proposal.stream}
            answers |= {"log_prob": proposal.log_prob, "reward": result.reward, "error": result.error}
            yield f"trial {trial.number}", timeless({**answers, "metrics": result.metrics, "figures": trial.figures})
        places = store._database.rows("SELECT place FROM trials WHERE place IS NOT NULL ORDER BY place")
        yield "places of trials", [place for (place,) in places]
        yield "proposals without an answer", [number for number, _ in saved.pending]
        yield "next stream", saved.streams
        yield "controller", timeless(saved.controller or {})
        names = [name for (name,) in store._database.rows("SELECT name FROM states ORDER BY name")]
        yield from ((f"state {name}", timeless(store.restore(name))) for name in names)
    if (folder / "result.json").exists():
        with RunStore.reading(folder) as store:
            same = json.loads((folder / "result.json").read_text()) == store.get("result")
        yield "result.json is the recorded result", same
    # By name alone: the hash in the name of a file depends on the seconds that a state holds.
    yield "checkpoints", sorted(path.name.rpartition("-")[0] for path in (folder / "checkpoints").glob("*"))


def _without_times(report: str) -> list[str]:
    before, _, after = report.partition("## Seconds\n")
    _, _, rest = after.partition("\n\n![")
    return [line for line in f"{before}{rest}".splitlines() if not line.startswith("seconds ")]


def differences(reference: Held, other: Held, varies: Collection[str] = ()) -> list[str]:
    """Return in words what the other has more, less or different; files that vary have to be there."""
    lines = [f"missing: {name}" for name in reference if name not in other]
    lines += [f"too much: {name}" for name in other if name not in reference]
    for name in (reference.keys() & other.keys()) - {*varies}:
        lines += [f"{name}{where}" for where in _different(reference[name], other[name])]
    return sorted(lines)


def _different(one: Any, other: Any, where: str = "") -> Iterator[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        for name in sorted(one.keys() | other.keys(), key=str):
            yield from _different(one.get(name, "nothing"), other.get(name, "nothing"), f"{where} {name}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for index, (mine, theirs) in enumerate(zip(one, other, strict=True)):
            yield from _different(mine, theirs, f"{where} {index}")
    elif one != other:
        yield f"{where}: {repr(one)[:SHOWN]} became {repr(other)[:SHOWN]}"


def phase(folder: Path, *, silent: bool) -> str:
    """Return what a job was doing when it was killed; `silent`: its process had not said anything yet."""
    if silent:
        return "start-up and planning"
    if not (folder / DATABASE).exists():
        return "comparison" if folder.exists() else "start-up and planning"
    with tempfile.TemporaryDirectory() as copied:  # looking at it must not change what is gone on with
        for path in folder.glob(f"{DATABASE}*"):
            shutil.copy(path, copied)
        try:
            with RunStore(copied) as store:
                return _phase(folder, store)
        except RunError:
            return "start-up and planning"


def _phase(folder: Path, store: RunStore) -> str:
    kept = {f"{n}-{h[:16]}.safetensors" for n, h in store._database.rows("SELECT name, sha256 FROM states")}
    if {path.name for path in (folder / "checkpoints").glob("*")} - kept:
        return "writing a checkpoint"
    if store.get("plan") is None:
        return "start-up and planning"
    left = [name for name in wanted_phases(store.get("plan")["final"]) if not store.get(f"done/{name}")]
    if left:
        return left[0]
    return "report" if store.get("result") is None else "after the result"


def has_begun(folder: Path) -> bool:
    """Return whether a run has what `archwright resume` goes on with."""
    with tempfile.TemporaryDirectory() as copied:
        for path in folder.glob(f"{DATABASE}*"):
            shutil.copy(path, copied)
        try:
            with RunStore(copied) as store:
                return store.get("plan") is not None
        except RunError:
            return False
