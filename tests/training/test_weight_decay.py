"""Weight decay by how often a network sees its examples."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archwright.training.weight_decay import usual_weight_decay


@given(st.floats(0.01, 1.0), st.integers(1, 10_000), st.floats(1.0, 300.0))
def test_weights_remember_as_many_passes_whatever_the_batch(rate: float, per_epoch: int, passes: float) -> None:
    decay = usual_weight_decay(rate, per_epoch, passes)
    assert usual_weight_decay(2 * rate, per_epoch, passes) == pytest.approx(decay / 2)
    remembered = 1 / (rate * decay) / per_epoch  # passes
    assert usual_weight_decay(rate, 7 * per_epoch, passes) == pytest.approx(1 / (rate * 7 * per_epoch * remembered))
    assert usual_weight_decay(rate, per_epoch, 4 * passes) == pytest.approx(decay / 2)
