"""Text that is read too often is learned by heart: the best weights are kept, and the rate falls from them."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from archwright.errors import ConfigError
from archwright.training.fit import Fit
from archwright.training.recipe import Recipe

PER_EPOCH = 5
RECIPE = Recipe(
    **{"epochs": 20, "learning_rate": 1.0, "learning_rate_min": 0.0, "momentum": 0.0, "nesterov": False, "looks": 20},
    **{"decay": 0.5, "weight_decay": 0.0, "clip_norm": None},
)


class Count(nn.Module):
    """A network whose one weight counts the steps at a rate of 1."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))

    def set_progress(self, progress: float) -> None: ...


class Steps:
    """Training data with a validation loss that is given for each pass."""

    scored_by, channels_last, progress, per_epoch, finishing = "validation_loss", False, 1.0, PER_EPOCH, 0

    def __init__(self, losses: Mapping[int, float]) -> None:
        self.losses, self.looked = losses, []

    def loss(self, model: Any, step: int, architecture: Any = None) -> tuple[Tensor, dict[str, Tensor]]:
        return -model.weight, {}

    def validate(self, model: Any) -> dict[str, float]:
        passes = round(model.weight.item() / PER_EPOCH, 3)
        self.looked.append(passes)
        return {"validation_loss": self.losses.get(round(passes), 9.0)}

    def finish(self, model: Any) -> dict[str, float]:
        return {}

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: Any) -> None: ...


def fit(losses: Mapping[int, float], recipe: Recipe = RECIPE) -> Fit:
    source: Any = SimpleNamespace(training_data=lambda model, recipe, **_: Steps(losses))
    return Fit(Count(), source, recipe, device="cpu", validate_last=1)


def falls_until(best: int) -> dict[int, float]:
    return {passes: 5 + abs(passes - best) / 10 for passes in range(30)}


def test_the_rate_falls_from_the_best_weights_as_if_that_had_been_the_plan() -> None:
    training = fit(falls_until(4))
    rates = [progress.metrics["learning_rate"] for progress in training]
    assert training.shortened
    # 4 passes to the best look, two more that are worse, and as long a fall as 4 passes of constant rate ask for.
    assert len(rates) == training.step == training.steps == PER_EPOCH * (6 + 4)
    assert rates[: 6 * PER_EPOCH] == [1.0] * 6 * PER_EPOCH
    assert rates[6 * PER_EPOCH :] == pytest.approx([1 - k / (4 * PER_EPOCH) for k in range(4 * PER_EPOCH)])
    assert training.metrics["validation_loss"] == pytest.approx(5.0)  # nothing after it was better


def test_the_best_weights_are_delivered() -> None:
    worse_at_the_end = {passes: 9.0 if passes > 14 else 5 - passes / 10 for passes in range(30)}
    training = fit(worse_at_the_end)
    for _ in training:
        pass
    assert not training.shortened  # the rate was falling already
    assert 10 < training.model.weight.item() / PER_EPOCH < 14.5
    assert training.metrics["validation_loss"] < 4.0


def test_the_ends_of_epochs_are_looks_and_the_score_is_that_of_what_is_delivered() -> None:
    worse_at_the_end = {passes: 9.0 if passes > 14 else 5 - passes / 10 for passes in range(30)}
    source: Any = SimpleNamespace(training_data=lambda model, recipe, **_: Steps(worse_at_the_end))
    training = Fit(Count(), source, RECIPE, device="cpu")  # validated after each epoch
    assert training.looks(training.steps) == 20
    for _ in training:
        pass
    assert len(training._data.looked) == 20  # type: ignore[attr-defined]
    assert training.score == training.metrics["validation_loss"] < training.validation[-1][1]


def test_one_worse_look_changes_nothing() -> None:
    losses = {passes: 5 - passes / 10 for passes in range(30)} | {4: 6.0}
    training = fit(losses)
    for _ in training:
        pass
    assert not training.shortened
    assert training.step == 20 * PER_EPOCH


def test_looks_are_at_most_one_a_pass_and_as_many_as_asked_for() -> None:
    many, few = fit({}, Recipe(**{**vars(RECIPE), "looks": 50})), fit({}, Recipe(**{**vars(RECIPE), "looks": 4}))
    falling = {passes: 5 - passes / 10 for passes in range(30)}
    for training, count in ((many, 20), (few, 4)):
        training._data.losses = falling  # type: ignore[attr-defined]
        for _ in training:
            pass
        assert len(training._data.looked) == count  # type: ignore[attr-defined]
    none = fit(falls_until(2), Recipe(**{**vars(RECIPE), "looks": 0}))
    for _ in none:
        pass
    assert none.metrics["validation_loss"] > 5.5


@pytest.mark.parametrize("stop", [12, 27, 33, 49])
def test_a_training_that_is_stopped_goes_on_to_the_same_end(stop: int) -> None:
    whole, first = fit(falls_until(4)), fit(falls_until(4))
    for _ in whole:
        pass
    for _ in first.until(stop):
        pass
    second = fit(falls_until(4))
    second.load_state_dict(first.state_dict())
    for _ in second:
        pass
    assert (second.step, second.shortened) == (whole.step, whole.shortened)
    assert torch.equal(second.model.weight, whole.model.weight)
    assert second.metrics == whole.metrics


def test_looks_are_a_number_from_zero_up() -> None:
    with pytest.raises(ConfigError, match="looks"):
        Recipe(looks=-1)
