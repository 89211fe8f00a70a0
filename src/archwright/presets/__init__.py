"""Presets: what the papers set, one file per paper, and what is sensible for a space of the user's own."""

from __future__ import annotations

import dataclasses
from importlib import import_module
from typing import TYPE_CHECKING, Any

from archwright.errors import ConfigError, offered

if TYPE_CHECKING:
    from archwright.modalities.protocol import Modality
    from archwright.presets.values import Preset, Size, SpacePresets
    from archwright.space import Space

PRESETS = ("small", "paper")
# What is searched where the user names no space.
DEFAULT_SPACES = {"images": "stages", "text": "recurrent", "recipes": "recipe"}
# By the name of the space; each is a `SpacePresets`. A space that is not here is the user's own.
SPACE_PRESETS = {
    "stages": "archwright.presets.stages:STAGES",
    "recurrent": "archwright.presets.recurrent:RECURRENT",
    "grammar": "archwright.presets.grammar:GRAMMAR",
    "nas-conv": "archwright.presets.nas:CONV",
    "nas-recurrent": "archwright.presets.nas:RECURRENT",
    "nasnet": "archwright.presets.nasnet:NASNET",
    "darts": "archwright.presets.darts:CELLS",
    "darts-recurrent": "archwright.presets.darts:RECURRENT",
    "nas-bench-201": "archwright.presets.nas_bench_201:SPACE",
    "enas-micro": "archwright.presets.enas:MICRO",
    "enas-macro": "archwright.presets.enas:MACRO",
    "enas-recurrent": "archwright.presets.enas:RECURRENT",
}


def default_space(source: Any) -> str:
    """Return the space that is searched for data from `source`; None is the default data, images."""
    from archwright.modalities import MODALITIES, modality_class

    kinds = () if source is None else MODALITIES
    name = next((kind for kind in kinds if modality_class(kind).recognises(source)), "images")
    return DEFAULT_SPACES[name]


def transferred(
    name: str, cls: type[Space], side: int, published: Space | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return fields of the space and of the recipe for training a found architecture on images of `side` pixels.

    `published` is the space of a published architecture, with its settings.
    """
    if not as_published(name):  # as in NASNet 2018, appendix A.3, with an average over fewer steps than ImageNet has
        return {}, {"label_smoothing": 0.1, "average": 0.99}
    found = presets_of(cls)
    space, recipe = found.large if found.large_from <= side else ({}, {})
    if published is not None:
        fields = {f.name: getattr(published, f.name) for f in dataclasses.fields(published)}
        space = {name: value for name, value in fields.items() if name not in cls.reads}
    return dict(space), dict(recipe)


def presets_of(cls: type[Space]) -> SpacePresets:
    """Return the presets of a space; ConfigError if its data is not what `archwright search` is for."""
    from archwright.modalities import MODALITIES

    command = getattr(MODALITIES.get(cls.data), "command", "search")
    if command != "search":
        raise ConfigError(f"{cls.data} are for archwright {command}: no network is trained on them")
    own = f"archwright.presets.own:{cls.data.upper()}"
    module, _, attribute = SPACE_PRESETS.get(cls.name, own).partition(":")
    found: SpacePresets = getattr(import_module(module), attribute)
    return found


def as_published(name: str) -> bool:
    """Return whether a preset has a paper's counted budget and controller, whatever the machine."""
    if name not in PRESETS:
        raise ConfigError(f"{name!r} is not a preset; {offered(name, PRESETS)}")
    return name == "paper"


def preset(name: str, cls: type[Space], modality: Modality, size: Size | None = None) -> Preset:
    """Return the preset called `name`; the networks of a small one have `size`, one of `SIZES`."""
    from archwright.presets.values import SIZES

    found = presets_of(cls)
    return found.published if as_published(name) else found.small(cls, modality, size or SIZES[0])
