"""`archwright cook`: combinations of ingredients with a cooking method."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from archwright.cli.commands import Parser, chosen, print_json
from archwright.cli.cooking.job import Cooking
from archwright.cli.cooking.order import FEW_TRIALS, OBJECTIVE, Order
from archwright.cli.cooking.outcome import summary
from archwright.cli.guarded import INTERRUPTED
from archwright.cli.progress import OutputClosed, ProgressView
from archwright.errors import ConfigError
from archwright.files import target
from archwright.loop import Trial
from archwright.modalities.recipes.explain import lines_of
from archwright.pages.report import REPORT
from archwright.runs.folder import RUNS

DESCRIPTION = (
    "Find combinations of ingredients with a cooking method that are plausible and new. A model learns from known "
    "recipes what goes together; a controller writes dishes, and their scores are its rewards. Nothing is claimed "
    "about taste."
)

METRICS = "plausible, log_likelihood, novel, variety, balance, energy_kcal..., with ratings rating"
FLAGS: dict[str, dict[str, Any]] = {  # those with a field of `Order`, which has the defaults
    "data": {"help": "recipes: a .jsonl or .csv file, an .npz of Ahn et al., or dishes, which come along"},
    "compounds": {"help": "flavour compounds: a CSV with the columns ingredient and compound, or that .npz"},
    "nutrition": {"help": "nutrients of 100 g: a CSV with a column ingredient, and energy_kcal, protein_g..."},
    "with": {"dest": "wanted", "help": "ingredients that every dish has, such as potato,beef or 土豆,牛肉"},
    "without": {"help": "ingredients that no dish has, or a category of them (meat); of several words one is enough"},
    "method": {"dest": "methods", "help": "cooking methods that a dish may have; default: all of the recipes"},
    "cuisine": {"help": "a cuisine of the recipes: makes the metric cuisine, which the default objective has"},
    "most_methods": {"type": int, "help": "cooking methods of a dish, at most"},
    "objective": {"help": f"what the reward is, in arithmetic of {METRICS} (default: {OBJECTIVE})"},
    "pareto": {"help": "several objectives, such as plausible,novel: the dishes shown are spread over their front"},
    "within": {"action": "append", "help": "METRIC=VALUE that a dish has at most: energy_kcal=800; may be repeated"},
    "at_least": {"dest": "least", "action": "append", "help": "METRIC=VALUE that a dish has at least: protein_g=20"},
    "count": {"type": int, "help": "dishes to show"},
    "trials": {"type": int, "help": f"dishes to score; with guided {FEW_TRIALS['guided']}"},
    "controller": {"help": "what proposes; archwright controllers lists them"},
    "imitate": {"type": int, "help": "steps in which the controller first learns to write known dishes"},
    "seed": {"type": int, "help": "of everything random"},
}
LISTS = ("wanted", "without", "methods")
SEPARATORS = r"[,;\uff0c\u3001]\s*"  # and the Chinese commas


def cook(arguments: Sequence[str]) -> int:
    """Search for dishes, and say why each."""
    given = _parser().parse_args(arguments)
    fields = chosen(vars(given), Order.__dataclass_fields__)
    for name in fields.keys() & set(LISTS):
        fields[name] = [word for word in re.split(SEPARATORS, fields[name]) if word.strip()]
    if given.ingredients is not None:
        fields["fewest"], fields["most"] = _range(given.ingredients)
    target(Path(given.run or RUNS))
    with ProgressView(json_output=given.json) as view:
        cooking = Cooking(given.run, fields)
        with cooking.store:
            view.say(f"run folder: {cooking.folder}")
            for note in cooking.data.notes:
                view.say(f"note: {note}")
            try:
                _follow(cooking, view)
            except KeyboardInterrupt:
                view.say(f"stopped; everything so far is in {cooking.folder}")
                view.say(f"  archwright cook --run {cooking.folder}    goes on")
                return INTERRUPTED
            except OutputClosed as closed:
                raise OutputClosed(f"{closed}; archwright cook --run {cooking.folder} goes on") from None
            result = cooking.store.get("result")
        if given.json:
            print_json(result)
            return 0
        for line in ["", *lines_of(result["dishes"], given.language), summary(result)]:
            view.say(line)
        if len(result["dishes"]) < cooking.order.count:
            view.say(f"fewer than {cooking.order.count} dishes meet the wishes; more --trials may find others")
        view.say(f"report: {cooking.folder / REPORT}")
    return 0


def _follow(cooking: Cooking, view: ProgressView) -> None:
    """Show the events of a search."""
    best, begun = 0.0, time.monotonic()
    for event in cooking:
        if not isinstance(event, Trial):
            view.say(event)
            view.begin(event)
            continue
        done, total = event.number + 1, cooking.order.trials
        best = max(best, event.reward)
        view.count(done, total, f"dishes, best reward {best:.3f}")
    view.say(f"{time.monotonic() - begun:.1f} s")


def _range(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d+)(?:-(\d+))?", text.strip())
    if found is None:
        raise ConfigError(f"--ingredients {text}: expected a number, or a range such as 3-6")
    return int(found[1]), int(found[2] or found[1])


def _parser() -> Parser:
    parser = Parser(prog="archwright cook", description=DESCRIPTION)
    for name, keywords in FLAGS.items():
        default = Order.__dataclass_fields__[keywords.get("dest", name)].default
        shown = f" (default: {default})" if default not in (None, ()) else ""
        parser.add_argument(f"--{name}", **{**keywords, "help": keywords["help"] + shown})
    parser.add_argument("--ingredients", help="how many: 4, or a range (default: 3-6)")
    parser.add_argument("--language", choices=("en", "zh"), default="en", help="of the names and reasons shown")
    parser.add_argument("--run", help="the run folder; that of an earlier call goes on (default: a new one in runs/)")
    parser.add("json")
    return parser
