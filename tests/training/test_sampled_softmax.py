"""The sampled loss estimates the loss over the whole vocabulary."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from archwright.errors import ConfigError
from archwright.training.recipe import Recipe
from archwright.training.sampled_softmax import SampledSoftmax

VOCABULARY, UNITS = 60, 5


def counts() -> torch.Tensor:
    return (4000 / torch.arange(1, VOCABULARY + 1)).long()


@pytest.mark.parametrize("share", [0.05, 0.3, 0.7, 0.99])
def test_as_many_words_are_drawn_as_asked_for_and_frequent_ones_more_often(share: float) -> None:
    chances = SampledSoftmax(counts(), share)._chances
    assert float(chances.sum()) == pytest.approx(share * VOCABULARY, rel=1e-3)
    assert 0 < float(chances.min()) <= float(chances.max()) <= 1
    assert torch.equal(chances, chances.sort(descending=True).values)


@torch.no_grad()
def test_the_sum_over_the_vocabulary_is_estimated_without_bias() -> None:
    torch.manual_seed(0)
    classify, outputs = nn.Linear(UNITS, VOCABULARY), torch.randn(7, 3, UNITS)
    following = torch.randint(VOCABULARY, (7, 3))
    logits = classify(outputs).flatten(0, 1)
    own = logits.gather(1, following.view(-1, 1)).mean()
    sampled = SampledSoftmax(counts(), 0.3)
    # The loss is log Z - own; over many draws the mean of Z of one position is the whole Z.
    draws = torch.stack([sampled.loss(classify, outputs[:1, :1], following[:1, :1]) for _ in range(4000)])
    z = (draws + logits[0, following[0, 0]]).exp()
    exact = logits[0].exp().sum()
    assert abs(float(z.mean() - exact)) < 5 * float(z.std()) / 4000**0.5
    whole = functional.cross_entropy(logits, following.flatten())
    mean = torch.stack([sampled.loss(classify, outputs, following) for _ in range(400)]).mean()
    assert float(whole) - 0.1 < float(mean) <= float(whole) + 0.02  # log of an estimate is a little low
    assert float(own) < 0.5 * float(whole)


def test_words_that_are_not_drawn_get_no_gradient() -> None:
    classify, outputs = nn.Linear(UNITS, VOCABULARY), torch.randn(2, 2, UNITS)
    SampledSoftmax(counts(), 0.1).loss(classify, outputs, torch.tensor([[59, 58], [59, 57]])).backward()
    moved = classify.bias.grad.ne(0)  # type: ignore[union-attr]
    assert bool(moved[57:].all())
    assert int(moved.sum()) < VOCABULARY / 2


@pytest.mark.parametrize("share", [0.0, -1.0, 1.5])
def test_a_wrong_share_is_named(share: float) -> None:
    with pytest.raises(ConfigError, match="sampled"):
        Recipe(sampled=share)
