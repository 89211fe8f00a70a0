"""`archwright transfer`: a found architecture at another size, for other data."""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from archwright.cli.commands import SHARED, chosen, data_options, print_json
from archwright.cli.display import Display
from archwright.cli.flags import DATA_HELP, add_shared, config_file, leading, parsed, short_help, show_help
from archwright.cli.searching import complete
from archwright.cli.showing import architecture_at, published_at
from archwright.components import space_class
from archwright.errors import ConfigError
from archwright.files import target
from archwright.modalities import modality, read
from archwright.modalities.protocol import data_lines
from archwright.report.words import counted
from archwright.runs import transfer as transfers
from archwright.runs.folder import RUNS, new_folder
from archwright.runs.job import Job
from archwright.tracking import trackers
from archwright.training.measure import tune_process
from archwright.training.recipe import Recipe

DESCRIPTION = """Build a found architecture at another size and train it on other data; resume
goes on. RUN is a run folder, ARCH.json, or a name such as nasnet-a."""
COMMON = (
    *("data", "repeats", "filters", "image_size", "limit", "compare", "preset", "to", "space", "seed", "device"),
    *("config", "json", "dry_run"),
)
MORE = """
--help all: every flag. archwright spaces NAME: fields, --final-space.FIELD.
"""


def transfer(arguments: Sequence[str]) -> int:
    """Build, train, compare, test once, and write a run folder."""
    given = _parsed(arguments)
    follow = trackers(given.track)
    architecture, published = architecture_at(given.run), published_at(given.run)
    options, sizes = chosen(vars(given), data_options()), chosen(vars(given), transfers.SIZES)
    for name, value in {**options, **sizes}.items():
        if isinstance(value, int) and value < 1:
            raise ConfigError(f"--{name} is {value}; it must be at least 1")
    begun = time.monotonic()
    if not given.dry_run:
        target(Path(given.to or RUNS))
    tune_process()
    with Display(json_output=given.json) as display:
        data = read(given.data, seed=given.seed, **options)
        plan = transfers.plan_transfer(
            architecture,
            data,
            source=str(given.run),
            data_name=given.data,
            data_options=options,
            final_space={**given.final_space, **sizes},
            published=None if published is None else published.space,
            final_recipe=given.final_recipe,
            compare=given.compare,
            preset=given.preset,
            seed=given.seed,
            device=given.device,
            threads=given.threads,
            space=given.space,
        )
        recipe, built = plan.final.recipe, vars(plan.final.space)
        loaded = modality(data)
        for line in data_lines(loaded):
            display.say(line)
        display.say(
            f"{architecture.id} of {plan.final.space.name}, repeats {built['repeats']}, filters {built['filters']}: "
            f"{counted(recipe.epochs, 'epoch')}, batch {recipe.batch}, {recipe.optimizer}"
        )
        if plan.final.residual is not None:
            display.say(
                f"beside it a random architecture, and a residual network of about {plan.final.residual:,} parameters"
            )
        if given.dry_run:
            if given.json:
                print_json({"plan": plan.to_json(), "data": loaded.remarks()})
            return 0
        folder = new_folder(given.to, f"{Path(data.name).stem}-transfer")
        with transfers.begin(plan, architecture, folder, time.monotonic() - begun) as store:
            display.say(f"run folder: {folder}")
            return complete(Job(plan, data, store), display, given.json, follow)


def _parsed(arguments: Sequence[str]) -> Namespace:
    from jsonargparse import ArgumentParser

    first, words = leading(arguments, "space", "config")
    config = config_file(first["config"])
    parser = ArgumentParser(
        prog="archwright transfer", description=DESCRIPTION, exit_on_error=False, add_help=False, allow_abbrev=False
    )
    parser.add_argument(
        "run", type=Path, nargs="?", help="a run folder, ARCH.json, or a published architecture such as nasnet-a"
    )
    parser.add_argument("--data", type=str | None, default=None, help=DATA_HELP.partition(";")[0])
    for name in transfers.SIZES:
        parser.add_argument(f"--{name}", **SHARED[name])
    parser.add_argument("--to", type=str | None, default=None, help="the run folder; default: a new one in runs/")
    parser.add_argument("--compare", type=bool, default=False, help="train a random cell and a residual network too")
    parser.add_argument("--space", **SHARED["space"])
    add_shared(parser)
    space = _space(first, words)
    # What the architecture's program reads is settled.
    parser.add_class_arguments(space, "final_space", skip={*transfers.SIZES, *space.reads})
    parser.add_class_arguments(Recipe, "final_recipe")
    show_help(first["help"], parser, lambda: short_help(parser, DESCRIPTION, COMMON, MORE, {}))
    flags = parsed(parser, words, config)
    if missing := [name for name in ("run", "data") if flags.get(name) is None]:
        raise ConfigError(f"transfer needs {missing[0].replace('data', '--data')}")
    defaults = dict.fromkeys(("data", "to", *data_options(), *transfers.SIZES)) | {
        "compare": False,
        "preset": "small",
        "seed": 0,
        "device": "auto",
        "threads": None,
        "track": None,
        "json": False,
        "dry_run": False,
        "final_space": {},  # only what the user says: the rest is the preset's
        "final_recipe": {},
    }
    return Namespace(**{**defaults, **flags, "space": first["space"]})


def _space(first: dict[str, Any], words: list[str]) -> Any:
    """Return the space whose fields are flags: of the architecture, which has to be the first word."""
    if first["space"] is not None:
        return space_class(first["space"])
    if not words or words[0].startswith("-"):
        return space_class("nasnet")  # for --help
    return space_class(architecture_at(Path(words[0])).space)
