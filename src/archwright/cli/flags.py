"""The flags of `archwright search`, derived from the signatures of what they configure."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from archwright.cli.commands import SHARED, chosen, dashed_help, data_options, look
from archwright.cli.helping import FLAG, WIDTH, example_lines
from archwright.cli.mistakes import explained
from archwright.components import controller_class, space_class
from archwright.costs.target import Target
from archwright.engines.settings import Cluster
from archwright.errors import ConfigError
from archwright.evaluators.aims import limit_texts, objective_texts
from archwright.evaluators.objective import OBJECTIVES
from archwright.methods import METHODS, method_class
from archwright.methods.protocol import Search
from archwright.presets import PRESETS, default_space, presets_of
from archwright.runs.cluster import require_typed_address
from archwright.runs.plan import FinalTraining, setting_names
from archwright.runs.planner import UserSettings
from archwright.training.recipe import Recipe

DATA_HELP = "digits, .npz, image folder, or parquet; for language models topics, a .txt file, or a folder of them"
WITHIN_HELP = "a hard constraint, METRIC=VALUE, such as latency_ms=5 or parameters=100k; may be given several times"
PARETO_HELP = "several objectives at once, such as accuracy,latency_ms; archwright front RUN lists what is found"
STARTERS_HELP = (
    "known networks that start: all, none, or their names; a race starts with all, children from scratch none"
)
THREADS_HELP = "of this process; default: one or all, whichever is measured to be faster; they fix a seed's sums"
GROUPS = ("space", "final_space", "controller", "objective", "search_recipe", "final_recipe", "target")
AIMS: Mapping[str, Callable[[Any], Any]] = {"within": limit_texts, "pareto": objective_texts}
NAMED = {  # components: the flag gives a name, and --NAME.FIELD their fields
    "space": "what is searched; archwright spaces lists them",
    "controller": "what proposes; archwright controllers lists them",
    "objective": "what the reward is; archwright spaces lists them; or an expression of metrics",
}
# What `--help` shows; `--help all` has the rest.
COMMON = (
    *("data", "minutes", "space", "controller", "evaluator", "trials", "objective", "within", "pareto"),
    *("baseline", "image_size", "limit", "seed", "run", "track", "json", "dry_run"),
)
DESCRIPTION = "Find an architecture, train it, and test it once. What is not given is planned."
DETAILS = (
    "--space NAME, --controller NAME (or FILE.py:NAME) and --objective NAME choose components; their fields "
    "follow as --space.FIELD. Without --controller it is guided where fewer than a thousand children are trained from "
    "scratch, gradient in a gradient search, and otherwise that of the space's paper, whose fields are those below. "
    "Defaults shown for them are the papers'; the small preset sizes them for the machine."
)
MORE = """--help all: every flag. archwright spaces NAME, controllers NAME: fields, set as
--space.FIELD, --final-space.FIELD, --controller.FIELD, --final-recipe.FIELD.
"""


@dataclass(frozen=True)
class Flags:
    """What the user asked for."""

    user: UserSettings
    data_options: Mapping[str, Any] = field(default_factory=dict)
    data: str | None = None
    preset: str = "small"
    minutes: float | None = None
    seed: int = 0
    device: str = "auto"
    threads: int | None = None
    run: str | None = None
    track: str | None = None
    json: bool = False
    dry_run: bool = False


def search_flags(arguments: Sequence[str]) -> Flags:
    """Parse the flags; a configuration file's values count as flags, and flags after it override them."""
    first, words = leading(arguments, *NAMED, "config", "data", "pareto", repeated="within")
    config = config_file(first["config"])
    names = {kind: first[kind] or _name(config.get(kind)) for kind in NAMED}
    data = first["data"] or config.get("data")
    space = names["space"] or default_space(data)
    evaluator = leading(arguments, "evaluator")[0]["evaluator"] or config.get("evaluator")
    papers = _usual_controller(space, evaluator)
    parser = _parser(space, names["controller"] or papers, names["objective"])
    show_help(first["help"], parser, lambda: short_help(parser, DESCRIPTION, COMMON, MORE, NAMED))
    given = parsed(parser, words, config) | {"data": data}
    if config:
        require_typed_address(given.get("engine", "local"))
    groups = {name: given.get(name) or {} for name in GROUPS}
    settings = chosen(given, setting_names() - set(GROUPS))
    if groups["target"]:
        settings["target"] = groups["target"]
    aims = {name: first[name] or config.get(name) for name in ("within", "pareto")}
    settings |= {name: read(aims[name]) for name, read in AIMS.items() if aims[name]}
    if names["objective"]:
        settings |= {"objective": names["objective"], "objective_settings": groups["objective"]}
    user = UserSettings(
        space=space,
        space_fields=groups["space"],
        final_space_fields=groups["final_space"],
        # Whoever sets a field of the paper's controller wants it.
        controller=names["controller"] or (papers if groups["controller"] else None),
        controller_settings=groups["controller"],
        search_recipe=groups["search_recipe"],
        final_recipe=groups["final_recipe"],
        settings=settings,
    )
    own = ("data", "preset", "minutes", "seed", "device", "threads", "run", "track", "json", "dry_run")
    return Flags(user, chosen(given, data_options()), **chosen(given, own))


def _usual_controller(space: str, evaluator: str | None) -> str:
    """Return the controller of a method that has its own, or else that of the space's paper."""
    usual = presets_of(space_class(space))
    method = evaluator or usual.published.settings.get("evaluator")
    own: str | None = method_class(method).controller if method in METHODS else None
    return own or usual.controller


def leading(arguments: Sequence[str], *names: str, repeated: str | None = None) -> tuple[dict[str, Any], list[str]]:
    """Take the flags that decide which others there are, and --help, out of the arguments; return both.

    The one that may be `repeated` is a list.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("-h", "--help", nargs="?", const="short")
    for name in names:
        parser.add_argument(f"--{name}")
    if repeated is not None:
        parser.add_argument(f"--{repeated}", action="append")
    try:
        given, rest = parser.parse_known_args(arguments)
    except argparse.ArgumentError as error:
        raise ConfigError(dashed_help(explained(parser, str(error)))) from None
    return vars(given), rest


def show_help(asked: str | None, parser: Any, short: Callable[[], str]) -> None:
    """Print the help that is asked for, if any, and exit."""
    look(parser)
    if asked is not None:
        print(dashed_help(parser.format_help()) if asked == "all" else short(), end="")
        raise SystemExit(0)


def parsed(parser: Any, words: Sequence[str], config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the flags that are given, in the words or else in a configuration, as plain data."""
    import yaml
    from jsonargparse import get_loader, set_loader

    try:
        set_loader("data", lambda text: _without_code(get_loader("yaml")(text)), (yaml.YAMLError,))
        parser.parser_mode = "data"
        # What is required may be in the words: without a configuration nothing is missing yet.
        under = parser.parse_object(_nameless(config), defaults=False) if config else None
        return parser.parse_args(words, namespace=under, defaults=False).as_dict()  # type: ignore[no-any-return]
    except SystemExit:
        raise
    except Exception as error:  # its complaint in one line
        raise ConfigError(dashed_help(explained(parser, str(error)))) from None


def _parser(space: str, controller: str, objective: str | None) -> Any:
    from jsonargparse import ArgumentParser

    parser = ArgumentParser(
        prog="archwright search",
        description=f"{DESCRIPTION} {DETAILS}",
        exit_on_error=False,
        add_help=False,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--data", type=str | None, default=None, help=DATA_HELP)
    add("--minutes", type=float | None, default=None, help="what everything together may take")
    add("--run", type=str | None, default=None, help="the run folder; default: a new one in runs/")
    add("--evaluator", type=Literal[tuple(METHODS)], default=None, help="how proposals are scored")
    add("--within", type=str | list[str] | None, default=None, help=WITHIN_HELP)
    add("--pareto", type=str | list[str] | None, default=None, help=PARETO_HELP)
    add("--starters", type=str | dict[str, Any] | None, default=None, help=STARTERS_HELP)
    add_shared(parser)
    parser.add_class_arguments(Target, "target")
    fields = {name for name in Search.__dataclass_fields__ if name != "trials"}
    parser.add_class_arguments(Search, skip=fields)
    for part in (*map(method_class, METHODS), FinalTraining, Cluster):
        parser.add_class_arguments(
            part, skip={"space", "recipe", "residual", "starters"} & set(part.__dataclass_fields__)
        )
    parser.add_class_arguments(space_class(space), "space")
    parser.add_class_arguments(space_class(space), "final_space")
    parser.add_class_arguments(controller_class(controller), "controller", skip={"space", "seed"})
    if objective in OBJECTIVES:
        parser.add_class_arguments(OBJECTIVES[objective], "objective")
    parser.add_class_arguments(Recipe, "search_recipe")
    parser.add_class_arguments(Recipe, "final_recipe")
    return parser


def add_shared(parser: Any) -> None:
    """Add the flags that `search` and `transfer` share."""
    for name, keywords in data_options().items():
        kind = Literal[keywords["choices"]] if "choices" in keywords else keywords.get("type", str)
        parser.add_argument(f"--{name}", type=kind | None, default=None, help=keywords["help"])
    parser.add_argument("--config", type=str, help="a configuration file, such as the one in a run folder")
    parser.add_argument("--preset", type=Literal[PRESETS], default="small", help="what sets the sizes")
    for name in ("seed", "device", "json"):
        parser.add_argument(f"--{name}", **SHARED[name])
    parser.add_argument("--track", type=str | None, default=None, help=SHARED["track"]["help"])
    parser.add_argument("--threads", type=int | None, default=None, help=THREADS_HELP)
    parser.add_argument("--dry_run", action="store_true", help="stop after the plan")


def short_help(parser: Any, description: str, common: Sequence[str], more: str, texts: Mapping[str, str]) -> str:
    """Return the flags that people use, on a screen of 80 x 24; `texts` explain those that are not the parser's."""
    actions = {action.dest: action for action in parser._actions}
    lines = [*example_lines(parser.prog.rpartition(" ")[2]).splitlines(), "", description]
    for name in common:
        action: Any = actions.get(name)
        text = texts.get(name) or str(action.help).partition(";")[0].partition(" (type:")[0].rstrip(".")
        value = "" if action is not None and action.nargs == 0 else " " + name.upper().split("_")[-1]
        line = f"  {'--' + name.replace('_', '-') + value:<{FLAG}} {text}"
        lines.append(line if len(line) < WIDTH else f"{line[: WIDTH - 4]}...")
    return "\n".join(lines) + "\n" + more


def _without_code(value: Any) -> Any:
    """Return a value that was read; jsonargparse would import the module that a `class_path` in it names."""
    if 'class_path"' in json.dumps(value, default=str, skipkeys=True):
        raise ConfigError("class_path: settings are data, they load no code")
    return value


def config_file(path: str | None) -> dict[str, Any]:
    """Return the configuration file at `path`, in the parser's form; it holds data, no code."""
    import yaml

    if path is None:
        return {}
    try:
        config = _without_code(yaml.safe_load(Path(path).read_text(encoding="utf-8")))
    except OSError as error:
        raise ConfigError(f"--config {path}: {error.strerror}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"--config {path} is not YAML: {str(error).splitlines()[0]}") from None
    if not isinstance(config, dict):
        raise ConfigError(f"--config {path}: expected settings by name, not {type(config).__name__}")
    for kind in ("controller", "objective"):
        settings = config.pop(f"{kind}_settings", None)
        if settings is not None and isinstance(config.get(kind), str):
            config[kind] = {"name": config[kind], **settings}
    return config


def _name(component: Any) -> str | None:
    return component.get("name") if isinstance(component, Mapping) else component


def _nameless(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration without the names of components, which are known, and without what is not given."""
    given: dict[str, Any] = {}
    for key, value in config.items():
        if key in GROUPS:
            value = {k: v for k, v in value.items() if k != "name"} if isinstance(value, Mapping) else None
        if value not in (None, {}):
            given[key] = value
    return given
