from __future__ import annotations

import numpy as np
import pytest

from archwright.errors import ConfigError
from archwright.evaluators.function import Function
from archwright.loop import Proposal, Result
from archwright.space import sample
from archwright.testing.small_spaces import Static

PROPOSAL = Proposal(0, sample(Static(), 1))


def test_the_function_is_given_the_architecture_and_returns_the_reward_or_a_result():
    assert Function(lambda architecture: architecture["first"]).evaluate(PROPOSAL) == Result(
        float(PROPOSAL.architecture["first"])
    )
    result = Result(0.5, {"accuracy": 0.5})
    assert Function(lambda architecture: result).evaluate(PROPOSAL) is result


@pytest.mark.parametrize("number", [3, True, np.float32(0.1), np.int64(2), np.array(0.25)])
def test_every_kind_of_number_becomes_a_float(number):
    reward = Function(lambda architecture: number).evaluate(PROPOSAL).reward
    assert type(reward) is float
    assert reward == number


@pytest.mark.parametrize("value", [None, "0.5", (0.5, {})])
def test_what_is_not_a_number_is_an_error_that_names_the_function(value):
    def mine(architecture):
        return value

    with pytest.raises(ConfigError, match=r"mine returned .*; it must return a number"):
        Function(mine).evaluate(PROPOSAL)


def test_it_prepares_nothing_and_keeps_no_state():
    evaluator = Function(lambda architecture: 1.0, failure_reward=-1.0)
    assert list(evaluator.prepare(lambda n: [], 0)) == []
    assert evaluator.state_dict() == {}
    assert (evaluator.stateful, evaluator.failure_reward, evaluator.trials_per_epoch) == (False, -1.0, 1.0)
