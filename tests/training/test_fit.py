from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from archwright import states
from archwright.errors import ChildFailure, Diverged, RunError, TimedOut
from archwright.modalities import modality
from archwright.nets.network import Network
from archwright.space import Open, sample
from archwright.spaces.enas_micro import EnasMicro
from archwright.training.accuracy import evaluate_accuracy
from archwright.training.fit import Fit
from archwright.training.recipe import Recipe
from small_images import image_data

SPACE = EnasMicro(nodes=2).final(repeats=1, filters=8)  # with dropout, drop path and the auxiliary head
RECIPE = Recipe(epochs=3, batch=8, cutout=3, restart_period=1)  # 3 steps an epoch: 8, 8 and 9 images
DATA = image_data()


def network(space: EnasMicro = SPACE) -> Network:
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        return space.network(Open.only(space, sample(space, 3)), DATA.task)


def fit(model: Network | None = None, recipe: Recipe = RECIPE, **settings) -> Fit:
    return Fit(model if model is not None else network(), modality(DATA), recipe, device="cpu", **settings)


def same(one: Fit, other: Fit) -> bool:
    ours, theirs = one.state_dict() | {"seconds": 0}, other.state_dict() | {"seconds": 0}
    return states.pack(ours) == states.pack(theirs)


@pytest.fixture(scope="module")
def whole() -> tuple[Fit, list]:
    training = fit()
    return training, list(training)


@pytest.mark.parametrize("cuts", [(1,), (3,), (4, 5), (2, 6, 8), (9,)])
def test_interrupted_training_ends_at_the_same_bits(whole, cuts):
    training, told, state = fit(), [], None
    for cut in (*cuts, None):
        torch.manual_seed(cut or 99)  # what the global generator does must not matter
        training = fit()
        if state is not None:
            training.load_state_dict(states.unpack(state))
        for progress in training:
            told.append(progress)
            if progress.step == cut:
                state = states.pack(training.state_dict())
                break
    assert told == whole[1]
    assert same(training, whole[0])


def test_every_step_reports_and_every_epoch_is_validated(whole):
    training, told = whole
    assert [p.step for p in told] == list(range(1, 10))
    assert {p.steps for p in told} == {9}
    assert [p.step for p in told if "validation_accuracy" in p.metrics] == [3, 6, 9]
    assert training.validation == [(p.step // 3, p.metrics["validation_accuracy"]) for p in told[2::3]]
    assert told[0].metrics["learning_rate"] == RECIPE.learning_rate
    assert not training.model.training


def test_the_global_generator_is_left_alone():
    before = torch.get_rng_state()
    next(iter(fit()))
    assert torch.equal(before, torch.get_rng_state())


def test_another_seed_is_another_training(whole):
    training = fit(seed=1)
    list(training)
    assert not same(training, whole[0])


def test_it_learns():
    plain = replace(SPACE, dropout=0.0, drop_path_keep=1.0)
    training = fit(network(plain), Recipe(epochs=25, batch=8, pad=0, flip=False))
    list(training)
    assert training.score > 0.9


def test_bfloat16_computes_coarser_and_keeps_float32_weights(whole):
    training = fit(recipe=replace(RECIPE, precision="bfloat16"))
    loss, exact = next(iter(training)).metrics["loss"], whole[1][0].metrics["loss"]
    assert loss != exact
    assert loss == pytest.approx(exact, rel=0.05)
    assert {p.dtype for p in training.model.parameters()} == {torch.float32}


def test_validation_can_be_kept_for_the_last_epochs():
    training = fit(validate_last=2)
    list(training)
    assert [epoch for epoch, _ in training.validation] == [2, 3]
    part = fit(recipe=replace(RECIPE, epochs=2.5), validate_last=2)  # an epoch that ends early is one
    list(part)
    assert [epoch for epoch, _ in part.validation] == [2, 3]


def test_divergence_stops_before_the_weights_are_spoilt():
    training = fit(recipe=replace(RECIPE, learning_rate=1e30, clip_norm=None))
    with pytest.raises(Diverged, match=r"step \d of 9 has loss .* at learning rate"):
        list(training)
    assert all(p.isfinite().all() for p in training.model.parameters())


def test_the_time_limit_counts_what_was_used_before():
    with pytest.raises(TimedOut, match="more than 0 s: stopped at step 1 of 9"):
        list(fit(time_limit=0))
    resumed = fit(time_limit=1000)
    resumed.load_state_dict(fit().state_dict() | {"seconds": 1000.0})
    with pytest.raises(TimedOut):
        list(resumed)


class Greedy(Network):
    """Asks for more memory than there is on any machine, or fails otherwise."""

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__()
        self.weight, self.error = torch.nn.Parameter(torch.ones(1)), error

    def with_auxiliary(self, x, architecture=None):
        if self.error is not None:
            raise self.error
        return torch.empty(2**60, dtype=torch.uint8), None


@pytest.mark.parametrize("error", [None, MemoryError(), torch.OutOfMemoryError("CUDA out of memory.")])
def test_running_out_of_memory_is_a_failure_of_the_child(error):
    with pytest.raises(ChildFailure, match="out of memory: a training step of batch 8 did not fit"):
        list(fit(Greedy(error)))


def test_other_errors_are_not_hidden():
    with pytest.raises(RuntimeError, match="shapes do not match"):
        list(fit(Greedy(RuntimeError("shapes do not match"))))


def test_a_state_of_another_length_is_refused():
    with pytest.raises(RunError, match="9 steps, this one has 12"):
        fit(recipe=replace(RECIPE, epochs=4)).load_state_dict(fit().state_dict())


@pytest.mark.parametrize("batch", [2, 5, 11, 100])
def test_accuracy_does_not_depend_on_the_batch(batch):
    model = network()
    list(fit(model))
    model.train()
    score = evaluate_accuracy(model, DATA.validation, DATA.preprocessing, batch)
    assert model.training
    model.eval()
    with torch.no_grad():
        logits = model(DATA.preprocessing(DATA.validation.x))
    correct = logits.argmax(1) == DATA.validation.y
    assert torch.equal(score.correct, correct)
    assert score.accuracy == correct.sum().item() / 12
    assert score.loss == pytest.approx(torch.nn.functional.cross_entropy(logits, DATA.validation.y).item(), rel=1e-4)
    assert math.isfinite(score.loss)
