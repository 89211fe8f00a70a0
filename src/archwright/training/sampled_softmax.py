"""The loss of a few words instead of the whole vocabulary: most of a small language model's time is its classifier."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

POWER = 0.75  # of the words' frequencies, as for word2vec's negative samples (Mikolov et al. 2013, section 2.2)


class SampledSoftmax:
    """Estimates the mean cross entropy over the vocabulary from the words that follow and a sample of all others.

    Every other word is drawn by itself with its own probability, frequent ones more often, and stands for as many
    words as the inverse says, so the sum over the vocabulary is estimated without bias (importance sampling: Bengio &
    Senecal 2008; Jean et al. 2015). In validation and test the whole vocabulary counts.

    Args:
        counts: how often the training part has each word.
        share: of the vocabulary that is drawn, in the mean; above 0, and below 1.
    """

    def __init__(self, counts: Int[Tensor, " vocabulary"], share: float) -> None:
        weights = (counts.double() + 1) ** POWER
        chances = torch.zeros_like(weights)
        for _ in range(20):  # words that are always drawn leave their surplus to the others
            full = chances >= 1
            rest = share * len(weights) - float(full.sum())
            chances = torch.where(full, 1.0, weights * rest / weights[~full].sum())
        self._chances: Float[Tensor, " vocabulary"] = chances.clamp(max=1).float()

    def loss(
        self, classify: nn.Linear, outputs: Float[Tensor, "time batch units"], following: Int[Tensor, "time batch"]
    ) -> Float[Tensor, ""]:
        """Return the estimate for words that follow; `outputs` go to the classifier. PyTorch's generator draws."""
        chances = self._chances
        words, targets = following.unique(return_inverse=True)  # type: ignore[no-untyped-call]
        drawn = torch.rand(len(chances), device=chances.device) < chances
        drawn[words] = False
        others = drawn.nonzero()[:, 0]
        chosen = torch.cat([words, others])
        logits = functional.linear(outputs, classify.weight[chosen], classify.bias[chosen]).float()
        stands_for = torch.cat([torch.zeros(len(words), device=chances.device), -chances[others].log()])
        return functional.cross_entropy((logits + stands_for).flatten(0, 1), targets.flatten())
