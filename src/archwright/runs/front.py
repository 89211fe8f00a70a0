"""The one-call front for people: `search` plans, runs, tests and reports; the command line is a thin skin over it."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from archwright.components import name_of_space, space_class
from archwright.errors import ConfigError, RunError
from archwright.files import write
from archwright.modalities import MODALITIES, load_model, modality, read
from archwright.modalities.protocol import Data
from archwright.runs.events import Event, Message
from archwright.runs.job import Job
from archwright.runs.outcome import conclude
from archwright.runs.plan import Plan
from archwright.runs.planner import Wishes, make_plan
from archwright.space import Architecture, Space
from archwright.store import RunStore
from archwright.training.device import resolve_device
from archwright.training.recipe import Recipe

RUNS = Path("runs")
Watch = Callable[[Event], None]


@dataclass(frozen=True)
class Run:
    """A finished run: its folder, and what `result.json` in it says."""

    folder: Path
    result: Mapping[str, Any]
    architecture: Architecture
    _loaded: list[Any] = field(default_factory=list, repr=False, compare=False)

    @property
    def trained(self) -> Any:
        """The model with what is needed to use it: `predict` of images, or of text `score` and `write`."""
        if not self._loaded:
            self._loaded.append(load_model(self.folder / "model"))
        return self._loaded[0]

    @property
    def model(self) -> Any:
        """The trained network (a `torch.nn.Module`) in evaluation mode; it takes preprocessed images, or tokens."""
        return self.trained.network

    @property
    def test_accuracy(self) -> float:
        """Share of the test images that are classified rightly."""
        return float(self.result["test_accuracy"])

    @property
    def test_perplexity(self) -> float:
        """Of the test text, for language models."""
        return float(self.result["test_perplexity"])


@dataclass
class Prepared:
    """A run that is planned and not begun: `plan` can be looked at, `begin` opens its folder."""

    plan: Plan
    data: Data
    overhead: float

    def begin(self, folder: Path) -> RunStore:
        """Make the run folder and freeze the plan in it."""
        store = RunStore(folder, create=True)
        try:
            store.put("plan", self.plan.to_json())
            store.put("overhead", self.overhead)
            store.put("begun", time.strftime("%Y-%m-%d %H:%M:%S"))
            write(folder / "config.yaml", config_text(self.plan).encode())
        except BaseException:
            store.close()
            raise
        return store


def prepare(
    data: Any = None,
    *,
    wishes: Wishes | None = None,
    preset: str = "small",
    minutes: float | None = None,
    seed: int = 0,
    device: str = "auto",
    data_options: Mapping[str, Any] | None = None,
) -> Prepared:
    """Load the data and make the plan; nothing is written."""
    begun = time.monotonic()
    if seed < 0:
        raise ConfigError(f"seed is {seed}; it must be zero or more")
    resolve_device(device)  # before the data, which may take long to load
    options = dict(data_options or {})
    wishes = wishes if wishes is not None else Wishes()
    wanted = space_class(wishes.space).data
    if data is None:
        data = MODALITIES[wanted].default_data
    loaded = read(data, seed=seed, wanted=wanted, **options)
    if modality(loaded).name != wanted:
        raise ConfigError(f"the space {wishes.space} is for {wanted}, and {loaded.name} is not; see archwright spaces")
    name = str(data) if isinstance(data, (str, Path)) else "python"
    plan = make_plan(
        loaded,
        wishes,
        data_name=name,
        data_options=options,
        preset=preset,
        minutes=minutes,
        seed=seed,
        device=device,
    )
    return Prepared(plan, loaded, time.monotonic() - begun)


def search(
    data: Any = None,
    *,
    space: Space | None = None,
    final_space: Mapping[str, Any] | None = None,
    controller: str | None = None,
    controller_settings: Mapping[str, Any] | None = None,
    search_recipe: Recipe | Mapping[str, Any] | None = None,
    final_recipe: Recipe | Mapping[str, Any] | None = None,
    minutes: float | None = None,
    preset: str = "small",
    seed: int = 0,
    device: str = "auto",
    run: str | Path | None = None,
    data_options: Mapping[str, Any] | None = None,
    watch: Watch | None = None,
    **settings: Any,
) -> Run:
    """Find an architecture for `data`, train it from scratch, test it once, compare it with random search.

    Args:
        data: "digits" (the default for images), a path, arrays `(x, y)`, a `Dataset`...: see
            `archwright.data.sources.load`; for language models "topics" (the default), a text file, or a folder of
            texts: see `archwright.data.text.load_text`.
        space: what to search. Fields that are left at their defaults are the preset's or planned.
        final_space: fields of the space in final training (`{"filters": 32}`).
        controller: its name, or `file.py:Name`; `controller_settings` are its arguments. None: "guided" where fewer
            than a thousand children are trained from scratch, otherwise that of the space's paper.
        search_recipe: how shared weights are trained: a `Recipe`, of which fields left at their defaults are planned,
            or a mapping of the fields to set.
        final_recipe: how finalists are trained; as `search_recipe`.
        minutes: what everything together may take. Without it the budget is counted, and the seed fixes the run.
        preset: "small", or "paper" (ENAS as published; days on a CPU).
        seed: of everything random.
        device: "auto", "cpu", "cuda"...
        run: the run folder; a new one below `runs/` by default.
        data_options: arguments of `load` (`validation`, `test`, `image_size`, `limit`) or `load_text`.
        watch: called with every event (`archwright.runs.events.Event`), for progress.
        settings: other fields of `archwright.runs.plan.Plan`: trials, finalists, baseline, evaluator, workers...
    """
    known = {f.name for f in dataclasses.fields(Plan)}
    if unknown := sorted(set(settings) - known):
        raise ConfigError(f"search() has no argument {unknown[0]!r}")
    wishes = Wishes(
        space=name_of_space(space) if space is not None else "enas-micro",
        space_fields=_given(space),
        final_space_fields=dict(final_space or {}),
        controller=controller,
        controller_settings=dict(controller_settings or {}),
        search_recipe=_given(search_recipe),
        final_recipe=_given(final_recipe),
        settings=settings,
    )
    prepared = prepare(
        data, wishes=wishes, preset=preset, minutes=minutes, seed=seed, device=device, data_options=data_options
    )
    folder = new_folder(run, prepared.data.name)
    with prepared.begin(folder) as store:
        return complete(Job(prepared.plan, prepared.data, store), watch)


def resume(
    run: str | Path,
    *,
    data: Any = None,
    space: str | None = None,
    controller: str | None = None,
    watch: Watch | None = None,
    finish: bool = False,
) -> Run:
    """Go on with a run that was stopped or killed, to the same end. `finish` derives from what the search has so far.

    `data` is needed where the run was begun from Python; `space` and `controller` where they come from the user's file.
    """
    with opened(run, data=data, space=space, controller=controller) as (store, plan, loaded):
        return complete(Job(plan, loaded, store, skip_search=finish), watch)


class opened:
    """A run folder opened for writing, with its plan and its data: a context manager of (store, plan, data)."""

    def __init__(
        self, run: str | Path, *, data: Any = None, space: str | None = None, controller: str | None = None
    ) -> None:
        self._store = RunStore(Path(run))
        try:
            self.plan = stored_plan(self._store, space, controller)
            if data is None and self.plan.data == "python":
                raise RunError(
                    f"{run} was begun with data from Python; give it again: archwright.resume(run, data=...)"
                )
            source = self.plan.data if data is None else data
            self.data = read(source, seed=self.plan.seed, **dict(self.plan.data_options))
            if self.data.fingerprint != self.plan.fingerprint:
                raise RunError(
                    f"{run}: the data at {self.plan.data} is not what the run was begun with "
                    f"(fingerprint {self.data.fingerprint}, then {self.plan.fingerprint})"
                )
        except BaseException:
            self._store.close()
            raise

    def __enter__(self) -> tuple[RunStore, Plan, Data]:
        return self._store, self.plan, self.data

    def __exit__(self, *_: object) -> None:
        self._store.close()


def stored_plan(store: RunStore, space: str | None = None, controller: str | None = None) -> Plan:
    """The plan frozen in a run folder."""
    data = store.get("plan")
    if data is None:
        raise RunError(f"{store.folder} has no plan: the run was stopped before it began; delete it and search again")
    return Plan.from_json(data, space_named=space, controller_named=controller)


def complete(job: Job, watch: Watch | None = None) -> Run:
    """Run a job to its end and write its result; a run that is finished already is only read."""
    for event in job:
        if watch is not None:
            watch(event)
    result = job.store.get("result")
    if result is None:
        if watch is not None:
            watch(Message("writing model, pictures and report"))
        result = conclude(job)
    found = job.store.get(f"candidate/{job.store.get('found')}")
    return Run(job.store.folder, result, Architecture.from_json(found["architecture"]))


def new_folder(run: str | Path | None, name: str) -> Path:
    """The run folder: the one named, or the next free one below `runs/`."""
    if run is not None:
        return Path(run)
    stem = "".join(c if c.isalnum() or c in "-_" else "-" for c in Path(name).stem)[:40] or "run"
    numbers = (f"{stem}-{number:03d}" for number in range(1, 100_000))
    return RUNS / next(n for n in numbers if not (RUNS / n).exists())


def config_text(plan: Plan) -> str:
    """The plan as a configuration file: `archwright search --config FILE` runs it again."""
    import yaml

    text: str = yaml.safe_dump(config(plan), sort_keys=False, allow_unicode=True)
    return text


def config(plan: Plan) -> dict[str, Any]:
    """The plan in the words of the command line."""
    data = plan.to_json()
    for name in ("format", "fingerprint", "threads", "estimate", "minutes"):
        data.pop(name)
    options = data.pop("data_options")
    return {**{k: v for k, v in data.items() if v is not None}, **options, "run": None}


def runs_below(folder: Path) -> Iterator[Path]:
    """The run folders directly below `folder`, by name."""
    if folder.is_dir():
        yield from sorted(path.parent for path in folder.glob("*/run.sqlite"))


def _given(value: Any) -> dict[str, Any]:
    """The fields that differ from their defaults, or a mapping as it is."""
    if value is None:
        return {}
    if isinstance(value, Mapping):
        return dict(value)
    return {
        f.name: getattr(value, f.name)
        for f in dataclasses.fields(value)
        if f.init and getattr(value, f.name) != f.default
    }


def read_architecture(text: str, source: str) -> Architecture:
    """An architecture from JSON text."""
    try:
        return Architecture.from_json(json.loads(text))
    except ValueError as error:
        raise RunError(f"{source} is not JSON: {error}") from None
