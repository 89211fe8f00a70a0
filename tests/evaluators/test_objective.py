from __future__ import annotations

import math

import pytest

from archwright.errors import ConfigError
from archwright.evaluators.objective import (
    OBJECTIVES,
    Accuracy,
    AccuracyCubed,
    InversePerplexity,
    LatencyWeighted,
    Likelihood,
    needs,
    require,
)

METRICS = {
    "validation_accuracy": 0.9,
    "best_validation_accuracy": 0.5,
    "validation_perplexity": 62.4,
    "validation_loss": math.log(4),
    "latency": 0.02,
}


@pytest.mark.parametrize(
    ("objective", "reward"),
    [
        (Accuracy(), 0.9),  # NASNet, ENAS
        (AccuracyCubed(), 0.125),  # NAS: the best of the last epochs
        (InversePerplexity(), 80 / 62.4),  # ENAS
        (InversePerplexity(power=2), 80 / 62.4**2),  # NAS
        (Likelihood(), 0.25),
        (LatencyWeighted(target=0.02), 0.9),
        (LatencyWeighted(target=0.01), 0.9 * 2**-0.07),  # MnasNet: twice the latency costs about 5 %
    ],
)
def test_rewards_are_the_papers(objective, reward):
    assert objective(METRICS) == pytest.approx(reward)


def test_every_name_makes_an_objective_that_says_what_it_needs():
    made = [make(target=0.01) if name == "latency-weighted" else make() for name, make in OBJECTIVES.items()]
    for objective in made:
        assert needs(objective)
        assert objective({name: METRICS[name] for name in needs(objective)}) > 0
    assert OBJECTIVES["inverse-perplexity-squared"](c=1.0)(METRICS) == pytest.approx(1 / 62.4**2)


def test_a_metric_that_is_not_measured_is_named_before_anything_is_trained():
    require(lambda metrics: 1.0, ("accuracy",), "Nobody")  # a plain function says nothing of its needs
    with pytest.raises(
        ConfigError, match=r"LatencyWeighted\(.*needs latency, which Nobody does not measure; it measures"
    ):
        require(LatencyWeighted(target=1.0), ("validation_accuracy",), "Nobody")


def test_a_target_must_be_a_time():
    with pytest.raises(ConfigError, match="target is 0"):
        LatencyWeighted(target=0)
