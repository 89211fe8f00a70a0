"""The flags of `archwright search`, derived from the signatures of what they configure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from archwright.components import controller_class, space_class
from archwright.errors import ConfigError
from archwright.runs.planner import Wishes
from archwright.runs.presets import paper_controller
from archwright.training.recipe import Recipe

# Fields of Plan that are set with flags of their own.
SETTINGS = {
    "evaluator": (Literal["shared-weights", "from-scratch"], "how proposals are scored"),
    "objective": (
        str | None,
        "what the reward is: accuracy, accuracy-cubed, inverse-perplexity, inverse-perplexity-squared",
    ),
    "last_epochs": (int, "the best of a child's last epochs counts, for accuracy-cubed (from-scratch only)"),
    "trials": (int, "proposals scored in the search"),
    "trials_per_epoch": (int, "scored after each round of shared training"),
    "steps_per_epoch": (int, "steps of a round of shared training; a whole pass if not given"),
    "warmup": (int, "rounds of shared training before the first trial"),
    "architectures_per_step": (int, "sampled in a step of shared training (ENAS: 1)"),
    "sampling": (
        Literal["policy", "uniform"],
        "what shared training trains: what the policy proposes (ENAS, the default), or what is drawn uniformly",
    ),
    "evaluation_batch": (int, "validation images, or rows of text, a trial is scored on"),
    "samples": (int, "architectures sampled and ranked after the search"),
    "rank_minibatches": (int, "validation minibatches they are ranked on; all if not given"),
    "shortlist": (int, "of those, how many are trained for a short time to choose from"),
    "finalists": (int, "how many of those are trained from scratch"),
    "grid": (bool, "after the search, try a small grid of recipes on the best architecture"),
    "baseline": (bool, "train random architectures the same way"),
    "reference": (bool, "train the space's reference network the same way, if it has one (nas-recurrent: an LSTM)"),
    "engine": (str | None, "where children are trained (from-scratch only): local, ray, or ray:ADDRESS of a cluster"),
    "workers": (int, "children that are trained at a time (from-scratch only); of ray, as many as there is room for"),
    "time_limit": (float, "seconds for one child (from-scratch only)"),
    "memory_limit": (float, "gigabytes of memory for one child (from-scratch only)"),
    "child_cpus": (float, "CPUs that a child takes of a Ray cluster"),
    "child_gpus": (float, "GPUs, or a fraction of one, that a child takes of a Ray cluster"),
    "replicas": (int, "of the controller, in a Ray cluster, each with --children at a time"),
    "children": (int, "of a replica: the minibatch of its controller"),
    "shards": (int, "of the parameter server that the replicas share"),
    "accumulate": (int, "gradients from replicas to an update"),
}
DATA_OPTIONS = {
    "validation": (float, "share of the images for validation"),
    "test": (float, "share of the images for the test"),
    "image_size": (int, "resize images to this many pixels"),
    "limit": (int, "use at most this many training images, or tokens of text"),
    "level": (Literal["words", "characters"] | None, "what the tokens of a text are (default words)"),
    "vocabulary": (int, "keep the most frequent tokens of a text, at most this many"),
}
DATA_HELP = "digits, .npz, image folder, or parquet; for language models topics, a .txt file, or a folder of them"
GROUPS = ("space", "final_space", "controller", "search_recipe", "final_recipe")


@dataclass(frozen=True)
class Flags:
    """What the user asked for."""

    data: str | None
    wishes: Wishes
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
    from jsonargparse import ArgumentParser

    words, names = _component_names(list(arguments))
    space = space_class(names["space"])
    papers = paper_controller(space)
    controller = controller_class(names["controller"] or papers)
    parser = ArgumentParser(
        prog="archwright search",
        description="Find an architecture for a data set, train it from scratch, test it once, compare it with random "
        "search. What is not given is planned. --space NAME and --controller NAME choose components (names, or "
        "FILE.py:NAME); their fields follow as --space.FIELD. Without --controller it is guided where fewer than a "
        "thousand children are trained from scratch, and otherwise that of the space's paper (ppo for nasnet, else "
        "reinforce), whose fields are those below. Defaults shown for them are the papers'; the small preset sizes "
        "them for the machine.",
        exit_on_error=False,
    )
    parser.add_argument("--config", type=str, help="a configuration file, such as the one in a run folder")
    parser.add_argument(
        "--data",
        type=str | None,
        default=None,
        help=DATA_HELP,
    )
    parser.add_argument("--minutes", type=float | None, default=None, help="what everything together may take")
    parser.add_argument("--preset", type=Literal["small", "paper"], default="small", help="what sets the sizes")
    parser.add_argument("--seed", type=int, default=0, help="of everything random")
    parser.add_argument("--device", type=str, default="auto", help="auto, cpu, cuda, cuda:N or mps")
    parser.add_argument("--run", type=str | None, default=None, help="the run folder; default: a new one in runs/")
    for name, (kind, words_) in (SETTINGS | DATA_OPTIONS).items():
        parser.add_argument(f"--{name}", type=kind | None if kind in (int, float) else kind, default=None, help=words_)
    parser.add_argument("--json", action="store_true", help="the result as one JSON object on the last line")
    parser.add_argument("--dry-run", action="store_true", help="stop after the plan")
    parser.add_class_arguments(space, "space")
    parser.add_class_arguments(space, "final_space")
    skip = {"space", "seed"}
    parser.add_class_arguments(controller, "controller", skip=skip)
    parser.add_class_arguments(Recipe, "search_recipe")
    parser.add_class_arguments(Recipe, "final_recipe")
    try:
        config = _config(words)
        given = _parsed(parser, words)
        if config:
            merged = parser.parse_object(_unnamed(config), defaults=False).as_dict()
            given = _merged(merged, given)
    except SystemExit:
        raise
    except Exception as error:
        raise ConfigError(shortened(error)) from None
    groups = {name: _filled(given.get(name)) for name in GROUPS}
    return Flags(
        data=given.get("data"),
        wishes=Wishes(
            space=names["space"],
            space_fields=groups["space"],
            final_space_fields=groups["final_space"],
            # Whoever sets a field of the paper's controller wants it.
            controller=names["controller"] or (papers if groups["controller"] else None),
            controller_settings=groups["controller"],
            search_recipe=groups["search_recipe"],
            final_recipe=groups["final_recipe"],
            settings={k: given[k] for k in SETTINGS if given.get(k) is not None},
        ),
        preset=given.get("preset", "small"),
        minutes=given.get("minutes"),
        seed=given.get("seed", 0),
        device=given.get("device", "auto"),
        run=given.get("run"),
        data_options={k: given[k] for k in DATA_OPTIONS if given.get(k) is not None},
        json=bool(given.get("json")),
        dry_run=bool(given.get("dry_run")),
    )


def _component_names(words: list[str]) -> tuple[list[str], dict[str, Any]]:
    """Take `--space NAME` and `--controller NAME` out of the words; a configuration file may name them too."""
    names: dict[str, Any] = {"space": "enas-micro", "controller": None}
    config = _config(words)
    for kind in names:
        value = config.get(kind)
        if isinstance(value, str):
            names[kind] = value
        elif isinstance(value, Mapping) and "name" in value:
            names[kind] = str(value["name"])
    rest: list[str] = []
    index = 0
    while index < len(words):
        word, kind = words[index], words[index].removeprefix("--").partition("=")[0]
        if word in ("--space", "--controller"):
            if index + 1 == len(words):
                raise ConfigError(f"{word} needs a name")
            names[kind] = words[index + 1]
            index += 2
        elif word.startswith(("--space=", "--controller=")):
            names[kind] = word.partition("=")[2]
            index += 1
        else:
            rest.append(word)
            index += 1
    return rest, names


def _config(words: list[str]) -> dict[str, Any]:
    """The configuration file named in the words, in the parser's form; its data can only be data."""
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
    settings = config.pop("controller_settings", None)
    if settings is not None and isinstance(config.get("controller"), str):
        config["controller"] = {"name": config["controller"], **settings}
    return config


def _unnamed(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration without the names of components, which are known by now, and without what is not given."""
    given: dict[str, Any] = {}
    for key, value in config.items():
        if key in GROUPS:
            if isinstance(value, Mapping) and (fields := {k: v for k, v in value.items() if k != "name"}):
                given[key] = fields
        elif value is not None:
            given[key] = value
    return given


def _parsed(parser: Any, words: list[str]) -> dict[str, Any]:
    given: dict[str, Any] = parser.parse_args(words, defaults=False).as_dict()
    return given


def _merged(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(under)
    for key, value in over.items():
        if isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = {**merged[key], **value}
        else:
            merged[key] = value
    return merged


def _filled(group: Any) -> dict[str, Any]:
    return {k: v for k, v in (group or {}).items() if k != "name"} if isinstance(group, Mapping) else {}


def shortened(error: Exception) -> str:
    """The parser's complaint in one line."""
    text = " ".join(str(error).split())
    return text.removeprefix("error: ")
