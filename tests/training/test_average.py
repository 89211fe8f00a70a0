"""The moving average of weights: its formula, that it is validated and delivered, and that it is resumed."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from archwright.modalities import modality
from archwright.nets.residual import Residual
from archwright.states import pack, unpack
from archwright.training.average import WeightAverage
from archwright.training.fit import Fit
from archwright.training.recipe import Recipe
from small_images import image_data

RECIPE = Recipe(epochs=3, batch=8, learning_rate=0.05, average=0.8, pad=0)


def fit(recipe: Recipe = RECIPE) -> Fit:
    torch.manual_seed(0)
    data = image_data()
    return Fit(Residual(data.task, 4), modality(data), recipe, seed=1, device="cpu")


def test_the_average_is_that_of_tensorflow() -> None:
    network = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(network.weight)
    average = WeightAverage(network, 0.5)
    expected = 0.0
    for step, value in enumerate((1.0, 2.0, -1.0, 4.0, 0.5, 3.0, 3.0, 3.0, 3.0, 3.0)):
        with torch.no_grad():
            network.weight.fill_(value)
        average.update(step)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * value
    with average.exchanged():
        assert network.weight.item() == pytest.approx(expected)
    assert network.weight.item() == 3.0


def test_what_is_trained_does_not_depend_on_the_average_and_what_is_delivered_is_it() -> None:
    with_average, without = fit(), fit(Recipe(epochs=3, batch=8, learning_rate=0.05, pad=0))
    losses = [[progress.metrics["loss"] for progress in training] for training in (with_average, without)]
    assert losses[0] == losses[1]
    averaged = with_average.state_dict()["average"]
    weights = dict(without.model.named_parameters())
    for name, parameter in with_average.model.named_parameters():
        torch.testing.assert_close(averaged[name], weights[name].detach().contiguous(), rtol=0, atol=0)
        assert not torch.equal(parameter, weights[name])
    assert with_average.validation != without.validation


def test_running_statistics_are_averaged_as_the_weights_are() -> None:
    training = fit(Recipe(epochs=1, batch=8, average=0.8, pad=0))
    live, expected = training.model.state_dict(), {}
    for progress in training.until(2):
        decay = min(0.8, progress.step / (9 + progress.step))
        for name, value in live.items():
            if "running" in name:
                begin = torch.ones_like(value) if "var" in name else torch.zeros_like(value)
                expected[name] = decay * expected.get(name, begin) + (1 - decay) * value
    assert expected
    for name, value in expected.items():
        torch.testing.assert_close(training.state_dict()["average"][name], value)


def test_validation_between_steps_and_after_the_end_is_of_the_average() -> None:
    training, whole = fit(), fit()
    for _ in training.until(2):
        pass
    live = training.validate()
    state = training.state_dict()
    training.model.load_state_dict(state["average"] | {k: v for k, v in state["model"].items() if "tracked" in k})
    again = fit(Recipe(epochs=3, batch=8, learning_rate=0.05, pad=0))
    again.model.load_state_dict(training.model.state_dict())
    assert live == again.validate()
    assert [progress.step for progress in whole][-1] == 9
    assert whole.validate() == whole.metrics


def test_a_stopped_training_goes_on_with_its_average() -> None:
    whole, first, second = fit(), fit(), fit()
    for _ in whole:
        pass
    for progress in first:
        if progress.step == 5:
            break
    second.load_state_dict(unpack(pack(first.state_dict())))
    for _ in second:
        pass
    assert second.validation == whole.validation
    for ours, theirs in zip(second.model.parameters(), whole.model.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_a_rate_may_fall_by_a_factor_again_and_again() -> None:
    recipe = Recipe(learning_rate=0.1, decay_every=2.4, decay_factor=0.97)
    assert [recipe.rate(position) for position in (0, 2.3, 2.4, 4.8)] == pytest.approx([0.1, 0.1, 0.097, 0.09409])
