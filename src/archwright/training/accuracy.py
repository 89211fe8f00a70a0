"""Accuracy and loss of a network on images that it is not trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from archwright.training.batches import arrange, split
from archwright.training.measure import inference
from archwright.training.precision import Precision, at_precision

if TYPE_CHECKING:
    from archwright.data.images import ImagePart, Preprocessing
    from archwright.space import Architecture


class Score(NamedTuple):
    """The result of `evaluate_accuracy`."""

    accuracy: float  # share of images whose class has the largest logit
    correct: Bool[Tensor, " n"]  # image by image, on the CPU: paired comparisons need it
    loss: float  # mean cross entropy, without smoothing or auxiliary head; not finite if the logits are not
    predicted: Int[Tensor, " n"]  # the class with the largest logit, on the CPU
    confidence: Float[Tensor, " n"]  # its probability


def evaluate_accuracy(
    model: nn.Module,
    images: ImagePart,
    preprocessing: Preprocessing,
    batch: int = 256,
    device: str | torch.device = "cpu",
    *,
    channels_last: bool = True,
    architecture: Architecture | None = None,
    precision: Precision = "float32",
) -> Score:
    """Run `model` (already on `device`) over all images in evaluation mode, without gradients or augmentation.

    `architecture` is for a supernet. The model's mode is the same afterwards as before.
    """
    correct: list[Tensor] = []
    losses: list[Tensor] = []
    answers: list[tuple[Tensor, Tensor]] = []
    with inference(model), at_precision(precision, device):
        for piece in split(len(images), batch):
            x = arrange(preprocessing(images.x[piece].to(device)), channels_last)
            logits = model(x) if architecture is None else model(x, architecture)
            right, loss = score_logits(logits, images.y[piece].to(device))
            correct.append(right)
            losses.append(loss)
            answers.append(logits.float().softmax(1).max(1))
    hits = torch.cat(correct).cpu()
    confidence, predicted = (torch.cat(kind).cpu() for kind in zip(*answers, strict=True))
    return Score(hits.double().mean().item(), hits, torch.cat(losses).mean().item(), predicted, confidence)


def score_logits(
    logits: Float[Tensor, "batch classes"], labels: Int[Tensor, " batch"]
) -> tuple[Bool[Tensor, " batch"], Float[Tensor, " batch"]]:
    """Return image by image whether the largest logit is the label's, and the cross entropy."""
    return logits.argmax(1) == labels, functional.cross_entropy(logits.float(), labels, reduction="none")
