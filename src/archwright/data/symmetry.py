"""Whether a mirror image of a photograph is another photograph of the same class."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float, Int, Num
from torch import Tensor
from torch.nn import functional

KNOWN, ASKED = 2000, 1000  # images that are looked among, and that are looked for
CHUNK = 256  # images at a time: a float copy of all of them may not fit
SIDE = 16  # pixels to which larger images are reduced
TOGETHER = 0.3  # correlation of channels: light makes those of a photograph vary together (CIFAR-10: 0.9)
CERTAIN = 3.0  # standard errors
SEED = 0  # the answer is of the data, not of a run


def is_mirrored_alike(x: Num[Tensor, "n channels height width"], y: Int[Tensor, " n"]) -> bool:
    """Return whether images are colour photographs whose mirror images have the same class, as far as can be seen.

    Their three channels vary together, and the nearest of `KNOWN` images has the class of a mirror image about as often
    as that of the image itself. That misses by more than `CERTAIN` standard errors where a class has a side: digits,
    letters, arrows.
    """
    if x.shape[1] != 3 or len(x) < 2:
        return False
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(SEED))[: KNOWN + ASKED]
    size = min(SIDE, x.shape[2]), min(SIDE, x.shape[3])
    reduced = [functional.adaptive_avg_pool2d(x[some].float(), size) for some in torch.split(order, CHUNK)]
    x, y = torch.cat(reduced), y[order]
    x = x - x.mean(0)  # where things are in all images says nothing
    if _channels_together(x) < TOGETHER:
        return False
    known = max(1, len(x) * KNOWN // (KNOWN + ASKED))
    right, mirrored = (_found(x[:known], y[:known], asked, y[known:]) for asked in (x[known:], x[known:].flip(3)))
    lost, won = int((right & ~mirrored).sum()), int((mirrored & ~right).sum())
    return lost - won <= CERTAIN * math.sqrt(lost + won)


def _channels_together(x: Float[Tensor, "n channels height width"]) -> float:
    """Return the mean correlation of two channels; 1 where none varies."""
    correlation = torch.corrcoef(x.transpose(0, 1).flatten(1).double()).nan_to_num(1.0)
    channels = len(correlation)
    return float((correlation.sum() - correlation.trace()) / (channels * (channels - 1)))


def _found(
    known: Float[Tensor, "known ..."], classes: Int[Tensor, " known"], asked: Float[Tensor, "asked ..."], right: Tensor
) -> Bool[Tensor, " asked"]:
    """Return for which images the nearest known one has the right class."""
    nearest = torch.cdist(asked.flatten(1), known.flatten(1)).argmin(1)
    return classes[nearest] == right
