"""Training language models: rows of text, perplexity, resuming with the states that are carried."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from archwright.errors import ConfigError, Diverged
from archwright.evaluators.from_scratch import FromScratch
from archwright.evaluators.objective import Accuracy, InversePerplexity
from archwright.loop import Proposal
from archwright.modalities import modality, read
from archwright.presets import preset
from archwright.space import Open, sample
from archwright.spaces import EnasRecurrent, NasRecurrent
from archwright.training.child import child_network
from archwright.training.fit import Fit
from archwright.training.perplexity import Rows, evaluate_perplexity, perplexity
from archwright.training.recipe import NAS_RECURRENT
from small_text import text_data

SPACE = NasRecurrent(base=2, units=12, layers=1, input_dropout=0.0, output_dropout=0.0)
RECIPE = replace(NAS_RECURRENT, epochs=4, batch=4, length=5)
DATA = text_data()


CELL = SPACE.from_tokens(["add", "tanh", "add", "sigmoid", "elem_mult", "tanh", "add", "tanh", 0, 0])


def network(space: NasRecurrent = SPACE) -> torch.nn.Module:
    torch.manual_seed(0)
    return space.network(Open.only(space, CELL), DATA.task)


@given(st.integers(8, 300), st.integers(1, 7), st.integers(1, 40))
def test_rows_give_every_token_once_with_the_one_that_follows(count: int, batch: int, length: int) -> None:
    tokens = torch.arange(count)
    rows = Rows(tokens, batch, length)
    pieces = [rows[k] for k in range(len(rows))]
    seen = torch.cat([x for x, _ in pieces]).t()
    following = torch.cat([y for _, y in pieces]).t()
    assert (following == seen + 1).all()
    columns = count // rows.batch
    assert seen.tolist() == [list(range(r * columns, r * columns + columns - 1)) for r in range(rows.batch)]
    assert all(len(x) == length for x, _ in pieces[:-1])


def test_text_too_short_for_its_rows_is_an_error() -> None:
    with pytest.raises(ConfigError, match="too few"):
        Rows(torch.arange(1), 1, 5)


def test_perplexity_is_that_of_the_text_read_in_one_piece() -> None:
    model = network()
    whole = evaluate_perplexity(model, DATA.validation, length=1000, rows=1)
    pieces = evaluate_perplexity(model, DATA.validation, length=7, rows=1)
    assert pieces.perplexity == pytest.approx(whole.perplexity, rel=1e-5)
    assert whole.perplexity == pytest.approx(math.exp(float(whole.losses.double().mean())))
    assert len(whole.losses) == len(DATA.validation) - 1
    logits, _ = model(DATA.validation[:-1, None], model.start(1))
    by_hand = -logits.log_softmax(2)[torch.arange(len(logits)), 0, DATA.validation[1:]]
    torch.testing.assert_close(whole.losses, by_hand)


def test_it_learns_to_count() -> None:
    fit = Fit(network(), modality(DATA), replace(RECIPE, epochs=20))
    told = list(fit)
    assert fit.scored_by == "validation_perplexity"
    assert fit.score == told[-1].metrics["validation_perplexity"]
    assert fit.score < 3.0  # of 6 tokens, of which all but 5 % are certain
    assert [epoch for epoch, _ in fit.validation] == list(range(1, 21))


def test_it_learns_with_a_recipe_for_minutes_too() -> None:
    recipe = replace(RECIPE, epochs=20, warmup=0.1, decay=0.5, decay_norms=False, average=0.9, precision="bfloat16")
    fit = Fit(network(), modality(DATA), recipe, device="cpu", validate_last=1)
    list(fit.until(fit.steps // 2))
    fit.replan(fit.steps + 3)
    list(fit)
    assert len(fit.validation) == 1
    assert fit.score < 3.0


@settings(max_examples=6, deadline=None)
@given(st.integers(1, 70))
def test_a_training_that_is_stopped_anywhere_goes_on_to_the_same_bits(step: int) -> None:
    space = replace(SPACE, recurrent_dropout=0.2, input_dropout=0.2)
    whole = Fit(network(space), modality(DATA), RECIPE, device="cpu")
    list(whole)
    first = Fit(network(space), modality(DATA), RECIPE, device="cpu")
    for progress in first:
        if progress.step == step:
            break
    second = Fit(network(space), modality(DATA), RECIPE, device="cpu")
    second.load_state_dict(first.state_dict())
    list(second)
    assert second.validation == whole.validation
    for a, b in zip(whole.model.parameters(), second.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_loss_that_is_not_finite_is_a_failed_child() -> None:
    with pytest.raises(Diverged):
        list(Fit(network(), modality(DATA), replace(RECIPE, learning_rate=1e300, clip_norm=None)))


def test_the_reward_is_80_over_the_squared_perplexity() -> None:
    evaluator = FromScratch(SPACE, DATA, RECIPE)
    result = evaluator.evaluate(Proposal(0, CELL))
    assert result.reward == pytest.approx(80 / result.metrics["validation_perplexity"] ** 2)
    assert FromScratch(SPACE, DATA, RECIPE, objective=InversePerplexity()).evaluate(
        Proposal(0, CELL)
    ).reward == pytest.approx(80 / result.metrics["validation_perplexity"])
    with pytest.raises(ConfigError, match="validation_accuracy"):
        FromScratch(SPACE, DATA, RECIPE, objective=Accuracy())


def test_a_loss_whose_perplexity_no_float_holds_is_cut_off() -> None:
    assert perplexity(math.log(50.0)) == pytest.approx(50.0)
    assert math.isfinite(perplexity(5000.0))
    assert perplexity(math.nan) == math.inf


@pytest.mark.parametrize("number", [1, 15])
def test_the_small_preset_trains_cells_that_the_full_rate_makes_diverge(number: int) -> None:
    """Two random cells of twenty-four that did, in steps 8 and 9, or where the rate rises in steps 15 and 17."""
    source = modality(read("topics", seed=0, wanted="text", vocabulary=2000))
    small = preset("small", EnasRecurrent, source)
    space = EnasRecurrent.final(EnasRecurrent(**small.space), **small.final_space)
    network = child_network(space, sample(space, (7, number)), source.data.task, 0)
    training = Fit(network, source, replace(small.final_recipe, epochs=1), seed=0, device="cpu")
    assert [math.isfinite(progress.metrics["loss"]) for progress in training.until(20)] == [True] * 20
