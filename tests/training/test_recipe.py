from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest

from archwright.errors import ConfigError
from archwright.training.recipe import ENAS_MICRO_FINAL, ENAS_MICRO_SEARCH, ENAS_RECURRENT, Recipe


def test_the_presets_are_the_official_scripts():
    final, search = ENAS_MICRO_FINAL, ENAS_MICRO_SEARCH
    assert (final.epochs, final.batch, final.learning_rate, final.learning_rate_min) == (630, 144, 0.05, 1e-4)
    assert (search.epochs, search.batch, search.learning_rate, search.learning_rate_min) == (150, 160, 0.05, 5e-4)
    assert final.weight_decay == 2 * 2e-4  # their penalty has no factor 1/2
    assert search.weight_decay == 2 * 1e-4


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"epochs": 0}, "epochs is 0"),
        ({"batch": -1}, "batch is -1"),
        ({"learning_rate": 1e-5}, "learning_rate is 1e-05; it must be finite and at least learning_rate_min, 0.0001"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"momentum": 1.0}, "momentum is 1.0"),
        ({"momentum": 0.0}, "nesterov is True; it must be False when momentum is 0"),
        ({"clip_norm": 0.0}, "clip_norm is 0.0"),
        ({"label_smoothing": 1.0}, "label_smoothing is 1.0"),
        ({"cutout_at": "center"}, "cutout_at is 'center'; it must be 'centre' or 'corner'"),
        ({"precision": "float16"}, "precision is 'float16'"),
        ({"weight_decay": float("inf")}, "weight_decay is inf"),
        ({"warmup": 1.0}, "warmup is 1.0"),
        (
            {"warmup": 0.3, "decay": 0.8},
            "decay is 0.8; it must be None, or above 0 and at most 1 less the warm-up",
        ),
        ({"decay": 0.0}, "decay is 0.0"),
        ({"decay": 0.3, "decay_at": (0.5,)}, "decay is 0.3; it must be None with decay_at or decay_every"),
        ({"augment": 1.5}, "augment is 1.5; it must be from 0 to 1"),
        ({"small_from": 0.0}, "small_from is 0.0"),
        ({"small_until": 2.0}, "small_until is 2.0; it must be above 0, and 1 at most"),
    ],
)
def test_a_wrong_value_is_named_with_what_would_be_right(change, says):
    with pytest.raises(ConfigError) as caught:
        replace(Recipe(), **change)
    assert says in str(caught.value)


def test_a_recipe_goes_through_json():
    recipe = Recipe(cutout=16, clip_norm=None)
    assert Recipe(**json.loads(json.dumps(asdict(recipe)))) == recipe


def test_enas_recurrent_weights_keep_their_rate_for_15_epochs_and_lose_a_25th_of_it_in_each_after() -> None:
    rates = [ENAS_RECURRENT.rate(epoch) for epoch in (0, 14.9, 15, 15.5, 16, 20.2)]
    assert rates == pytest.approx([20, 20, 20, 20, 20 * 0.96, 20 * 0.96**5])
