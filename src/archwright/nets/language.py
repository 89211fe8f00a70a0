"""A language model around any recurrent cells: embedding, layers, classifier of the next token."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from archwright.errors import SpaceError
from archwright.nets.memory import TextMemory
from archwright.nets.network import Drawn
from archwright.nets.recurrent import CellState, RecurrentCell
from archwright.space import Architecture

States = tuple[CellState, ...]
MakeCell = Callable[[int, int], RecurrentCell]  # (inputs, units)


class LanguageModel(nn.Module):
    """Predicts the next token of every position.

    Dropout is variational (Gal 2015; Zaremba 2014 where it does not depend on time): one mask a sequence. `embedding`
    drops words of the vocabulary, `input` what goes into a layer, `recurrent` what comes back to it, `output` what goes
    to the classifier. With `tied`, the classifier's matrix is the embedding's (Inan 2016; Press & Wolf 2017).
    `remembers`: outside training, the tokens that it may remember (`TextMemory`), once that has been fitted.
    """

    def __init__(
        self,
        make: MakeCell,
        vocabulary: int,
        units: int,
        layers: int,
        *,
        tied: bool,
        embedding_dropout: float,
        input_dropout: float,
        recurrent_dropout: float,
        output_dropout: float,
        init: float,
        remembers: int = 0,
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, units)
        self.cells = nn.ModuleList([make(units, units) for _ in range(layers)])
        self.classify = nn.Linear(units, vocabulary)
        if tied:
            self.classify.weight = self.embedding.weight
        self.embedding_dropout, self.input_dropout = embedding_dropout, input_dropout
        self.recurrent_dropout, self.output_dropout = recurrent_dropout, output_dropout
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -init, init)
        nn.init.zeros_(self.classify.bias)
        self.memory = TextMemory(remembers) if remembers else None

    def start(self, batch: int) -> States:
        """Return zero states of the cells, and after them an empty memory if the model uses one now."""
        cells = tuple(cell.start(batch, self.embedding.weight) for cell in self.recurrent_cells())
        if self.memory is None or self.training or not self.memory.share:
            return cells
        return (*cells, self.memory.start(batch, self.classify.in_features))

    def recurrent_cells(self) -> Sequence[RecurrentCell]:
        """Return the layers, with their type."""
        return [cell for cell in self.cells if isinstance(cell, RecurrentCell)]

    def forward(
        self, tokens: Int[Tensor, "time batch"], states: States, architecture: Architecture | None = None
    ) -> tuple[Float[Tensor, "time batch vocabulary"], States]:
        """Return logits of each next token, and the states to go on with. Shared weights need an architecture."""
        cells = len(self.cells)
        outputs, ends = self.outputs(tokens, states[:cells], architecture)
        logits = self.classify(outputs)
        if self.memory is None or len(states) == cells:
            return logits, ends
        logits, memory = self.memory(logits, outputs, states[cells - 1][0], tokens, states[cells])
        return logits, (*ends, memory)

    def outputs(
        self, tokens: Int[Tensor, "time batch"], states: States, architecture: Architecture | None = None
    ) -> tuple[Float[Tensor, "time batch units"], States]:
        """Return what the classifier reads, and the states of the cells to go on with."""
        x, ends = self._embedded(tokens), []
        for cell, state in zip(self.recurrent_cells(), states, strict=True):
            x = self._dropped(x, self.input_dropout)
            x, end = cell(x, state, self._mask(x, cell.units, self.recurrent_dropout), architecture)
            ends.append(end)
        return self._dropped(x, self.output_dropout), tuple(ends)

    def drawn(self) -> Iterator[Drawn]:
        """Yield what the nodes of the space's graphs are here; those of a cell come once for each layer."""
        yield "network", "embedding", self.embedding
        for number, cell in enumerate(self.recurrent_cells(), start=1):
            yield "network", str(number), cell
            yield from (("recurrent", node, weights) for node, weights in cell.drawn())
        yield "network", "classifier", self.classify

    def set_progress(self, progress: float) -> None:
        """Do nothing: no part depends on how far training is."""

    def _embedded(self, tokens: Tensor) -> Tensor:
        weight = self.embedding.weight
        if self.training and self.embedding_dropout > 0:
            keep = 1 - self.embedding_dropout
            weight = weight * (torch.rand(len(weight), 1, device=weight.device) < keep).to(weight.dtype) / keep
        return functional.embedding(tokens, weight)

    def _dropped(self, x: Float[Tensor, "time batch units"], rate: float) -> Float[Tensor, "time batch units"]:
        mask = self._mask(x, x.shape[2], rate)
        return x if mask is None else x * mask

    def _mask(self, x: Tensor, units: int, rate: float) -> Float[Tensor, "batch units"] | None:
        if not self.training or rate == 0:
            return None
        return (torch.rand(x.shape[1], units, device=x.device) < 1 - rate).to(x.dtype) / (1 - rate)


class Reading(nn.Module):
    """Reads tokens [time, batch] from the start: what a language model's latency is measured of."""

    def __init__(self, network: LanguageModel) -> None:
        super().__init__()
        self.network = network

    def forward(self, tokens: Int[Tensor, "time batch"]) -> Float[Tensor, "time batch vocabulary"]:
        logits: Tensor = self.network(tokens, self.network.start(tokens.shape[1]))[0]
        return logits


def units_within(parameters: int, vocabulary: int, layers: int, per_layer: int, per_unit: int, *, tied: bool) -> int:
    """Return the most units with which a model has at most that many parameters.

    A layer has `per_layer` * units^2 + `per_unit` * units of them, the embedding (and the classifier, unless `tied`)
    vocabulary * units, and the classifier's bias one for each word.
    """
    a = layers * per_layer
    b = vocabulary * (1 if tied else 2) + layers * per_unit
    spare = max(parameters - vocabulary, 0)
    units = math.floor((-b + math.sqrt(b * b + 4 * a * spare)) / (2 * a))
    if units < 1:
        raise SpaceError(f"{parameters:,} parameters are too few for a vocabulary of {vocabulary:,}")
    return units
