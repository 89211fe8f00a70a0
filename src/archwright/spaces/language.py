"""What the spaces of recurrent cells share: the fields of the language model around a cell, and building it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from archwright.space import Space, TextTask

if TYPE_CHECKING:
    from archwright.nets.language import LanguageModel

DROPOUTS = ("embedding_dropout", "input_dropout", "recurrent_dropout", "output_dropout")


class LanguageSpace(Space):
    """A space whose networks are language models of `layers` cells. See `archwright.nets.language.LanguageModel`.

    Fields, beside the dropouts: `units` of every layer (None: as `parameters` allows), `parameters` that a model may
    have at most, `tied` (the classifier's matrix is the embedding's), `init` (weights are uniform in [-init, init]).
    """

    data: ClassVar[str] = "text"
    reference_name: ClassVar[str | None] = "LSTM of as many parameters"

    layers: int
    units: int | None
    parameters: int
    tied: bool
    init: float


def check_fields(space: LanguageSpace) -> None:
    """Raise `SpaceError` for a field that makes no sense."""
    space.require("layers", space.layers >= 1, "at least 1")
    space.require("parameters", space.parameters >= 1, "at least 1")
    space.require("units", space.units is None or space.units >= 1, "at least 1")
    for name in DROPOUTS:
        space.require(name, 0 <= getattr(space, name) < 1, "from 0 to below 1")


def units_of(space: LanguageSpace, per_layer: int, per_unit: int, task: TextTask) -> int:
    """Return the width with cells of `per_layer` * units^2 + `per_unit` * units parameters."""
    from archwright.nets.language import units_within

    return space.units or units_within(
        space.parameters, task.vocabulary, space.layers, per_layer, per_unit, tied=space.tied
    )


def language_model(
    space: LanguageSpace, make: Callable[..., Any], per_layer: int, per_unit: int, task: TextTask
) -> LanguageModel:
    """Build the model around cells that `make(inputs, units)` gives, their parameters counted as in `units_of`."""
    from archwright.nets.language import LanguageModel

    return LanguageModel(
        make,
        task.vocabulary,
        units_of(space, per_layer, per_unit, task),
        space.layers,
        tied=space.tied,
        init=space.init,
        **{name: getattr(space, name) for name in DROPOUTS},
    )
