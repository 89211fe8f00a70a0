"""What people call: `search`, `resume` and `load`. The command line calls the same and adds words and colours."""

from __future__ import annotations

import dataclasses
import inspect
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, is_dataclass
from pathlib import Path
from typing import Any

from archwright.analysis.collapse import Collapse
from archwright.components import name_of_objective, name_of_space, typed
from archwright.errors import ArchwrightError, ConfigError, RunError, offered
from archwright.evaluators.aims import limit_texts, objective_texts
from archwright.loop import Progress, Trial
from archwright.modalities import load_model, modality
from archwright.modalities.protocol import data_lines
from archwright.pages.notebook import NotebookView, as_html, in_notebook
from archwright.pages.report import REPORT, write_report
from archwright.presets import default_space
from archwright.runs.baseline import with_baseline
from archwright.runs.events import Event, Message
from archwright.runs.folder import found_in, new_folder, opened
from archwright.runs.job import Job
from archwright.runs.outcome import conclude
from archwright.runs.plan import setting_names
from archwright.runs.planner import UserSettings
from archwright.runs.preparation import prepare
from archwright.runs.telling import Telling
from archwright.space import Architecture, Space
from archwright.store import RunStore
from archwright.tracking import trackers
from archwright.tracking.following import Following
from archwright.tracking.protocol import Tracker
from archwright.training.measure import denormals_kept
from archwright.training.recipe import Recipe

Watch = Callable[[Event], None]
NOTED_SECONDS = 2.0  # between two notes of how far a run is


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
        """Share of the test images that are classified correctly."""
        return float(self.result["test_accuracy"])

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        return as_html(self)

    @property
    def test_perplexity(self) -> float:
        """Perplexity on the test text, of a language model."""
        return float(self.result["test_perplexity"])


@denormals_kept()
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
    threads: int | None = None,
    run: str | Path | None = None,
    data_options: Mapping[str, Any] | None = None,
    watch: Watch | None = None,
    track: str | None = None,
    **settings: Any,
) -> Run:
    """Find an architecture for `data`, train it, and test it once.

    Args:
        data: "digits" (the default for images), a path, arrays `(x, y)`, a `Dataset`...: see
            `archwright.data.sources.load`; for language models "topics" (the default), a text file, or a folder of
            texts: see `archwright.data.text.load_text`.
        space: what to search; None is "stages" for images and "enas-recurrent" for text. Fields that are left at their
            defaults are the preset's or planned.
        final_space: fields of the space in final training (`{"filters": 32}`).
        controller: its name, or `file.py:Name`; `controller_settings` are its arguments. None: "guided" where fewer
            than a thousand children are trained from scratch, otherwise that of the space's paper.
        controller_settings: arguments of the controller.
        search_recipe: how shared weights are trained: a `Recipe`, of which fields left at their defaults are planned,
            or a mapping of the fields to set.
        final_recipe: how finalists are trained; as `search_recipe`.
        minutes: what everything together may take. Without it the budget is counted, and the seed fixes the run.
        preset: "small", or "paper" (the space's paper as published; days on a CPU).
        seed: of everything random.
        device: "auto", "cpu", "cuda"...
        threads: of this process; None takes the faster of one and all. Sums depend on it, and so what a seed gives.
        run: the run folder; a new one below `runs/` by default.
        data_options: arguments of `load` (`validation`, `test`, `image_size`, `limit`) or `load_text`.
        watch: called with every event (`archwright.runs.events.Event`), for progress.
        track: trackers that follow the run: "mlflow", "tensorboard", "wandb", "trackio", `file.py:Name`, or several
            separated by commas.
        settings: other settings of the plan: trials, finalists, baseline, evaluator, workers... See the parts of
            `archwright.runs.plan.Plan`. `objective` is a name, an expression of metrics, or a function of a mapping of
            them; `within` hard constraints (`{"latency_ms": 5}`), `pareto` several objectives ("accuracy,latency_ms"),
            and `target` has fields of `archwright.costs.target.Target` (docs/hardware.md).
    """
    typed(track or "")
    follow = trackers(track)
    user = user_settings(
        space=space,
        data=data,
        final_space=final_space,
        controller=controller,
        controller_settings=controller_settings,
        search_recipe=search_recipe,
        final_recipe=final_recipe,
        **settings,
    )
    prepared = prepare(
        data,
        user=user,
        preset=preset,
        minutes=minutes,
        seed=seed,
        device=device,
        threads=threads,
        data_options=data_options,
    )
    watch = watch or _usual()
    _say(prepared.data, watch)
    with prepared.begin(new_folder(run, prepared.data.name)) as store:
        return complete(Job(prepared.plan, prepared.data, store), watch, follow)


def user_settings(
    *,
    space: Space | None = None,
    data: Any = None,
    final_space: Mapping[str, Any] | None = None,
    controller: str | None = None,
    controller_settings: Mapping[str, Any] | None = None,
    search_recipe: Recipe | Mapping[str, Any] | None = None,
    final_recipe: Recipe | Mapping[str, Any] | None = None,
    **settings: Any,
) -> UserSettings:
    """Return what a user asks for, from the arguments of `search`.

    Raises:
        ConfigError: if `settings` has something that is no setting of a plan.
    """
    if unknown := sorted(set(settings) - setting_names()):
        known = [*inspect.signature(search).parameters, *sorted(setting_names())]
        raise ConfigError(f"search() has no argument {unknown[0]!r}; {offered(unknown[0], known)}")
    typed(controller or "", str(settings.get("engine")), str(settings.get("objective")))
    return UserSettings(
        space=name_of_space(space) if space is not None else default_space(data),
        space_fields=_given(space),
        final_space_fields=dict(final_space or {}),
        controller=controller,
        controller_settings=dict(controller_settings or {}),
        search_recipe=_given(search_recipe),
        final_recipe=_given(final_recipe),
        settings=_aims(settings),
    )


@denormals_kept()
def resume(
    run: str | Path,
    *,
    data: Any = None,
    space: str | None = None,
    controller: str | None = None,
    objective: Any = None,
    engine: str | None = None,
    watch: Watch | None = None,
    track: str | None = None,
    finish: bool = False,
) -> Run:
    """Go on with a run that was stopped or killed, to the same end. `finish` derives from what the search has so far.

    `data` is needed where the run was begun from Python; `space`, `controller` and `objective` where they come from the
    user's code, and `engine` to go on elsewhere, or in the cluster at the same address. `track` goes on in the same
    tracked runs.
    """
    typed(engine or "", track or "")
    follow = trackers(track)
    with opened(run, data=data, space=space, controller=controller, objective=objective) as (store, plan, loaded):
        watch = watch or _usual()
        _say(loaded, watch)
        plan = plan if engine is None else plan.changed({"engine": engine})
        return complete(Job(plan, loaded, store, skip_search=finish), watch, follow)


@denormals_kept()
def compare(run: str | Path, *, data: Any = None, space: str | None = None, watch: Watch | None = None) -> Run:
    """Train what a finished run is compared with, for as much time as it took, and return the run with its result anew.

    That is random architectures and the best known network of a race, or the space's reference. `data` and `space` are
    needed as `resume` needs them.
    """
    with opened(run, data=data, space=space) as (store, plan, loaded):
        watch = watch or _usual()
        _say(loaded, watch)
        return complete(with_baseline(plan, loaded, store), watch)


def load(run: str | Path) -> Run:
    """Return a finished run from its folder. Nothing in the folder is executed."""
    with RunStore.reading(Path(run)) as store:
        result = store.get("result")
        if result is None:
            raise RunError(f"{run} has no result yet: archwright resume {run} goes on with it")
        return Run(store.folder, result, found_in(store))


def complete(job: Job, watch: Watch | None = None, follow: Mapping[str, Tracker] | None = None) -> Run:
    """Run a job to its end and write its result; a run that is finished already is only read.

    `follow`: trackers by name, which get the same events as `watch`.
    """
    watch, store = watch or _usual(), job.store
    with Following(follow or {}, job.plan, store, watch) as following:

        def both(event: Event) -> None:
            watch(event)
            following(event)

        result = _result(job, both)
        following.finished(result)
    return Run(store.folder, result, found_in(store))


def _result(job: Job, watch: Watch) -> dict[str, Any]:
    """Do what is left of a job, and write and return its result."""
    store = job.store
    if store.get("failure") is not None:
        store.put("failure", None)
    try:
        _work(job, watch)
        result: dict[str, Any] | None = store.get("result")
        if concluding := result is None:
            store.put("progress", None)
            watch(Message("writing model, pictures and report"))
            result = conclude(job)
    except Exception as error:
        with suppress(ArchwrightError):
            store.put("failure", f"{type(error).__name__}: {error}")
        raise
    if concluding or not (store.folder / REPORT).is_file():  # a kill may have come between the result and it
        write_report(store.folder)
    return result


def _work(job: Job, watch: Watch) -> None:
    """Do what is left of a job; how far it is, and what it warns of, is in its folder while it runs."""
    collapse, store = Collapse(job.plan.search.trials, job.plan.search.space), job.store
    noted = 0.0
    for event in job:
        watch(event)
        if isinstance(event, Trial) and (warning := collapse.see(event)):
            watch(Message(warning))
            store.put("warnings", [*store.get("warnings", []), warning.removeprefix("warning: ")])
        if isinstance(event, Progress) and time.monotonic() - noted > NOTED_SECONDS:
            store.put("progress", {**vars(event), "metrics": dict(event.metrics)})
            noted = time.monotonic()


def _say(data: Any, watch: Watch) -> None:
    """Show what is said of the data."""
    for line in data_lines(modality(data)):
        watch(Message(line))


def _aims(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with the aims as a plan has them."""
    found = dict(settings)
    if callable(objective := settings.get("objective")):
        found["objective"] = name_of_objective(objective)
    if "within" in settings:
        found["within"] = limit_texts(settings["within"])
    if "pareto" in settings:
        found["pareto"] = objective_texts(settings["pareto"])
    if is_dataclass(target := settings.get("target", {})):
        found["target"] = vars(target)
    return found


def _usual() -> Watch:
    """Return what watches where the caller gives nothing: progress in a notebook, nothing elsewhere."""
    return Telling(NotebookView()) if in_notebook() else lambda event: None


def _given(value: Any) -> dict[str, Any]:
    """Return the fields that differ from their defaults, or a mapping as it is."""
    if value is None:
        return {}
    if isinstance(value, Mapping):
        return dict(value)
    return {
        f.name: getattr(value, f.name)
        for f in dataclasses.fields(value)
        if f.init and getattr(value, f.name) != f.default
    }
