"""Kinds of data: images, text, recipes. Each has its own loading, training data, scoring, test, words and model files.

`modality(data)` is the one object that a run asks about its data; nothing outside this room tests which kind it has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archwright.errors import ConfigError, RunError, offered

if TYPE_CHECKING:
    from archwright.modalities.model_file import TrainedNetwork
    from archwright.modalities.protocol import Data, Modality


@dataclass(frozen=True)
class Kind:
    """What is known of a modality before torch is loaded.

    `where` is its class; `options` are the arguments that its loader alone has, each with the keywords of an argparse
    flag; `shown` formats the metric in a table. `command` is what searches such data.
    """

    where: str
    default_data: str
    metric: str
    shown: str
    options: Mapping[str, Mapping[str, Any]]
    command: str = "search"


MODALITIES: dict[str, Kind] = {
    "images": Kind(
        "archwright.modalities.images.modality:Images",
        default_data="digits",
        metric="accuracy",
        shown="{:.2%}",
        options={
            "image_size": {"type": int, "help": "resize images to this many pixels"},
            "layout": {"choices": ("NHW", "NHWC", "NCHW"), "help": "what the axes of arrays are: docs/data.md"},
        },
    ),
    "text": Kind(
        "archwright.modalities.text.modality:Text",
        default_data="topics",
        metric="perplexity",
        shown="perplexity {:.2f}",
        options={
            "level": {"choices": ("words", "characters"), "help": "what the tokens of a text are"},
            "vocabulary": {"type": int, "help": "keep the most frequent tokens of a text, at most this many"},
        },
    ),
    "recipes": Kind(
        "archwright.modalities.recipes.modality:Recipes",
        default_data="dishes",
        metric="plausible",
        shown="plausible {:.2f}",
        options={},
        command="cook",
    ),
}


def modality_class(name: str) -> type[Modality]:
    """Import the class of a modality."""
    if name not in MODALITIES:
        raise ConfigError(f"{name!r} is not a modality; {offered(name, MODALITIES)}")
    module, _, attribute = MODALITIES[name].where.partition(":")
    cls: type[Modality] = getattr(import_module(module), attribute)
    return cls


def modality(data: Data | Modality) -> Modality:
    """Return the modality of loaded data; a modality passes through."""
    for cls in map(modality_class, MODALITIES):
        if isinstance(data, cls):
            return data
        if isinstance(data, cls.holds):
            return cls(data)
    raise ConfigError(f"{type(data).__name__} is not loaded data; archwright.modalities.read loads it")


def read(source: Any, *, seed: int, wanted: str = "images", **options: Any) -> Data:
    """Load data of the kind that the source shows; `wanted` is the kind of a source that shows none.

    Options that are None are left out.
    """
    options = {name: value for name, value in options.items() if value is not None}
    name = next((name for name in MODALITIES if modality_class(name).recognises(source)), wanted)
    for other, kind in MODALITIES.items():
        if foreign := sorted(kind.options.keys() & options.keys() - MODALITIES[name].options.keys()):
            raise ConfigError(f"{foreign[0]} is for {other}, and the data is {source}")
    return modality_class(name).load(source, seed=seed, **options)


def load_model(folder: str | Path, *, space: str | None = None) -> TrainedNetwork:
    """Load the trained model in a folder, whichever modality wrote it."""
    from archwright.modalities.model_file import kind_of

    found = kind_of(folder := Path(folder))
    models = {cls.model.kind: cls.model for cls in map(modality_class, MODALITIES)}
    if found not in models:
        raise RunError(f"{folder} holds a {found}; this version reads a {' or a '.join(models)}")
    return models[found].load(folder, space=space)
