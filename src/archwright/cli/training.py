"""`archwright train`: a stored architecture, trained from scratch at any size on any data."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from archwright.cli.commands import Parser, print_json
from archwright.cli.display import Display
from archwright.cli.showing import architecture_at
from archwright.components import space_class, with_fields
from archwright.errors import ConfigError
from archwright.files import write
from archwright.modalities import MODALITIES, modality, read
from archwright.nets.network import without_auxiliary
from archwright.runs.assembly import network_of, recipe_of
from archwright.runs.events import Stage
from archwright.runs.planner import UserSettings, make_plan
from archwright.space import check
from archwright.training.fit import Fit
from archwright.training.measure import parameters, tune_malloc

DATA_OPTIONS = ("image_size", "limit", "level", "vocabulary")
SIZES = ("filters", "repeats", "units")


def train(arguments: Sequence[str]) -> int:
    """Train, test once, and write a model folder."""
    parser = Parser(
        prog="archwright train", description="Train any stored architecture from scratch, at any size, on any data."
    )
    parser.add_argument("architecture", type=Path, help="a run folder, ARCH.json, or a published one such as nasnet-a")
    parser.add_argument("--data", help="what `archwright search` takes; default: digits, or for language models topics")
    parser.add_argument("--to", type=Path, help="the model folder; default: trained-ID")
    parser.add_argument("--filters", type=int, help="channels of the first cells")
    parser.add_argument("--repeats", type=int, help="normal cells between reductions")
    parser.add_argument("--units", type=int, help="of a language model")
    parser.add_argument("--epochs", type=float, help="passes over the training part")
    parser.add_argument("--batch", type=int, help="images, or rows of text, a step")
    parser.add_argument("--learning_rate", type=float, help="at the start of each cosine period")
    parser.add_argument("--image_size", type=int, help="resize images to this many pixels")
    parser.add_argument("--limit", type=int, help="use at most this many training images, or tokens")
    parser.add_argument("--level", choices=("words", "characters"), help="what the tokens of a text are")
    parser.add_argument("--vocabulary", type=int, help="keep the most frequent tokens of a text, at most this many")
    parser.add_argument("--space", help="FILE.py:NAME, for an architecture of your own space")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", action="store_true", help="the result as one JSON object on the last line")
    given = parser.parse_args(arguments)
    architecture = architecture_at(given.architecture)
    name = given.space or architecture.space
    fields = dict(architecture.fields)
    space = with_fields(space_class(name), fields)
    check(space, architecture)
    folder = given.to or Path(f"trained-{architecture.id}")
    if (folder / "model.json").exists():
        raise ConfigError(f"{folder} already holds a model; name another folder with --to")
    options = {k: getattr(given, k) for k in DATA_OPTIONS if getattr(given, k) is not None}
    with Display(json_output=given.json) as display:
        source = given.data or MODALITIES[space.data].default_data
        data = read(source, seed=given.seed, **options)
        sizes = {k: getattr(given, k) for k in SIZES if getattr(given, k) is not None}
        recipe = {k: getattr(given, k) for k in ("epochs", "batch", "learning_rate") if getattr(given, k) is not None}
        user = UserSettings(space=name, space_fields=fields, final_space_fields=sizes, final_recipe=recipe)
        plan = make_plan(
            data, user, data_name=source, data_options=options, seed=given.seed, device=given.device, timed=False
        )
        tune_malloc()
        judge = modality(data)
        network = network_of(plan, judge, architecture)
        fit = Fit(network, judge, recipe_of(plan, architecture), seed=given.seed, device=plan.device)
        display.say(f"data: {data.split}")
        display(Stage("training", 0.0, 0.0))
        begun = time.monotonic()
        for progress in fit:
            display(progress)
        without_auxiliary(network)
        figures = judge.figures(judge.test(network.to(plan.device), plan.final.recipe, plan.device))
        result: dict[str, Any] = {
            "architecture": architecture.id,
            "data": data.name,
            **figures,
            fit.scored_by: fit.score,
            "parameters": parameters(network),
            **judge.size(network),
            "seconds": {"training": round(time.monotonic() - begun, 2)},
            "model": str(folder),
        }
        judge.save(network.cpu(), architecture, plan.final.space.for_architecture(architecture), folder)
        write(folder / "architecture.json", json.dumps(architecture.to_json(), indent=1).encode())
        write(folder / "result.json", json.dumps(result, indent=1).encode())
        if not given.json:
            value, (low, high) = figures[f"test_{judge.metric}"], figures["test_interval"]
            display.say(f"{judge.label}: {judge.wording.words(value)}, {judge.wording.words_of_interval(low, high)}")
            for line in judge.details(figures):
                display.say(line)
            display.say(f"{result['parameters']:,} parameters, {result['multiply_adds']:,} multiply-adds")
            display.say(f"model folder {folder}")
    if given.json:
        print_json(result)
    return 0
