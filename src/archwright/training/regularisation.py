"""The loss that is minimised, and the bound on its gradient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from archwright.training.precision import at_precision

if TYPE_CHECKING:
    from archwright.nets.network import Network
    from archwright.space import Architecture
    from archwright.training.recipe import Recipe
    from archwright.training.sampled_softmax import SampledSoftmax


def classification_loss(
    logits: Float[Tensor, "batch classes"],
    auxiliary: Float[Tensor, "batch classes"] | None,
    labels: Int[Tensor, " batch"],
    recipe: Recipe,
) -> Float[Tensor, ""]:
    """Return the mean cross entropy, plus `auxiliary_weight` times that of the auxiliary head.

    Label smoothing mixes the target with the uniform distribution over all classes (Szegedy et al. 2016, section 7).
    """
    smoothing = recipe.label_smoothing
    loss = functional.cross_entropy(logits, labels, label_smoothing=smoothing)
    if auxiliary is not None:
        extra = functional.cross_entropy(auxiliary, labels, label_smoothing=smoothing)
        loss = loss + recipe.auxiliary_weight * extra
    return loss


def clip_to(gradients: Sequence[Tensor], norm: float, limit: float | None) -> None:
    """Scale gradients of total norm `norm` down to `limit`, in place; shorter ones stay as they are."""
    if limit is not None and norm > limit:
        torch._foreach_mul_(list(gradients), limit / norm)


def training_loss(
    network: Network,
    x: Float[Tensor, "batch channels height width"],
    labels: Int[Tensor, " batch"],
    recipe: Recipe,
    architecture: Architecture | None = None,
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Return the loss on a batch at the recipe's precision, and the share of images classified correctly."""
    with at_precision(recipe.precision, x.device):
        logits, auxiliary = network.with_auxiliary(x, architecture)
        loss = classification_loss(logits, auxiliary, labels, recipe)
    return loss, (logits.detach().argmax(1) == labels).float().mean()


def token_loss(
    model: Any,
    tokens: Int[Tensor, "time batch"],
    following: Int[Tensor, "time batch"],
    states: Any,
    recipe: Recipe,
    architecture: Architecture | None = None,
    sampled: SampledSoftmax | None = None,
) -> tuple[Float[Tensor, ""], Any]:
    """Return the mean cross entropy of each next token, at the recipe's precision, and the states at the end.

    `sampled` estimates it from a part of the vocabulary.
    """
    own = () if architecture is None else (architecture,)
    with at_precision(recipe.precision, tokens.device):
        if sampled is not None:
            outputs, states = model.outputs(tokens, states, *own)
            return sampled.loss(model.classify, outputs, following), states
        logits, states = model(tokens, states, *own)
        loss = functional.cross_entropy(logits.flatten(0, 1), following.flatten())
    return loss, states
