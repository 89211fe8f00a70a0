"""What the spaces of recurrent cells share: the fields of the language model around a cell, and building it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from archwright.space import Space, TextTask
from archwright.spaces.settings import settings

if TYPE_CHECKING:
    from archwright.nets.language import LanguageModel


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

    def units_of(self, task: TextTask, per_layer: int, per_unit: int = 0) -> int:
        """Return the width with cells of `per_layer` * units^2 + `per_unit` * units parameters."""
        from archwright.nets.language import units_within

        return self.units or units_within(
            self.parameters, task.vocabulary, self.layers, per_layer, per_unit, tied=self.tied
        )

    def language_model(
        self, make: Callable[..., Any], task: TextTask, per_layer: int, per_unit: int = 0
    ) -> LanguageModel:
        """Build the model around cells that `make(inputs, units)` gives, their parameters counted as in `units_of`."""
        from archwright.nets.language import LanguageModel

        dropouts = settings(self, "embedding_dropout", "input_dropout", "recurrent_dropout", "output_dropout")
        units = self.units_of(task, per_layer, per_unit)
        return LanguageModel(make, task.vocabulary, units, self.layers, tied=self.tied, init=self.init, **dropouts)

    def lstm(self, task: TextTask) -> LanguageModel:
        """Build the model around LSTM cells, to compare with."""
        from archwright.nets.recurrent import LstmCell

        return self.language_model(LstmCell, task, 8, 8)

    def lstm_like(self, task: TextTask, per_layer: int) -> LanguageModel:
        """Build the model around LSTM cells with as many parameters as around cells of `per_layer` * units^2."""
        units = self.units_of(task, per_layer)
        words = task.vocabulary * units * (1 if self.tied else 2) + task.vocabulary
        sizes = {"units": None, "parameters": words + self.layers * per_layer * units**2}
        sized: Any = dataclasses.replace(self, **sizes)
        return sized.lstm(task)  # type: ignore[no-any-return]
