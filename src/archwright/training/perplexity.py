"""Text cut into rows and pieces, and the perplexity of a model on text that it is not trained on."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from archwright.errors import ConfigError
from archwright.training.measure import inference

ROWS = 10  # side by side where text is only read
LARGEST_LOSS = 700.0  # nats; exp of more is no float


class Rows:
    """`batch` rows of consecutive text; piece k holds tokens k * length.. of every row, and the tokens after them.

    A rest at the end of less than a token for each row is not read.
    """

    def __init__(self, tokens: Int[Tensor, " n"], batch: int, length: int) -> None:
        self.batch = max(1, min(batch, len(tokens) // 2))
        columns = len(tokens) // self.batch
        if columns < 2:
            raise ConfigError(f"{len(tokens)} tokens are too few for {batch} rows of text; use a smaller batch")
        self._rows = tokens[: self.batch * columns].view(self.batch, columns).t().contiguous()
        self._length = length

    def __len__(self) -> int:
        return -(-(len(self._rows) - 1) // self._length)

    @property
    def whole(self) -> int:
        """How many pieces have their full length."""
        return (len(self._rows) - 1) // self._length

    def __getitem__(self, piece: int) -> tuple[Int[Tensor, "time batch"], Int[Tensor, "time batch"]]:
        """Return tokens and the tokens that follow them."""
        begin, following = piece * self._length, self._rows[1 + piece * self._length :][: self._length]
        return self._rows[begin : begin + len(following)], following


class TextScore(NamedTuple):
    """The result of `evaluate_perplexity`. `losses`: nats of every token predicted, in the order of the text."""

    perplexity: float
    loss: float
    losses: Float[Tensor, " n"]


def evaluate_perplexity(model: Any, tokens: Int[Tensor, " n"], *, length: int, rows: int = ROWS) -> TextScore:
    """Run the model (already on the tokens' device) over all of the text in evaluation mode, states carried on."""
    pieces = Rows(tokens, rows, length)
    losses = []
    with inference(model):
        states = model.start(pieces.batch)
        for piece in range(len(pieces)):
            x, following = pieces[piece]
            logits, states = model(x, states)
            flat = functional.cross_entropy(logits.flatten(0, 1).float(), following.flatten(), reduction="none")
            losses.append(flat.view_as(following).cpu())
    every = torch.cat(losses).t().flatten()
    mean = float(every.double().mean())
    return TextScore(perplexity(mean), mean, every)


def perplexity(loss: float) -> float:
    """Return the perplexity of a mean loss in nats, cut off where no float holds it, as for models that diverge."""
    return math.exp(min(loss, LARGEST_LOSS)) if math.isfinite(loss) else math.inf
