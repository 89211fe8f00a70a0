"""What a run says of language models."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from archwright.data.text import Level
from archwright.methods.cost import cost
from archwright.modalities.text.modality import Text
from archwright.modalities.text.model import TrainedLanguageModel
from archwright.space import Open, TextTask, sample
from archwright.spaces import NasRecurrent
from archwright.training.perplexity import perplexity
from archwright.training.recipe import NAS_RECURRENT
from small_text import text_data


@pytest.mark.parametrize("level", ["words", "characters"])
@pytest.mark.parametrize("loss", [5.0, 2000.0])
def test_a_model_that_has_diverged_is_reported_like_any_other(loss: float, level: Level) -> None:
    subject = Text(replace(text_data(), level=level))
    ours = {"loss": loss, "perplexity": perplexity(loss), "blocks": [loss - 1, loss + 1], "tokens": 50}
    theirs = {"loss": 4.0, "perplexity": perplexity(4.0), "blocks": [3.0, 5.0], "tokens": 50}
    figures = subject.figures(ours)
    low, high = figures["test_interval"]
    assert low <= figures["test_perplexity"] <= high < math.inf
    for pair in ((ours, theirs), (theirs, ours)):
        difference = subject.difference(*pair)
        assert all(math.isfinite(number) for number in difference)
        assert len(subject.wording.words_of_difference(*difference)) < 90
    assert len(subject.validated({"validation_loss": loss})) < 60


def test_words_are_told_in_perplexity_and_characters_in_bits() -> None:
    """2 nats against 1: perplexity 7.39 against 2.72, or 1 / log 2 = 1.443 bits more."""
    ours = {"loss": 2.0, "perplexity": math.e**2, "blocks": [2.0, 2.0, 2.0], "tokens": 30}
    theirs = {"loss": 1.0, "perplexity": math.e, "blocks": [1.0, 1.0, 1.0], "tokens": 30}
    words, characters = (Text(replace(text_data(), level=level)) for level in ("words", "characters"))
    assert words.difference(ours, theirs) == pytest.approx([math.e**2 - math.e] * 3)
    assert characters.difference(ours, theirs) == pytest.approx([1 / math.log(2)] * 3)
    assert words.wording.words(math.e) == "perplexity 2.72 a word"
    assert characters.wording.words(math.e) == "1.443 bits a character"
    assert characters.wording.words_of_difference(1.0, 0.5, 1.5) == "+1.000 bits, 95 % interval +0.500 to +1.500"
    assert characters.estimate("found", {"test_perplexity": 8.0, "test_interval": [4.0, 16.0]}).value == 3.0


def test_any_prompt_and_any_seed_are_taken() -> None:
    """Words too long for the name of a file are no file; a seed may be beyond 64 bits."""
    space = NasRecurrent(base=2, layers=1, units=4)
    architecture = sample(space, 0)
    network = space.network(Open.only(space, architecture), TextTask(3)).eval()
    model = TrainedLanguageModel(network, architecture, space, ("a", "b", "<eos>"), "words")
    prompt = Path(" ".join("ab"[n % 2] for n in range(3000)))
    ((figures, _),) = model.answers([prompt], tokens=2, seed=2**70)
    assert figures["written"].startswith(str(prompt))


def test_a_look_at_text_is_estimated_by_the_rows_that_it_reads_side_by_side() -> None:
    """For 64 units a token in 10 rows was measured to take 1.5 times what it takes in 32, and 2.2 times that in 64."""
    text = Text(text_data())
    for batch, slower in ((10, 1.0), (32, 1.5), (64, 2.2)):
        recipe = replace(NAS_RECURRENT, batch=batch, length=7)
        forward = (
            0.3 / 3 * len(text.data.validation) / (batch * 7)
        )  # steps of 0.3 s, of which a third is the forward pass
        assert cost(recipe, text, 0.3).validation == pytest.approx(slower * forward, rel=0.05)
