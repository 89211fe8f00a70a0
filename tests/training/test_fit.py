from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from archwright import states
from archwright.errors import ChildFailure, ConfigError, Diverged, RunError, TimedOut
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


def test_the_last_epoch_is_validated_where_a_fraction_is_rounded_away():
    part = fit(recipe=replace(RECIPE, epochs=2.01), validate_last=1)
    list(part)
    assert (part.steps, [epoch for epoch, _ in part.validation]) == (6, [2])


def test_rungs_with_validation_between_them_change_no_bit(whole):
    training, told = fit(), []
    for rung in (2, 2, 5, 9, 20):
        told += training.until(rung)
        assert training.step == min(rung, 9)
        assert training.model.training == (rung < 9)
        assert training.validate().keys() == {"validation_accuracy", "validation_loss"}
    assert told == whole[1]
    assert same(training, whole[0])
    assert training.validate() == training.metrics


WSD = replace(RECIPE, warmup=0.2, decay=0.5, cutout=0)


@settings(max_examples=15, deadline=None)
@given(begin=st.integers(0, 8), steps=st.integers(1, 12), again=st.integers(0, 3))
def test_a_replanned_schedule_goes_on_from_where_it_is_and_ends_as_planned(begin, steps, again):
    training, seen = fit(Dot(), WSD), []
    list(training.until(begin))
    for more in (steps, steps + again):
        before = training.progress
        training.replan(begin + more)
        assert (training.progress, training.steps) == (before, begin + more)
    for progress in training:
        seen.append((progress.step, progress.steps, training.progress, progress.metrics["learning_rate"]))
    assert [step for step, *_ in seen] == list(range(begin + 1, begin + steps + again + 1))
    assert {total for _, total, *_ in seen} == {training.steps}
    shares = [before, *(share for *_, share, _ in seen)]
    assert shares == pytest.approx([before + (1 - before) * i / len(seen) for i in range(len(shares))])
    assert [rate for *_, rate in seen] == pytest.approx([WSD.rate(share * WSD.epochs) for share in shares[:-1]])
    assert training.validation[-1][0] == -(-training.steps // 3)


class Dot(Network):
    """One weight: steps that take no time."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(3, 64))
        self.told: list[float] = []

    def with_auxiliary(self, x, architecture=None):
        return x.flatten(1) @ self.weight.T, None

    def set_progress(self, progress):
        self.told.append(progress)


def test_a_replan_to_the_same_length_changes_nothing_but_rounding():
    plain, replanned = fit(Dot(), WSD), fit(Dot(), WSD)
    list(replanned.until(4))
    replanned.replan(9)
    list(plain), list(replanned)
    assert replanned.model.told == pytest.approx(plain.model.told)
    torch.testing.assert_close(replanned.model.weight, plain.model.weight)


def driven(training: Fit, stop: int = 99) -> Fit:
    """Train with two replans on the way."""
    replans = {2: 12, 5: 8}
    while training.step < min(stop, training.steps):
        if training.step in replans:
            training.replan(replans[training.step])
        list(training.until(training.step + 1))
    return training


@pytest.mark.parametrize("cut", range(1, 8))
def test_a_replanned_training_is_resumed_to_the_same_bits(cut):
    whole, first, second = driven(fit()), driven(fit(), cut), fit()
    assert whole.step == 8
    second.load_state_dict(states.unpack(states.pack(first.state_dict())))
    assert (second.step, second.steps, second.progress) == (cut, first.steps, first.progress)
    assert same(driven(second), whole)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_recipe_for_minutes_is_resumed_to_the_same_bits(precision):
    own = {"warmup": 0.2, "decay": 0.4, "decay_norms": False, "small_from": 0.5, "whiten": True, "average": 0.8}
    recipe = replace(RECIPE, augment=0.5, precision=precision, **own)
    space = replace(SPACE, auxiliary=False)  # that head needs images of their full size

    def begun():
        return fit(network(space), recipe, validate_last=1)

    whole, first, second = driven(begun()), driven(begun(), 4), begun()
    second.load_state_dict(states.unpack(states.pack(first.state_dict())))
    assert same(driven(second), whole)
    assert len(whole.validation) == 1


@pytest.mark.parametrize(("done", "steps"), [(3, 3), (3, 1), (9, 12)])
def test_what_is_over_cannot_be_replanned(done, steps):
    training = fit(Dot())
    list(training.until(done))
    with pytest.raises(ConfigError, match=f"{done} of 9 steps are done, so it cannot have {steps}"):
        training.replan(steps)


class Seen(Dot):
    """Notes the sizes of its images."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[tuple[int, ...]] = []

    def with_auxiliary(self, x, architecture=None):
        self.sizes.append(tuple(x.shape[2:]))
        return x.mean((1, 2, 3))[:, None] + self.weight.sum(1), None


def test_images_grow_while_a_network_is_trained_and_validation_has_them_whole():
    training = fit(Seen(), replace(RECIPE, small_from=0.5, small_until=0.6))
    list(training.until(9))
    trained = [size for size in training.model.sizes if size[0] < 8]
    assert trained == [(4, 4)] * 3  # until progress is 0.3, where 6 pixels are rounded to 8
    training.model.sizes.clear()
    training.validate()
    assert set(training.model.sizes) == {(8, 8)}


class Whitened(Dot):
    """Takes a filter from images."""

    def __init__(self) -> None:
        super().__init__()
        self.filter = torch.nn.Parameter(torch.ones(64), requires_grad=False)

    def whiten(self, images):
        self.told.append(len(images))
        self.filter.copy_(images.var(0).flatten())

    def with_auxiliary(self, x, architecture=None):
        return (x.flatten(1) * self.filter) @ self.weight.T, None


def test_a_network_is_whitened_once_before_training_and_never_moved_from_there():
    training = fit(Whitened(), replace(RECIPE, whiten=True, average=0.5))
    expected = DATA.preprocessing(DATA.train.x).var(0).flatten()
    list(training.until(4))
    torch.testing.assert_close(training.model.filter.data, expected)
    assert training.model.told == [25, 0, *(pytest.approx(step / 9) for step in (1, 2, 3))]
    state = training.state_dict()
    torch.testing.assert_close(state["average"]["filter"], expected)
    state["model"]["filter"] += 1  # a resumed training keeps what it was left with
    resumed = fit(Whitened(), replace(RECIPE, whiten=True, average=0.5))
    resumed.load_state_dict(state)
    list(resumed)
    torch.testing.assert_close(resumed.state_dict()["average"]["filter"], expected + 1)
    plain = Whitened()
    list(fit(plain))
    assert torch.equal(plain.filter, torch.ones(64))


def test_networks_that_cannot_be_whitened_are_trained_as_they_are(whole):
    assert next(iter(fit(recipe=replace(RECIPE, whiten=True)))) == whole[1][0]


def test_validation_has_the_precision_of_training_and_the_test_has_not():
    exact, coarse = fit(), fit(recipe=replace(RECIPE, precision="bfloat16"))
    accurate, rounded = exact.validate()["validation_loss"], coarse.validate()["validation_loss"]
    assert rounded != accurate
    assert rounded == pytest.approx(accurate, rel=0.02)
    assert evaluate_accuracy(coarse.model, DATA.validation, DATA.preprocessing).loss == pytest.approx(accurate)


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
