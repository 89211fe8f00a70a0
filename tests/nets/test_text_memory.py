"""The memory of a language model: the published formula, however the text is cut, and what of it is fitted."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from archwright.modalities import modality
from archwright.nets.memory import TextMemory
from archwright.space import Open, TextTask, sample
from archwright.spaces import Recurrent
from archwright.spaces.known_language import known
from archwright.training.fit import Fit
from archwright.training.perplexity import evaluate_perplexity
from archwright.training.recipe import Recipe
from archwright.training.remembering import _shares, fit_memory
from small_text import text_data

TOKENS, UNITS, SIZE = 7, 4, 5


def remembering(size: int = SIZE, share: float = 0.3, sharpness: float = 0.7) -> TextMemory:
    memory = TextMemory(size)
    memory.share.fill_(share)
    memory.sharpness.fill_(sharpness)
    return memory


def text(time: int, batch: int = 2, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, outputs and tokens."""
    source = torch.Generator().manual_seed(seed)
    shapes = (time, batch, TOKENS), (time, batch, UNITS)
    logits, outputs = (torch.randn(*shape, generator=source, dtype=torch.float64) for shape in shapes)
    return logits, outputs, torch.randint(TOKENS, (time, batch), generator=source)


def by_hand(logits: Tensor, outputs: Tensor, tokens: Tensor, share: float, sharpness: float) -> Tensor:
    """Grave et al. 2017, equations 3 and 4, one token at a time; the output before the first is zero."""
    made = torch.empty_like(logits)
    for row in range(tokens.shape[1]):
        pairs: list[tuple[Tensor, int]] = []
        before = torch.zeros(UNITS, dtype=torch.float64)
        for time in range(len(tokens)):
            pairs.append((before, int(tokens[time, row])))
            before = outputs[time, row]
            weights = [math.exp(sharpness * float(before @ output)) for output, _ in pairs[-SIZE:]]
            remembered = torch.zeros(TOKENS, dtype=torch.float64)
            for weight, (_, token) in zip(weights, pairs[-SIZE:], strict=True):
                remembered[token] += weight / sum(weights)
            made[time, row] = ((1 - share) * logits[time, row].softmax(0) + share * remembered).log()
    return made


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 17), st.lists(st.integers(1, 6), min_size=1, max_size=17), st.integers(0, 99))
def test_it_is_the_published_mixture_however_the_text_is_cut(time: int, lengths: list[int], seed: int) -> None:
    logits, outputs, tokens = text(time, seed=seed)
    memory = remembering().double()
    kept, before, made, begin = memory.start(2, UNITS), torch.zeros(2, UNITS, dtype=torch.float64), [], 0
    while begin < time:
        end = begin + lengths[len(made) % len(lengths)]
        piece, kept = memory(logits[begin:end], outputs[begin:end], before, tokens[begin:end], kept)
        before = outputs[begin:end][-1]
        made.append(piece)
        begin = end
    expected = by_hand(logits, outputs, tokens, float(memory.share), float(memory.sharpness))
    torch.testing.assert_close(torch.cat(made), expected)
    torch.testing.assert_close(torch.cat(made).exp().sum(2), torch.ones(time, 2, dtype=torch.float64))


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 99))
def test_the_share_that_is_fitted_is_the_best_one(seed: int) -> None:
    source = torch.Generator().manual_seed(seed)
    own, remembered = torch.rand(200, generator=source).double(), torch.rand(3, 200, generator=source).double()
    shares, losses = _shares(own, remembered)
    for some in torch.linspace(0, 1, 101).tolist():
        other = -((1 - some) * own + some * remembered).log().mean(1)
        assert (losses <= other + 1e-3).all()
    assert ((shares >= 0) & (shares <= 1)).all()


def network(remembers: int) -> torch.nn.Module:
    space = Recurrent(widths=(12,), remembers=remembers)
    torch.manual_seed(0)
    return space.network(Open.only(space, known("lstm", space)), TextTask(50))


def test_text_that_repeats_itself_is_remembered_and_noise_is_not() -> None:
    source = torch.Generator().manual_seed(0)
    noise = torch.randint(50, (4000,), generator=source)
    rows = [torch.randint(50, (20,), generator=source).repeat(20) for _ in range(10)]
    model = network(60)
    for tokens, remembered in ((noise, False), (torch.cat(rows), True)):
        alone = evaluate_perplexity(network(0), tokens, length=11)
        figures = fit_memory(model, tokens, length=11)
        assert (float(model.memory.share) > 0.1) == remembered  # type: ignore[union-attr, arg-type]
        assert (figures["validation_loss"] < alone.loss - 0.5) == remembered
        score = evaluate_perplexity(model, tokens, length=11)
        assert score.loss == pytest.approx(figures["validation_loss"], rel=1e-5)
        again = fit_memory(model, tokens, length=11)
        assert again == figures


def test_a_training_ends_with_what_is_remembered_and_reports_it() -> None:
    data = text_data(validation=400)
    space = Recurrent(widths=(8,), remembers=20)
    recipe = Recipe(epochs=2, batch=4, length=5, learning_rate=1.0, momentum=0.0, nesterov=False)
    model = space.network(Open.only(space, known("lstm", space)), data.task)
    fit = Fit(model, modality(data), recipe, device="cpu", validate_last=1)
    list(fit)
    assert fit.looks(fit.steps) >= 1  # after the end what remains is the fit
    score = evaluate_perplexity(model, data.validation, length=recipe.length)
    assert fit.score == pytest.approx(score.perplexity, rel=1e-5)
    assert float(model.memory.share) > 0
    assert fit.score < fit.validation[-1][1]  # counting repeats itself


def test_what_is_remembered_acts_outside_training_only() -> None:
    space = Recurrent(widths=(8,), remembers=20)
    plain = replace(space, remembers=0)
    architecture = sample(space, 3)
    torch.manual_seed(1)
    model = space.network(Open.only(space, architecture), TextTask(9))
    other = plain.network(Open.only(plain, architecture), TextTask(9))
    other.load_state_dict({k: v for k, v in model.state_dict().items() if not k.startswith("memory")})
    tokens = torch.arange(18).view(9, 2) % 9
    model.memory.share.fill_(0.5)
    assert len(model.start(2)) == len(model.cells)
    model.eval()
    other.eval()
    assert len(model.start(2)) == len(model.cells) + 1
    expected, _ = other(tokens, other.start(2))
    assert not torch.equal(model(tokens, model.start(2))[0], expected)
    model.memory.share.zero_()
    torch.testing.assert_close(model(tokens, model.start(2))[0], expected, rtol=0, atol=0)
