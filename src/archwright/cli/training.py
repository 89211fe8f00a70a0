"""`archwright train`: a stored architecture, trained from scratch at any size on any data."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from archwright.cli.commands import print_json
from archwright.cli.display import Display
from archwright.cli.showing import architecture_at
from archwright.data.sources import load
from archwright.errors import ConfigError
from archwright.files import write
from archwright.report.statistics import wilson
from archwright.runs.components import space_class, with_fields
from archwright.runs.events import Stage
from archwright.runs.model import TrainedModel
from archwright.runs.planner import Wishes, make_plan
from archwright.runs.timing import child_network
from archwright.space import check
from archwright.training.accuracy import evaluate_accuracy
from archwright.training.fit import Fit
from archwright.training.measure import multiply_adds, parameters, tune_malloc


def train(arguments: Sequence[str]) -> int:
    """Train, test once, and write a model folder."""
    parser = argparse.ArgumentParser(
        prog="archwright train", description="Train any stored architecture from scratch, at any size, on any data."
    )
    parser.add_argument("architecture", type=Path, help="a run folder or ARCH.json")
    parser.add_argument("--data", default="digits", help="digits, .npz, image folder, or parquet")
    parser.add_argument("--to", type=Path, help="the model folder; default: trained-ID")
    parser.add_argument("--filters", type=int, help="channels of the first cells")
    parser.add_argument("--repeats", type=int, help="normal cells between reductions")
    parser.add_argument("--epochs", type=float, help="passes over the training images")
    parser.add_argument("--batch", type=int, help="images a step")
    parser.add_argument("--learning_rate", type=float, help="at the start of each cosine period")
    parser.add_argument("--image_size", type=int, help="resize images to this many pixels")
    parser.add_argument("--limit", type=int, help="use at most this many training images")
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
    options = {k: getattr(given, k) for k in ("image_size", "limit") if getattr(given, k) is not None}
    with Display(json_output=given.json) as display:
        data = load(given.data, seed=given.seed, **options)
        sizes = {k: getattr(given, k) for k in ("filters", "repeats") if getattr(given, k) is not None}
        recipe = {k: getattr(given, k) for k in ("epochs", "batch", "learning_rate") if getattr(given, k) is not None}
        wishes = Wishes(space=name, space_fields=fields, final_space_fields=sizes, final_recipe=recipe)
        plan = make_plan(
            data, wishes, data_name=given.data, data_options=options, seed=given.seed, device=given.device, timed=False
        )
        tune_malloc()
        network = child_network(plan, data, architecture)
        fit = Fit(network, data, plan.final_recipe, seed=given.seed, device=plan.device)
        display.say(f"data: {data.split}")
        display(Stage("training", 0.0, 0.0))
        begun = time.monotonic()
        for progress in fit:
            display(progress)
        if getattr(network, "auxiliary", None) is not None:
            network.auxiliary = None
        score = evaluate_accuracy(network, data.test, data.preprocessing, device=plan.device)
        count = len(data.test)
        low, high = wilson(int(score.correct.sum()), count)
        result: dict[str, Any] = {
            "architecture": architecture.id,
            "test_accuracy": score.accuracy,
            "test_interval": [low, high],
            "validation_accuracy": fit.score,
            "parameters": parameters(network),
            "multiply_adds": multiply_adds(network, data.task),
            "seconds": {"training": round(time.monotonic() - begun, 2)},
            "model": str(folder),
        }
        model = TrainedModel(network.cpu(), architecture, plan.final_space, data.classes, data.preprocessing)
        model.save(folder)
        write(folder / "architecture.json", json.dumps(architecture.to_json(), indent=1).encode())
        write(folder / "result.json", json.dumps(result, indent=1).encode())
        if not given.json:
            display.say(f"test accuracy {score.accuracy:.2%}, 95 % interval {low:.2%} to {high:.2%} ({count} images)")
            display.say(f"{result['parameters']:,} parameters, {result['multiply_adds']:,} multiply-adds")
            display.say(f"model folder {folder}")
    if given.json:
        print_json(result)
    return 0
