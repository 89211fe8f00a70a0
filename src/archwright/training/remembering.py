"""How much of what a language model predicts is remembered from the text just read: fitted after training."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from archwright.nets.memory import weighed
from archwright.training.measure import inference
from archwright.training.perplexity import ROWS, Rows, perplexity

# Sharpness times the mean squared norm of an output: from counting tokens (0) to the most similar one alone.
SHARPNESSES = (0.0, 0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0, 64.0)
ROUNDS = 100  # of expectation maximisation


def fit_memory(model: Any, tokens: Int[Tensor, " n"], *, length: int) -> dict[str, float]:
    """Fit `model.memory` on text that the model was not trained on, and return the metrics of validation with it.

    `tokens` are on the model's device and are read as `evaluate_perplexity` does. Grave et al. 2017 fit sharpness and
    share on validation text by a grid, too; here the share follows by expectation maximisation.
    """
    memory = model.memory
    memory.share.zero_()  # a model that was fitted before is fitted anew
    pieces = Rows(tokens, ROWS, length)
    own, remembered, scale = [], [], None
    with inference(model):
        states = model.start(pieces.batch)
        last, kept = states[-1][0], memory.start(pieces.batch, model.classify.in_features)
        for piece in range(len(pieces)):
            x, following = pieces[piece]
            outputs, states = model.outputs(x, states)
            own.append(model.classify(outputs).log_softmax(2).gather(2, following[..., None]).flatten())
            similar, known, words, kept = memory.recall(outputs, last, x, kept)
            last = outputs[-1]
            if scale is None:
                scale = 1 / outputs.square().sum(2).mean().clamp(min=1e-12)
            right = words[None] == following[..., None]
            sharp = [weighed(similar, known, sharpness * scale) for sharpness in SHARPNESSES]
            remembered.append(torch.stack([(weights * right).sum(2).flatten() for weights in sharp]))
    assert scale is not None  # a text has pieces
    share, losses = _shares(torch.cat(own).double().exp(), torch.cat(remembered, 1).double())
    best = int(losses.argmin())
    memory.share.fill_(share[best].item())
    memory.sharpness.fill_(SHARPNESSES[best] * scale.item())
    loss = losses[best].item()
    return {"validation_perplexity": perplexity(loss), "validation_loss": loss}


def _shares(
    own: Float[Tensor, " n"], remembered: Float[Tensor, "sharpnesses n"]
) -> tuple[Float[Tensor, " sharpnesses"], Float[Tensor, " sharpnesses"]]:
    """Return the share of what is remembered with which each sharpness has the least loss, and that loss."""
    share = own.new_full((len(remembered), 1), 0.1)
    for _ in range(ROUNDS):
        part = share * remembered
        share = (part / ((1 - share) * own + part)).mean(1, keepdim=True)
    share = torch.where(share < 1e-3, 0.0, share)  # on its way to zero: the text does not repeat itself
    return share[:, 0], -((1 - share) * own + share * remembered).log().mean(1)
