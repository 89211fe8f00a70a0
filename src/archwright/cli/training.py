"""`archwright train`: a stored architecture, trained from scratch at any size on any data."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from archwright.cli.commands import Parser, chosen, data_options, print_json
from archwright.cli.display import Display
from archwright.cli.front import picked
from archwright.cli.guarded import in_words
from archwright.cli.showing import architecture_at
from archwright.components import space_for, space_to_json
from archwright.errors import ConfigError, RunError
from archwright.files import require_space, target, write
from archwright.modalities import MODALITIES, modality, read
from archwright.modalities.protocol import Modality, data_facts, data_lines
from archwright.nets.network import without_auxiliary
from archwright.runs.assembly import network_of, recipe_of
from archwright.runs.events import Stage
from archwright.runs.folder import stored_plan
from archwright.runs.minutes import InMinutes
from archwright.runs.plan import Budget
from archwright.runs.planner import UserSettings, make_plan
from archwright.runs.rates import with_threads
from archwright.space import Architecture, Space
from archwright.store import RunStore
from archwright.training.fit import Fit
from archwright.training.measure import parameters, tune_process

SIZES = ("filters", "repeats", "units")


def train(arguments: Sequence[str]) -> int:
    """Train, test once, and write a model folder."""
    parser = Parser(
        prog="archwright train", description="Train any stored architecture from scratch, at any size, on any data."
    )
    parser.add_argument("architecture", type=Path, help="a run folder, ARCH.json, or a published one such as nasnet-a")
    parser.add_argument("--data", help="what `archwright search` takes; default: digits, or for language models topics")
    parser.add_argument(
        "--pick",
        metavar="ID",
        help="with a run: this network of its front (archwright front RUN), or knee; data and sizes are the run's",
    )
    parser.add_argument("--to", type=Path, help="the model folder; default: trained-ID")
    parser.add_argument("--units", type=int, help="of a language model")
    parser.add_argument("--epochs", type=float, help="passes over the training part")
    parser.add_argument("--minutes", type=float, help="that all of it may take, in place of --epochs")
    parser.add_argument("--batch", type=int, help="images, or rows of text, a step")
    parser.add_argument("--learning_rate", type=float, help="at the start of each cosine period")
    parser.add("filters", "repeats", *data_options(), "space", "seed", "device", "json")
    begun, given = time.monotonic(), parser.parse_args(arguments)
    if given.minutes is not None:
        Budget(given.minutes)  # it must be above zero
        if given.epochs is not None:
            raise ConfigError(f"--minutes {given.minutes:g} decides how many epochs fit; leave out --epochs")
    architecture, sizes = architecture_at(given.architecture) if given.pick is None else None, {}
    if architecture is None:
        architecture, way = picked(given.architecture, given.pick)
        sizes = _of_the_run(given, way)
    space = space_for(architecture, given.space)
    folder = given.to or Path(f"trained-{architecture.id}")
    if (folder / "model.json").exists():
        raise ConfigError(f"{folder} already holds a model; name another folder with --to")
    target(folder)
    options = chosen(vars(given), data_options())
    with Display(json_output=given.json) as display:
        source = given.data or MODALITIES[space.data].default_data
        data = read(source, seed=given.seed, **options)
        judge = modality(data)
        for line in data_lines(judge):
            display.say(line)
        user = UserSettings(
            space=given.space or architecture.space,
            space_fields=dict(architecture.fields),
            final_space_fields={**sizes, **chosen(vars(given), SIZES)},
            final_recipe=chosen(vars(given), ("epochs", "batch", "learning_rate")),
        )
        plan = make_plan(
            data, user, data_name=source, data_options=options, seed=given.seed, device=given.device, timed=False
        )
        tune_process()
        plan = with_threads(plan, judge, architecture)
        timed = None if given.minutes is None else InMinutes(plan, judge, architecture, given.minutes, begun)
        plan = plan if timed is None else timed.changed(plan)
        network = network_of(plan, judge, architecture)
        require_space(folder, sum(value.nbytes for value in network.state_dict().values()))
        fit = Fit(network, judge, recipe_of(plan, architecture), seed=given.seed, device=plan.device)
        display(Stage("training", 0.0, 0.0))
        begun = time.monotonic()
        for progress in fit if timed is None else timed.run(fit):
            display(progress)
        without_auxiliary(network)
        figures = judge.figures(judge.test(network.to(plan.device), plan.final.recipe, plan.device))
        result: dict[str, Any] = {
            "architecture": architecture.id,
            "data": data.name,
            **data_facts(judge),
            **figures,
            fit.scored_by: fit.score,
            "epochs": round(fit.steps / fit.per_epoch, 2),
            "parameters": parameters(network),
            **judge.size(network),
            "seconds": {"training": round(time.monotonic() - begun, 2)},
            "model": str(folder),
        }
        if not given.json:  # before it is written: that may fail
            value, (low, high) = figures[f"test_{judge.metric}"], figures["test_interval"]
            display.say(f"{judge.label}: {judge.wording.words(value)}, {judge.wording.words_of_interval(low, high)}")
            for line in judge.details(figures):
                display.say(line)
            display.say(f"{result['parameters']:,} parameters, {result['multiply_adds']:,} multiply-adds")
        own = plan.final.space.for_architecture(architecture)
        _kept(folder, lambda at: _write(judge, network.cpu(), architecture, own, result, at))
        if not given.json:
            display.say(f"model folder {folder}")
    if given.json:
        print_json(result)
    return 0


def _of_the_run(given: Any, way: str | None) -> dict[str, Any]:
    """Take the data from the run that is picked from, unless it is given, and return the sizes of its networks."""
    with RunStore.reading(given.architecture) as store:
        plan = stored_plan(store, given.space)
    if given.data is None and plan.data.name == "python":
        raise RunError(f"{given.architecture} was begun with data from Python; say with --data where they are")
    if given.data is None:
        given.data = plan.data.name
        for name, value in plan.data.options.items():
            if getattr(given, name, None) is None:
                setattr(given, name, value)
    fields = space_to_json(plan.final.other_ways.get(way or "", plan.final.space))
    return {k: v for k, v in fields.items() if k not in ("name", *plan.final.space.reads)}


def _write(
    judge: Modality, network: Any, architecture: Architecture, space: Space, result: dict[str, Any], folder: Path
) -> None:
    judge.save(network, architecture, space, folder)
    write(folder / "architecture.json", json.dumps(architecture.to_json(), indent=1).encode())
    write(folder / "result.json", json.dumps({**result, "model": str(folder)}, indent=1).encode())


def _kept(folder: Path, save: Callable[[Path], None]) -> None:
    """Write what was trained; where that fails, elsewhere, and raise RunError that says where."""
    try:
        save(folder)
        return
    except (OSError, RunError) as error:
        failure = in_words(error)
    for place in (None, "/dev/shm"):  # where temporary files are, then in memory
        with contextlib.suppress(OSError):
            elsewhere = Path(tempfile.mkdtemp(prefix="archwright-", dir=place))
            try:
                save(elsewhere)
            except OSError:
                shutil.rmtree(elsewhere, ignore_errors=True)
                raise
            raise RunError(f"{failure}; what was trained is in {elsewhere}")
    raise RunError(f"{failure}; the folders for temporary files cannot take what was trained either")
