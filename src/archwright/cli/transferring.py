"""`archwright transfer`: a found architecture at another size, for other data."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from archwright.cli.commands import print_json
from archwright.cli.display import Display
from archwright.cli.flags import DATA_HELP, shortened
from archwright.cli.searching import complete
from archwright.cli.showing import architecture_at, published_at
from archwright.components import space_class
from archwright.errors import ConfigError
from archwright.modalities import read
from archwright.runs import transfer as transfers
from archwright.runs.folder import new_folder
from archwright.runs.job import Job
from archwright.training.measure import tune_malloc
from archwright.training.recipe import Recipe

SIZES = {"filters", "repeats"}  # of the space: they are flags of their own


def transfer(arguments: Sequence[str]) -> int:
    """Build, train, compare, test once, and write a run folder."""
    given = _parsed(list(arguments))
    architecture, published = architecture_at(given.run), published_at(given.run)
    options = {name: getattr(given, name) for name in ("image_size", "limit") if getattr(given, name) is not None}
    sizes = {name: getattr(given, name) for name in ("repeats", "filters") if getattr(given, name) is not None}
    for name, value in {**options, **sizes}.items():
        if value < 1:
            raise ConfigError(f"--{name} is {value}; it must be at least 1")
    begun = time.monotonic()
    tune_malloc()
    with Display(json_output=given.json) as display:
        data = read(given.data, seed=given.seed, **options)
        plan = transfers.plan_transfer(
            architecture,
            data,
            source=str(given.run),
            data_name=given.data,
            data_options=options,
            final_space={**_filled(given.final_space), **sizes},
            published=None if published is None else published.space,
            final_recipe=_filled(given.final_recipe),
            compare=given.compare,
            preset=given.preset,
            seed=given.seed,
            device=given.device,
            space=given.space,
        )
        recipe, built = plan.final.recipe, vars(plan.final.space)
        display.say(f"data: {data.split}")
        display.say(
            f"{architecture.id} of {plan.final.space.name}, repeats {built['repeats']}, filters {built['filters']}: "
            f"{recipe.epochs:g} epochs, batch {recipe.batch}, {recipe.optimizer}"
        )
        if plan.final.residual is not None:
            display.say(
                f"beside it a random architecture, and a residual network of about {plan.final.residual:,} parameters"
            )
        if given.dry_run:
            if given.json:
                print_json({"plan": plan.to_json()})
            return 0
        folder = new_folder(given.to, f"{Path(data.name).stem}-transfer")
        with transfers.begin(plan, architecture, folder, time.monotonic() - begun) as store:
            display.say(f"run folder: {folder}")
            return complete(Job(plan, data, store), display, given.json)


def _parsed(words: list[str]) -> Any:
    from jsonargparse import ArgumentParser

    parser = ArgumentParser(
        prog="archwright transfer",
        description="Build a found architecture at another size and train it on other data, with a checkpoint each "
        "epoch; archwright resume goes on. --final_space.FIELD and --final_recipe.FIELD set everything else.",
        exit_on_error=False,
    )
    parser.add_argument("run", type=Path, help="a run folder, ARCH.json, or a published architecture such as nasnet-a")
    parser.add_argument("--config", action="config", help="settings, such as config.yaml in a transfer's folder")
    parser.add_argument("--data", type=str, required=True, help=DATA_HELP.partition(";")[0])
    parser.add_argument("--repeats", type=int, default=None, help="normal cells between reductions")
    parser.add_argument("--filters", type=int, default=None, help="channels of the first cells")
    parser.add_argument("--image_size", type=int, default=None, help="resize images to this many pixels")
    parser.add_argument("--limit", type=int, default=None, help="use at most this many training images")
    parser.add_argument("--to", type=str | None, default=None, help="the run folder; default: a new one in runs/")
    parser.add_argument("--compare", type=bool, default=False, help="train a random cell and a residual network too")
    parser.add_argument("--preset", type=Literal["small", "paper"], default="small", help="what sets the rest")
    parser.add_argument("--space", type=str | None, default=None, help="FILE.py:NAME, for your own space")
    parser.add_argument("--seed", type=int, default=0, help="of everything random")
    parser.add_argument("--device", type=str, default="auto", help="auto, cpu, cuda, cuda:N or mps")
    parser.add_argument("--json", action="store_true", help="the result as one JSON object on the last line")
    parser.add_argument("--dry_run", action="store_true", help="stop after the plan")
    space = _space_of(words)
    parser.add_class_arguments(space, "final_space", skip=SIZES | set(space.reads))  # what it reads is settled
    parser.add_class_arguments(Recipe, "final_recipe")
    try:
        given = parser.parse_args(words, defaults=False)
        whole = parser.get_defaults().clone()
        for group in ("final_space", "final_recipe"):
            whole[group] = None  # only what the user says: the rest is the preset's
        whole.update(given)
        return whole
    except SystemExit:
        raise
    except Exception as error:
        raise ConfigError(shortened(error)) from None


def _space_of(words: list[str]) -> Any:
    """The space whose fields are flags: of the architecture, which has to be the first word."""
    for index, word in enumerate(words):
        if word == "--space" and index + 1 < len(words):
            return space_class(words[index + 1])
        if word.startswith("--space="):
            return space_class(word.partition("=")[2])
    if not words or words[0].startswith("-"):
        return space_class("nasnet")  # for --help
    return space_class(architecture_at(Path(words[0])).space)


def _filled(group: Any) -> dict[str, Any]:
    return {} if group is None else dict(group.as_dict() if hasattr(group, "as_dict") else group)
