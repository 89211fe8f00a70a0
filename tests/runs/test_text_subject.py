"""What a run says of language models."""

from __future__ import annotations

import math

import pytest

from archwright.runs.subject import TextSubject
from archwright.training.perplexity import perplexity
from small_text import text_data


@pytest.mark.parametrize("loss", [5.0, 2000.0])
def test_a_model_that_has_diverged_is_reported_like_any_other(loss: float) -> None:
    subject = TextSubject(text_data(), length=5)
    ours = {"loss": loss, "perplexity": perplexity(loss), "blocks": [loss - 1, loss + 1], "tokens": 50}
    theirs = {"loss": 4.0, "perplexity": perplexity(4.0), "blocks": [3.0, 5.0], "tokens": 50}
    figures = subject.figures(ours)
    low, high = figures["test_interval"]
    assert low <= figures["test_perplexity"] <= high < math.inf
    for pair in ((ours, theirs), (theirs, ours)):
        difference = subject.difference(*pair)
        assert all(math.isfinite(number) for number in difference)
        assert len(subject.words_of_difference(*difference)) < 90
    assert len(subject.validated({"validation_loss": loss})) < 60
