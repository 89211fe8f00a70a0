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

    @property
    def places(self) -> Int[Tensor, " n"]:
        """Where in the text the tokens are that follow others, row by row."""
        columns = len(self._rows)
        return (columns * torch.arange(self.batch)[:, None] + torch.arange(1, columns)).flatten()

    def __getitem__(self, piece: int) -> tuple[Int[Tensor, "time batch"], Int[Tensor, "time batch"]]:
        """Return tokens and the tokens that follow them."""
        begin, following = piece * self._length, self._rows[1 + piece * self._length :][: self._length]
        return self._rows[begin : begin + len(following)], following


class TextScore(NamedTuple):
    """The result of `evaluate_perplexity`. `losses`: nats of every token predicted, in the order of the text.

    `answers`, where asked for: the places in the text, the likeliest token in each, and its probability.
    """

    perplexity: float
    loss: float
    losses: Float[Tensor, " n"]
    answers: tuple[Int[Tensor, " n"], Int[Tensor, " n"], Float[Tensor, " n"]] | None = None


def evaluate_perplexity(
    model: Any, tokens: Int[Tensor, " n"], *, length: int, rows: int = ROWS, answers: bool = False
) -> TextScore:
    """Run the model (already on the tokens' device) over all of the text in evaluation mode, states carried on.

    `answers`: keep the likeliest tokens, too.
    """
    pieces = Rows(tokens, rows, length)
    losses, likeliest = [], []
    with inference(model):
        states = model.start(pieces.batch)
        for piece in range(len(pieces)):
            x, following = pieces[piece]
            logits, states = model(x, states)
            flat = functional.cross_entropy(logits.flatten(0, 1).float(), following.flatten(), reduction="none")
            losses.append(flat.view_as(following).cpu())
            if answers:
                likeliest.append([kind.cpu() for kind in logits.float().softmax(-1).max(-1)])
    every = torch.cat(losses).t().flatten()
    mean = float(every.double().mean())
    if not answers:
        return TextScore(perplexity(mean), mean, every)
    confidence, predicted = (torch.cat(kind).t().flatten() for kind in zip(*likeliest, strict=True))
    return TextScore(perplexity(mean), mean, every, (pieces.places, predicted, confidence))


def perplexity(loss: float) -> float:
    """Return the perplexity of a mean loss in nats, cut off where no float holds it, as for models that diverge."""
    return math.exp(min(loss, LARGEST_LOSS)) if math.isfinite(loss) else math.inf
