from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from archwright.training.recipe import Recipe
from archwright.training.regularisation import classification_loss, clip_to

LOGITS = torch.tensor([[2.0, -1.0, 0.5], [0.0, 3.0, 1.0]])
LABELS = torch.tensor([0, 2])


@given(smoothing=st.floats(0, 0.9))
def test_smoothing_mixes_the_target_with_the_uniform_distribution(smoothing):
    logs = LOGITS.log_softmax(1)
    target = (1 - smoothing) * torch.eye(3)[LABELS] + smoothing / 3
    expected = -(target * logs).sum(1).mean()
    loss = classification_loss(LOGITS, None, LABELS, Recipe(label_smoothing=smoothing))
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_auxiliary_head_adds_its_weighted_loss():
    main, extra = (classification_loss(logits, None, LABELS, Recipe()) for logits in (LOGITS, -LOGITS))
    both = classification_loss(LOGITS, -LOGITS, LABELS, Recipe(auxiliary_weight=0.4))
    assert both.item() == pytest.approx((main + 0.4 * extra).item())


@pytest.mark.parametrize("limit", [0.5, 5.0, None])
def test_clipping_bounds_the_norm_and_keeps_the_direction(limit):
    gradients = [torch.tensor([[3.0, 0.0]]), torch.tensor([4.0])]
    before = [g.clone() for g in gradients]
    norm = torch.nn.utils.get_total_norm(gradients).item()
    assert norm == pytest.approx(5)
    clip_to(gradients, norm, limit)
    scale = 0.1 if limit == 0.5 else 1.0
    assert all(torch.allclose(g, b * scale) for g, b in zip(gradients, before, strict=True))
