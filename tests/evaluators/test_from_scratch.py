from __future__ import annotations

import pickle
from dataclasses import replace

import pytest

from archwright.controllers.random import Random
from archwright.errors import ConfigError, Diverged
from archwright.evaluators.from_scratch import FromScratch
from archwright.evaluators.objective import AccuracyCubed, InversePerplexity
from archwright.loop import Proposal, Trial, Trials, run
from archwright.space import sample
from archwright.spaces.enas_micro import EnasMicro
from archwright.training.measure import parameters
from archwright.training.recipe import Recipe
from small_images import image_data

SPACE = EnasMicro(nodes=1).final(repeats=1, filters=8, auxiliary=False)
RECIPE = Recipe(epochs=4, batch=8, pad=0, flip=False)
DATA = image_data()
ONE, OTHER = (Proposal(number, sample(SPACE, number)) for number in (3, 4))


def evaluator(**changes) -> FromScratch:
    return FromScratch(**{"space": SPACE, "data": DATA, "recipe": RECIPE, "device": "cpu", **changes})


def timeless(result):
    return replace(result, metrics={name: value for name, value in result.metrics.items() if name != "seconds"})


def test_a_score_depends_on_the_architecture_alone_and_survives_another_process():
    scores = evaluator()
    first = timeless(scores.evaluate(ONE))
    scores.evaluate(OTHER)
    again = scores.evaluate(Proposal(77, ONE.architecture))
    elsewhere = pickle.loads(pickle.dumps(scores)).evaluate(ONE)
    assert first == timeless(again) == timeless(elsewhere)
    assert first.reward == first.metrics["validation_accuracy"]
    assert first.metrics["parameters"] == parameters(scores.network(ONE.architecture))


def test_the_reward_is_what_the_objective_makes_of_the_last_epochs():
    result = evaluator(objective=AccuracyCubed(), last_epochs=3).evaluate(ONE)
    assert result.reward == result.metrics["best_validation_accuracy"] ** 3
    assert result.metrics["best_validation_accuracy"] >= result.metrics["validation_accuracy"]


def test_a_child_that_fails_is_a_trial_with_an_error_and_the_search_goes_on():
    wild = evaluator(recipe=replace(RECIPE, learning_rate=1e30, clip_norm=None))
    with pytest.raises(Diverged):
        wild.evaluate(ONE)
    slow = evaluator(time_limit=0)
    for failing, says in ((wild, "Diverged: "), (slow, "TimedOut: ")):
        trials = [t for t in run(Random(SPACE), failing, budget=Trials(2)) if isinstance(t, Trial)]
        assert len(trials) == 2
        assert all(t.result.error.startswith(says) and t.reward == 0.0 for t in trials)


def test_a_budget_of_epochs_counts_those_of_a_child():
    assert evaluator().trials_per_epoch == 1 / 4


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"last_epochs": 0}, "last_epochs is 0"),
        ({"device": "warp"}, "'warp' is not a device"),
        ({"objective": InversePerplexity()}, "validation_perplexity, which FromScratch does not measure"),
        ({"data": image_data(validation=0)}, "no validation part"),
    ],
)
def test_what_cannot_work_is_refused_at_once(change, says):
    with pytest.raises(ConfigError, match=says):
        evaluator(**change)
