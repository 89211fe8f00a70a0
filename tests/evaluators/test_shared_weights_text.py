"""Shared weights of language models: carried states, steps that are not finite, scores, interruptions."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import pytest
import torch

from archwright.errors import ChildFailure, ConfigError, Diverged
from archwright.evaluators.objective import Accuracy
from archwright.evaluators.shared_weights import SharedWeights
from archwright.loop import Proposal
from archwright.modalities.text import batches
from archwright.space import sample
from archwright.spaces.enas_recurrent import EnasRecurrent
from archwright.training.recipe import ENAS_RECURRENT
from small_text import text_data

SPACE = EnasRecurrent(nodes=3, units=8, recurrent_dropout=0.1)
RECIPE = replace(ENAS_RECURRENT, epochs=3, batch=4, length=5, learning_rate=1.0)
DATA = text_data()  # 400 tokens: 20 steps of 4 rows of 5 an epoch


def evaluator(**changes: object) -> SharedWeights:
    settings = {"space": SPACE, "data": DATA, "recipe": RECIPE, "device": "cpu", "trials_per_epoch": 4, **changes}
    return SharedWeights(**settings)  # type: ignore[arg-type]


@dataclass
class Asked:
    """Uniform proposals, numbered as the loop numbers them."""

    streams: int = 0

    def __call__(self, n: int) -> list[Proposal]:
        fresh = [Proposal(s, sample(SPACE, (5, s))) for s in range(self.streams, self.streams + n)]
        self.streams += n
        return fresh


def test_it_learns_and_its_reward_is_enas() -> None:
    dry = {"units": 16, "input_dropout": 0.0, "recurrent_dropout": 0.0, "output_dropout": 0.0, "init": 0.3}
    adam = replace(RECIPE, optimizer="adam", momentum=0.9, learning_rate=0.01, batch=10)
    # Rows are no multiple of 6 long: if all were at the same word, normalising over them would leave nothing.
    shared = evaluator(space=replace(SPACE, **dry), recipe=adam, steps_per_epoch=100, evaluation_batch=7)
    list(shared.prepare(Asked(), 4 * 2))
    result = shared.evaluate(Proposal(3, sample(SPACE, 3)))
    assert result.metrics["validation_perplexity"] < 5  # of 6 words that count up, but for noise
    assert result.reward == pytest.approx(80 / result.metrics["validation_perplexity"])
    assert math.log(result.metrics["validation_perplexity"]) == pytest.approx(result.metrics["validation_loss"])
    assert shared.evaluate(Proposal(3, sample(SPACE, 3))) == result  # states start from zero each time


def test_a_minibatch_is_a_piece_of_the_validation_text_and_ranks_are_over_all_of_them() -> None:
    shared = evaluator(evaluation_batch=3)  # 120 tokens: rows of 40, 7 whole pieces of 5
    names = shared._scoring.whole(0, 0)
    assert sorted(names) == list(range(7))
    architectures = [sample(SPACE, seed) for seed in range(4)]
    rewards = shared.rank(architectures, minibatches=None)
    losses = [
        sum(shared._score(a, shared._scoring.batch(name))["validation_loss"] for name in names) / 7
        for a in architectures
    ]
    assert rewards == pytest.approx([80 / math.exp(loss) for loss in losses])


def test_a_step_that_is_not_finite_is_not_taken_and_the_next_one_starts_afresh(monkeypatch: pytest.MonkeyPatch) -> None:
    shared = evaluator()
    steps = shared.prepare(Asked(), 0)
    for _ in range(3):
        next(steps)
    before = {name: tensor.clone() for name, tensor in shared.network.state_dict().items()}
    real = batches.token_loss

    def broken(*arguments: object) -> object:
        loss, carried = real(*arguments)  # type: ignore[arg-type]
        return loss * math.nan, [tuple(part * math.nan for part in state) for state in carried]

    monkeypatch.setattr(batches, "token_loss", broken)
    assert next(steps).metrics["skipped"] == 1
    assert all(torch.equal(before[name], tensor) for name, tensor in shared.network.state_dict().items())
    monkeypatch.setattr(batches, "token_loss", real)
    after = next(steps).metrics
    assert math.isfinite(after["loss"])
    assert after["skipped"] == 1
    assert any(not torch.equal(before[name], tensor) for name, tensor in shared.network.state_dict().items())


def test_an_epoch_of_nothing_else_is_an_error_and_a_broken_score_a_failed_trial() -> None:
    shared = evaluator()
    with torch.no_grad():
        shared.network.embedding.weight.fill_(math.nan)
    with pytest.raises(Diverged, match="no step of epoch 1"):
        list(shared.prepare(Asked(), 0))
    with pytest.raises(ChildFailure, match="loss is nan"):
        shared.evaluate(Proposal(0, sample(SPACE, 0)))
    assert shared.rank([sample(SPACE, 0)]) == [0.0]


def test_accuracy_is_no_reward_for_text() -> None:
    with pytest.raises(ConfigError, match="validation_accuracy"):
        evaluator(objective=Accuracy())
