from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

import pytest
import torch

from archwright import loop, states
from archwright.controllers.random import Random
from archwright.controllers.reinforce import Reinforce
from archwright.errors import ChildFailure, ConfigError, Diverged, RunError
from archwright.evaluators.objective import AccuracyCubed
from archwright.evaluators.shared_weights import SharedWeights
from archwright.loop import Proposal, Trial, Trials, run
from archwright.space import Architecture, Open, replay, sample
from archwright.spaces.enas_micro import EnasMicro
from archwright.store import RunStore
from archwright.training.recipe import Recipe
from small_images import image_data
from test_loop import Interrupted, Mortal

SPACE = EnasMicro(nodes=1, repeats=1, filters=8)
RECIPE = Recipe(epochs=3, batch=8, cutout=3, restart_period=1)  # 3 steps an epoch: 8, 8 and 9 images
DATA = image_data()


def evaluator(**changes) -> SharedWeights:
    return SharedWeights(
        **{"space": SPACE, "data": DATA, "recipe": RECIPE, "device": "cpu", "trials_per_epoch": 4, **changes}
    )


@dataclass
class Asked:
    """Uniform proposals, numbered as the loop numbers them."""

    streams: int = 0
    proposals: list[Proposal] = field(default_factory=list)

    def __call__(self, n: int) -> list[Proposal]:
        fresh = [Proposal(s, sample(SPACE, (5, s))) for s in range(self.streams, self.streams + n)]
        self.streams += n
        self.proposals += fresh
        return fresh


def always(architecture: Architecture):
    return lambda n: [Proposal(0, architecture)] * n


def all_operations(name: str) -> Architecture:
    """The architecture that has one operation everywhere, on the newer input."""
    walk = sample(SPACE, 0)
    return replay(SPACE, {q: name if q.endswith("op") else f"{q.split('/')[0]}/1" for q, _ in walk.answers})


@pytest.fixture(scope="module", params=[1, 2])
def whole(request) -> tuple[SharedWeights, list, Asked]:
    shared, ask = evaluator(architectures_per_step=request.param), Asked()
    return shared, list(shared.prepare(ask, 8)), ask


def test_trials_may_share_a_minibatch():
    together = evaluator(trials_per_minibatch=4, evaluation_batch=3)
    architecture = all_operations("sep_3x3")
    scores = [together.evaluate(Proposal(stream, architecture)).metrics for stream in range(8)]
    assert scores[0] == scores[3]
    assert scores[4] == scores[7]
    assert scores[0] != scores[4]


def test_uniform_sampling_asks_nobody_and_goes_on_where_it_was():
    def nobody(n: int) -> list[Proposal]:
        raise AssertionError("the controller was asked")

    whole = evaluator(sampling="uniform")
    told = list(whole.prepare(nobody, 8))
    cut = evaluator(sampling="uniform")
    steps = cut.prepare(nobody, 8)
    first = [next(steps) for _ in range(4)]
    again = evaluator(sampling="uniform")
    again.load_state_dict(states.unpack(states.pack(cut.state_dict())))
    assert first + list(again.prepare(nobody, 8)) == told
    assert states.pack(again.state_dict()) == states.pack(whole.state_dict())
    with pytest.raises(ConfigError, match="sampling is 'fair'"):
        evaluator(sampling="fair")


def test_an_epoch_is_due_after_so_many_trials_and_asks_for_one_set_of_architectures_a_step(whole):
    shared, told, ask = whole
    assert shared.epoch == 3
    assert [(p.step, p.steps) for p in told] == [(s, 3) for _ in range(3) for s in (1, 2, 3)]
    assert ask.streams == 9 * shared._each
    assert not list(shared.prepare(ask, 11))
    other = evaluator()
    assert len(list(other.prepare(Asked(), 0))) == 3
    assert not list(other.prepare(Asked(), 3))
    assert len(list(other.prepare(Asked(), 4))) == 3


def test_a_warmup_trains_that_many_epochs_more_before_the_first_trial():
    plain, warm = evaluator(), evaluator(warmup=2)
    list(plain.prepare(Asked(), 0))
    list(warm.prepare(Asked(), 0))
    assert (plain.epoch, warm.epoch) == (1, 3)
    list(warm.prepare(Asked(), 4))
    assert warm.epoch == 4


def test_shorter_epochs_go_on_in_the_same_pass_over_the_images():
    schedule = replace(RECIPE, learning_rate_min=RECIPE.learning_rate)  # so that only the images could differ
    one_pass, parts = evaluator(recipe=schedule), evaluator(recipe=schedule, steps_per_epoch=1)
    whole = list(one_pass.prepare(Asked(), 0))
    ask = Asked()
    pieces = [list(parts.prepare(ask, told)) for told in (0, 4, 8)]
    assert [len(piece) for piece in pieces] == [1, 1, 1]
    assert [p.metrics["loss"] for piece in pieces for p in piece] == [p.metrics["loss"] for p in whole]


def test_the_rate_moves_by_epochs_and_stays_at_its_minimum_after_the_last():
    shared = evaluator()
    rates = [p.metrics["learning_rate"] for p in shared.prepare(Asked(), 16)]
    assert rates[0::3] == rates[1::3] == rates[2::3]
    assert rates[0] == rates[3] == RECIPE.learning_rate  # periods of 1 and 2 epochs
    assert rates[6] == pytest.approx((RECIPE.learning_rate + RECIPE.learning_rate_min) / 2)
    assert rates[9] == rates[12] == RECIPE.learning_rate_min


def test_images_grow_while_weights_are_shared_and_are_whole_where_they_are_scored(monkeypatch):
    recipe = replace(RECIPE, small_from=0.5, small_until=0.6)
    shared = evaluator(recipe=recipe)
    seen, forward = [], shared.network.with_auxiliary
    monkeypatch.setattr(
        shared.network, "with_auxiliary", lambda x, *rest: (seen.append(x.shape[2:]), forward(x, *rest))[1]
    )
    ask = Asked()
    list(shared.prepare(ask, 16))  # two epochs more than the recipe's three
    side = DATA.train.x.shape[2]
    assert [size[0] for size in seen] == [recipe.side(side, min(1, step / 9)) for step in range(len(seen))]
    assert seen[0][0] < seen[-1][0] == side
    seen.clear()
    shared.evaluate(ask.proposals[0])
    assert {size[0] for size in seen} == {side}


def test_a_step_moves_what_was_sampled_and_leaves_all_other_weights_and_momentum():
    shared = evaluator(recipe=replace(RECIPE, weight_decay=0.1))
    before = shared.state_dict()["network"]
    architecture = all_operations("sep_3x3")
    next(iter(shared.prepare(always(architecture), 0)))
    after = shared.state_dict()
    moved = {name for name, tensor in after["network"].items() if not torch.equal(tensor, before[name])}
    assert moved == {name.removesuffix("/momentum") for name in after["momentum"]}
    assert any("sep_3x3" in name for name in moved)
    assert not any("sep_5x5" in name for name in moved)
    assert len(moved) < len(before)


def test_gradients_of_several_architectures_are_averaged():
    space = replace(SPACE, dropout=0.0)
    architecture = sample(space, 2)
    one, three = (evaluator(space=space, architectures_per_step=each) for each in (1, 3))
    first, second = (next(iter(s.prepare(always(architecture), 0))) for s in (one, three))
    assert first.metrics == pytest.approx(dict(second.metrics))
    ours, theirs = one.network.state_dict(), three.network.state_dict()
    assert all(torch.allclose(ours[name], theirs[name], atol=1e-5) for name in ours)


def test_a_score_depends_on_the_weights_and_the_proposal_alone():
    shared = evaluator(evaluation_batch=6)
    list(shared.prepare(Asked(), 0))
    state = states.pack(shared.state_dict())
    proposals = Asked()(6)
    forwards = [shared.evaluate(p) for p in proposals]
    backwards = [shared.evaluate(p) for p in reversed(proposals)][::-1]
    assert forwards == backwards
    assert states.pack(shared.state_dict()) == state
    same_network = [shared.evaluate(replace(proposals[0], stream=s)).metrics["validation_loss"] for s in range(5)]
    assert len(set(same_network)) == 5  # each proposal has its own minibatch


def test_a_score_is_that_of_the_child_with_the_shared_weights():
    shared = evaluator(evaluation_batch=12)
    list(shared.prepare(Asked(), 4))
    for seed in range(4):
        architecture = sample(SPACE, seed)
        child = SPACE.network(Open.only(SPACE, architecture), DATA.task)
        child.load_state_dict({n: t for n, t in shared.network.state_dict().items() if n in child.state_dict()})
        child.eval()
        with torch.no_grad():
            logits = child(DATA.preprocessing(DATA.validation.x))
        accuracy = (logits.argmax(1) == DATA.validation.y).float().mean().item()
        assert shared.evaluate(Proposal(seed, architecture)).reward == pytest.approx(accuracy)
        assert shared.rank([architecture]) == [pytest.approx(accuracy)]


def test_ranking_scores_each_architecture_on_the_same_images_whatever_else_is_ranked():
    shared = evaluator(evaluation_batch=5)
    list(shared.prepare(Asked(), 0))
    some = [sample(SPACE, seed) for seed in range(5)]
    assert shared.rank(some) == [shared.rank([a])[0] for a in some]
    two = shared.rank(some, minibatches=None)  # 12 images: two whole minibatches of 5
    assert two == shared.rank(some, minibatches=2)
    assert all(accuracy * 10 == pytest.approx(round(accuracy * 10)) for accuracy in two)


def test_it_learns_and_the_loop_runs_it():
    recipe = Recipe(epochs=15, batch=20, pad=0, flip=False)
    shared = evaluator(data=image_data(120, 36), recipe=recipe, trials_per_epoch=2)
    trials = [t for t in run(Random(SPACE), shared, budget=Trials(30)) if isinstance(t, Trial)]
    assert len(trials) == 30
    assert shared.epoch == 15
    late = [t.reward for t in trials[-10:]]
    assert sum(late) / 10 > 0.6  # chance is 1/3


@pytest.mark.parametrize("seconds", [0.0, 7.0, 1e6])  # of a clock that goes on by one at each look
def test_an_enas_search_killed_anywhere_ends_at_the_same_bits(tmp_path, monkeypatch, seconds):
    """Also where the policy has moved on, and trials are recorded, since the weights were saved."""

    def searched(store: Any) -> tuple[bytes, bytes]:
        controller, shared, ticks = Reinforce(SPACE, batch=2, seed=1), evaluator(trials_per_epoch=2), count()
        for _ in run(controller, shared, budget=Trials(7), store=store, clock=lambda: float(next(ticks))):
            pass
        return states.pack(controller.state_dict()), states.pack(shared.state_dict())

    uninterrupted = searched(None)
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", seconds)
    with RunStore(tmp_path / "whole", create=True) as store:
        searched(store)
        whole = [(trial.architecture, trial.reward, trial.figures) for trial in store.trials()]
    RunStore(tmp_path / "run", create=True).close()
    ended = None
    while ended is None:
        with RunStore(tmp_path / "run") as store, suppress(Interrupted):
            ended = searched(Mortal(store, 3))
            assert [(trial.architecture, trial.reward, trial.figures) for trial in store.trials()] == whole
            assert states.pack(store.load().evaluator) == uninterrupted[1]
            assert store.load().streams == 4 * 3 + 8  # each epoch asks for three, each round for two
    assert ended == uninterrupted


def poison(shared: SharedWeights, operation: str) -> None:
    with torch.no_grad():
        for name, parameter in shared.network.named_parameters():
            if operation in name:
                parameter.fill_(torch.inf)


def test_a_step_that_is_not_finite_is_not_taken_and_is_counted():
    shared = evaluator()
    poison(shared, "sep_5x5")
    good, bad = all_operations("sep_3x3"), all_operations("sep_5x5")
    told = list(shared.prepare(lambda n: [Proposal(i, (good, bad, good)[i]) for i in range(n)], 0))
    assert [p.metrics["skipped"] for p in told] == [0, 1, 1]
    healthy = [t for n, t in shared.network.named_parameters() if "sep_5x5" not in n]
    assert all(t.isfinite().all() for t in healthy)
    with pytest.raises(ChildFailure, match="loss is nan"):
        shared.evaluate(Proposal(0, bad))
    assert shared.rank([bad, good])[0] == 0.0
    assert shared.evaluate(Proposal(0, good)).reward > 0


def test_an_epoch_without_one_finite_step_ends_the_run_and_says_why():
    shared = evaluator()
    poison(shared, "stem")
    with pytest.raises(Diverged, match=r"no step of epoch 1 had a finite loss .* at learning rate 0.05"):
        list(shared.prepare(Asked(), 0))


def test_a_state_of_another_batch_is_refused():
    with pytest.raises(RunError, match="3 steps an epoch, this one has 2"):
        evaluator(recipe=replace(RECIPE, batch=13)).load_state_dict(evaluator().state_dict())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"space": SPACE.final()}, "shares no weights; use FromScratch"),
        ({"trials_per_epoch": 0}, "trials_per_epoch is 0"),
        ({"warmup": -1}, "warmup is -1"),
        ({"steps_per_epoch": 0}, "steps_per_epoch is 0"),
        ({"evaluation_batch": 1}, "evaluation_batch is 1; it must be at least 2"),
        ({"objective": AccuracyCubed()}, "needs best_validation_accuracy, which SharedWeights does not measure"),
        ({"data": image_data(validation=1)}, "1 validation images are too few"),
    ],
)
def test_what_cannot_work_is_refused_at_once(change, says):
    with pytest.raises(ConfigError, match=says):
        evaluator(**change)
