"""The flags of `archwright search`, derived from the signatures of what they configure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from archwright.cli.commands import dashed_help
from archwright.components import controller_class, space_class
from archwright.engines.settings import Cluster
from archwright.errors import ConfigError
from archwright.evaluators.objective import OBJECTIVES
from archwright.methods import METHODS, method_class
from archwright.methods.protocol import Search
from archwright.modalities import MODALITIES
from archwright.presets import PRESETS, presets_of
from archwright.runs.plan import FinalTraining, setting_names
from archwright.runs.planner import UserSettings
from archwright.training.recipe import Recipe

DATA_HELP = "digits, .npz, image folder, or parquet; for language models topics, a .txt file, or a folder of them"
GROUPS = ("space", "final_space", "controller", "objective", "search_recipe", "final_recipe")
NAMED = ("space", "controller", "objective")  # components: the flag gives a name, and --NAME.FIELD their fields
SHARED_DATA_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "validation": {"type": float, "help": "share of the data for validation"},
    "test": {"type": float, "help": "share of the data for the test"},
    "limit": {"type": int, "help": "use at most this many training images, or tokens of text"},
}
# What `--help` shows; `--help all` has the rest.
COMMON = (
    *("data", "minutes", "preset", "space", "controller", "evaluator", "trials", "objective", "finalists", "baseline"),
    *("workers", "image_size", "limit", "seed", "device", "run", "config", "json", "dry_run"),
)
EXAMPLE = "archwright search --data photos/ --minutes 20"
DESCRIPTION = (
    "Find an architecture for a data set, train it from scratch, test it once, compare it with random search. What is "
    "not given is planned."
)
DETAILS = (
    "--space NAME, --controller NAME and --objective NAME choose components (names, or FILE.py:NAME); their fields "
    "follow as --space.FIELD. Without --controller it is guided where fewer than a thousand children are trained from "
    "scratch, and otherwise that of the space's paper, whose fields are those below. Defaults shown for them are the "
    "papers'; the small preset sizes them for the machine."
)


@dataclass(frozen=True)
class Flags:
    """What the user asked for."""

    data: str | None
    user: UserSettings
    preset: str
    minutes: float | None
    seed: int
    device: str
    run: str | None
    data_options: Mapping[str, Any]
    json: bool
    dry_run: bool


def search_flags(arguments: Sequence[str]) -> Flags:
    """Parse the flags; a configuration file's values count as flags, and flags after it override them."""
    words = list(arguments)
    config = _config(words)
    words, names = _component_names(words, config)
    if words and words[-1] == "all" and words[-2:-1] in (["--help"], ["-h"]):
        print(dashed_help(_parser(names).format_help()), end="")
        raise SystemExit(0)
    if "--help" in words or "-h" in words:
        print(short_help(_parser(names)), end="")
        raise SystemExit(0)
    parser = _parser(names)
    try:
        given = parser.parse_args(words, defaults=False).as_dict()
        if config:
            given = _merged(parser.parse_object(_unnamed(config), defaults=False).as_dict(), given)
    except SystemExit:
        raise
    except Exception as error:
        raise ConfigError(shortened(error)) from None
    groups = {name: _filled(given.get(name)) for name in GROUPS}
    settings = {k: given[k] for k in setting_names() if k not in GROUPS and given.get(k) is not None}
    if names["objective"]:
        settings |= {"objective": names["objective"], "objective_settings": groups["objective"]}
    papers = presets_of(space_class(names["space"])).controller
    return Flags(
        data=given.get("data"),
        user=UserSettings(
            space=names["space"],
            space_fields=groups["space"],
            final_space_fields=groups["final_space"],
            # Whoever sets a field of the paper's controller wants it.
            controller=names["controller"] or (papers if groups["controller"] else None),
            controller_settings=groups["controller"],
            search_recipe=groups["search_recipe"],
            final_recipe=groups["final_recipe"],
            settings=settings,
        ),
        preset=given.get("preset", "small"),
        minutes=given.get("minutes"),
        seed=given.get("seed", 0),
        device=given.get("device", "auto"),
        run=given.get("run"),
        data_options={k: given[k] for k in data_options() if given.get(k) is not None},
        json=bool(given.get("json")),
        dry_run=bool(given.get("dry_run")),
    )


def data_options() -> dict[str, Mapping[str, Any]]:
    """Return the options of loading data with the keywords of their flags: those of each modality, and the shared."""
    found = dict(SHARED_DATA_OPTIONS)
    for kind in MODALITIES.values():
        found |= kind.options
    return found


def _parser(names: Mapping[str, Any]) -> Any:
    from jsonargparse import ArgumentParser

    space = space_class(names["space"])
    controller = controller_class(names["controller"] or presets_of(space).controller)
    parser = ArgumentParser(
        prog="archwright search", description=f"{DESCRIPTION} {DETAILS}", exit_on_error=False, add_help=False
    )
    add = parser.add_argument
    add("--data", type=str | None, default=None, help=DATA_HELP)
    add("--minutes", type=float | None, default=None, help="what everything together may take")
    add("--preset", type=Literal[PRESETS], default="small", help="what sets the sizes")
    add("--seed", type=int, default=0, help="of everything random")
    add("--device", type=str, default="auto", help="auto, cpu, cuda, cuda:N or mps")
    add("--run", type=str | None, default=None, help="the run folder; default: a new one in runs/")
    add("--config", type=str, help="a configuration file, such as the one in a run folder")
    add("--json", action="store_true", help="the result as one JSON object on the last line")
    add("--dry_run", action="store_true", help="stop after the plan")
    add("--evaluator", type=Literal[tuple(METHODS)], default=None, help="how proposals are scored")
    for name, keywords in data_options().items():
        kind = Literal[keywords["choices"]] if "choices" in keywords else keywords.get("type", str)
        add(f"--{name}", type=kind | None, default=None, help=keywords["help"])
    fields = {name for name in Search.__dataclass_fields__ if name != "trials"}
    parser.add_class_arguments(Search, skip=fields)
    for part in (*map(method_class, METHODS), FinalTraining, Cluster):
        parser.add_class_arguments(part, skip={"space", "recipe", "residual"} & set(part.__dataclass_fields__))
    parser.add_class_arguments(space, "space")
    parser.add_class_arguments(space, "final_space")
    parser.add_class_arguments(controller, "controller", skip={"space", "seed"})
    if names["objective"] in OBJECTIVES:
        parser.add_class_arguments(OBJECTIVES[names["objective"]], "objective")
    parser.add_class_arguments(Recipe, "search_recipe")
    parser.add_class_arguments(Recipe, "final_recipe")
    return parser


def short_help(parser: Any) -> str:
    """Return the flags that people use, on one screen."""
    named = {
        "space": "what is searched; archwright spaces lists them",
        "controller": "what proposes; archwright controllers lists them",
        "objective": f"what the reward is: {', '.join(OBJECTIVES)}",
    }
    helps = {action.dest: action for action in parser._actions}
    lines = [f"usage: {EXAMPLE}", "", DESCRIPTION, "", "flags that people use:"]
    for name in COMMON:
        action: Any = helps.get(name)
        text = named.get(name) or str(action.help).partition(";")[0].partition(" (type:")[0]
        value = "" if action is not None and action.nargs == 0 else " " + name.upper().split("_")[-1]
        lines.append(f"  {'--' + name.replace('_', '-') + value:<24} {text}"[:120])
    lines += [
        "",
        "  archwright search --help all       every flag, with its default",
        "  archwright spaces NAME             fields of a space: --space.FIELD, --final-space.FIELD",
        "  archwright controllers NAME        arguments of a controller: --controller.FIELD",
        "Recipes are set as --search-recipe.FIELD and --final-recipe.FIELD.",
    ]
    return "\n".join(lines) + "\n"


def _component_names(words: list[str], config: Mapping[str, Any]) -> tuple[list[str], dict[str, Any]]:
    """Take the names of components out of the words; a configuration file may name them too."""
    names: dict[str, Any] = {"space": "enas-micro", "controller": None, "objective": None}
    for kind in NAMED:
        value = config.get(kind)
        if isinstance(value, str):
            names[kind] = value
        elif isinstance(value, Mapping) and "name" in value:
            names[kind] = str(value["name"])
    rest: list[str] = []
    index = 0
    while index < len(words):
        word = words[index]
        flag, equals, value = word.partition("=")
        kind = flag.removeprefix("--")
        if not word.startswith("--") or kind not in NAMED:
            rest.append(word)
        elif equals:
            names[kind] = value
        elif index + 1 == len(words):
            raise ConfigError(f"{word} needs a name")
        else:
            index += 1
            names[kind] = words[index]
        index += 1
    return rest, names


def _config(words: list[str]) -> dict[str, Any]:
    """Return the configuration file named in the words, in the parser's form; its data can only be data."""
    import yaml

    path: str | None = None
    for index, word in enumerate(words):
        if word == "--config" and index + 1 < len(words):
            path = words[index + 1]
        elif word.startswith("--config="):
            path = word.partition("=")[2]
    if path is None:
        return {}
    try:
        config = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"--config {path}: {error.strerror}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"--config {path} is not YAML: {str(error).splitlines()[0]}") from None
    if not isinstance(config, dict):
        raise ConfigError(f"--config {path}: expected settings by name, not {type(config).__name__}")
    for kind in ("controller", "objective"):
        settings = config.pop(f"{kind}_settings", None)
        if settings is not None and isinstance(config.get(kind), str):
            config[kind] = {"name": config[kind], **settings}
    return config


def _unnamed(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration without the names of components, which are known, and without what is not given."""
    given: dict[str, Any] = {}
    for key, value in config.items():
        if key in GROUPS:
            if isinstance(value, Mapping) and (fields := {k: v for k, v in value.items() if k != "name"}):
                given[key] = fields
        elif value is not None:
            given[key] = value
    return given


def _merged(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(under)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = {**merged[key], **value} if both else value
    return merged


def _filled(group: Any) -> dict[str, Any]:
    return {k: v for k, v in group.items() if k != "name"} if isinstance(group, Mapping) else {}


def shortened(error: Exception) -> str:
    """Return the parser's complaint in one line."""
    return dashed_help(" ".join(str(error).split()).removeprefix("error: "))
