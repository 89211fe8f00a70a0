"""A race: known networks and proposals are compared after equal seconds, and the winner's training goes on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import archwright
from archwright.controllers.guided import Guided
from archwright.controllers.reinforce import Reinforce
from archwright.controllers.starting import Starting
from archwright.errors import ChildFailure, ConfigError
from archwright.loop import Progress, Result, Trial
from archwright.methods import sizing
from archwright.methods.cost import Rates
from archwright.methods.halving import LATE, Halving, losers_share
from archwright.methods.race import RaceMethod
from archwright.methods.sizing import SIZINGS, Sizing, _nearest
from archwright.modalities import modality
from archwright.presets import default_space
from archwright.runs.clock import Clock
from archwright.runs.events import Stage
from archwright.runs.folder import stored_plan
from archwright.runs.heats import Heats
from archwright.runs.pace import Pace
from archwright.runs.planner import UserSettings
from archwright.runs.preparation import prepare
from archwright.runs.trainings import Trainings
from archwright.space import Architecture, replay, sample
from archwright.spaces.recurrent import Recurrent
from archwright.spaces.stages import Stages
from archwright.store import RunStore
from archwright.training.recipe import MINUTES, Recipe
from archwright.training.weight_decay import usual_weight_decay

SPACE = Stages(widths=(8, 12), blocks=(1, 2, 3, 4), most_stages=8)
ARGUMENTS: dict[str, Any] = {
    "space": SPACE,
    "data_options": {"limit": 200},
    "final_recipe": {"epochs": 2, "batch": 32},
    "trials": 8,
    "reduction": 2,
    "growth": 2.0,
    "first_share": 0.1,
    "heirs": 0.5,
    "device": "cpu",
}
# A text on which more passes get worse: it is read often, and is short.
TEXT: dict[str, Any] = {
    **{**ARGUMENTS, "final_recipe": {"epochs": 8, "looks": 8}, "heirs": 0.0},
    "space": Recurrent(widths=(8, 12), base=3, batches=(5, 10), lengths=(20,)),
    "data_options": {"level": "characters", "limit": 1500, "validation": 0.01, "test": 0.01},
}


@given(entrants=st.integers(2, 60), reduction=st.integers(2, 5), share=st.floats(1e-9, 1e-6))
def test_heats_shrink_and_the_losers_cost_what_their_trainings_took(
    entrants: int, reduction: int, share: float
) -> None:
    method = RaceMethod(reduction=reduction, first_share=share)
    rungs = method.rungs(entrants)
    counts = [entrants, *(rung.count for rung in rungs)]
    shares = [share, *(rung.share for rung in rungs)]
    assert counts == sorted(counts, reverse=True)
    assert all(count >= 2 for count in counts)
    assert shares == sorted(shares)
    assert shares[-1] < 1
    # One by one: a network that leaves after heat k has trained for shares[k]. The winner leaves after none.
    stays = [*counts, 1]
    lost = sum((stays[k] - stays[k + 1]) * shares[k] for k in range(len(counts)))
    assert method._halving.lost(entrants) * share == pytest.approx(lost)
    assert len(counts) > 1  # however few start, two are compared after a longer time


def test_settings_that_cannot_be() -> None:
    for settings in ({"losers": 0.6}, {"losers": 0.0}, {"reduction": 1}, {"window": 0.5}, {"balance": 0.0}):
        with pytest.raises(ConfigError, match=next(iter(settings))):
            RaceMethod(**settings)  # type: ignore[arg-type]


def test_a_training_fills_the_seconds_and_proposals_stay_near_the_known_networks() -> None:
    architecture = sample(SPACE, 0)
    method = RaceMethod(whole=100.0, passes=20.0, window=2.0)
    assert method.steps(architecture, MINUTES, 10, lambda: 0.5) == 200
    for step in (0.2, 1.1):  # 50 and 9 passes
        with pytest.raises(ChildFailure, match="passes over the training part; it must be 10 to 40"):
            method.steps(architecture, MINUTES, 10, lambda step=step: step)  # type: ignore[misc]
    known = replace(method, starters={"it": architecture.to_json()})
    assert known.steps(architecture, MINUTES, 10, lambda: 1.1) == 90


def test_seconds_of_a_training_are_those_of_its_own_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("archwright.runs.clock.step_seconds", lambda *_, **__: 0.5)
    given = prepare("digits", user=UserSettings("stages"), device="cpu", data_options={"limit": 200}, timed=False)
    method = replace(given.plan.search.method, whole=100.0, passes=None)
    plan = replace(given.plan, search=replace(given.plan.search, method=method))
    known = next(iter(plan.search.space.known(0.1).values()))
    with RunStore(tmp_path / "run", create=True) as store:
        trainings = Trainings(plan, modality(given.data), store, Clock(plan, modality(given.data), store))
        for batch in (32, 64, 512):
            own = replay(plan.search.space, {**dict(known.answers), "batch": batch})
            assert trainings.steps(own) == 200  # of half a second each


@given(
    seconds=st.floats(20, 1e5),
    passes=st.floats(2, 1e4),
    usual=st.floats(0.05, 0.5),
    reduction=st.integers(2, 5),
    growth=st.floats(2.0, 10.0),
)
def test_the_last_heat_is_late_and_first_heats_are_long_enough(
    seconds: float, passes: float, usual: float, reduction: int, growth: float
) -> None:
    halving, share = Halving(reduction, growth), losers_share(usual, passes)
    assert usual / 2 <= share <= usual
    losers, whole = share * seconds, (1 - share) * seconds
    entrants = halving.entrants(losers, whole, passes)
    first = losers / halving.lost(entrants)
    if entrants > 2:
        assert halving.rungs(entrants, first / whole)[-1].share >= LATE
        assert first >= 5 or (entrants <= 7 and passes * first / whole >= 1)


def test_what_is_planned_for_a_race_follows_the_passes() -> None:
    given = prepare("digits", user=UserSettings("stages"), device="cpu", data_options={"limit": 200}, timed=False)
    context, timed = given.plan.context(modality(given.data)), []

    def step(architecture: Architecture, recipe: Recipe) -> float:
        timed.append(architecture)
        return 5.0

    method = replace(given.plan.search.method, balance=2.0)
    few = method.planned(context, 120.0, (), step)
    assert (few["losers"], few["trials"], len(few["starters"])) == (0.125, 2, 1)
    assert few["first_share"] * method.growth >= LATE
    assert len({*timed}) <= 1 + SIZINGS  # widths of the first known network: others are not timed
    assert method.planned(context, 120.0, ("losers",), step)["losers"] == method.losers
    many = method.planned(context, 120.0, (), lambda *_: 0.01)
    assert (many["losers"], many["trials"]) == (0.25, 7)


def _trials(proposals: Sequence[Any]) -> list[Trial]:
    return [Trial(p.stream, p, Result(0.1 * p.stream), 0.0) for p in proposals]


@pytest.mark.parametrize("losers", [0.1, 0.25, 0.5])
@pytest.mark.parametrize("seconds", [10.0, 25.0, 60.0, 600.0, 6000.0])
def test_half_of_the_time_is_the_winners(seconds: float, losers: float) -> None:
    user = UserSettings("nas-conv", settings={"evaluator": "race", "losers": losers})
    prepared = prepare("digits", user=user, device="cpu", data_options={"limit": 200}, threads=1, timed=False)
    context = prepared.plan.context(modality(prepared.data))
    settings = context.search.method.planned(context, seconds, (), lambda *_: 0.01)
    assert settings is not None
    assert settings["trials"] >= 2
    assert settings["whole"] >= 0.45 * seconds  # and the looks at the validation part
    with pytest.raises(ConfigError, match="half of the 3 s that are left for the race is the winner's"):
        context.search.method.planned(context, 3.0, (), lambda *_: 0.01)


def test_starters_are_proposed_first_and_the_controller_learns_from_them() -> None:
    starters = list(SPACE.known(0.1).values())
    controller = Starting(Guided(SPACE, start=3, random=0, mutants=20), starters)
    first = controller.ask(range(len(starters)))
    assert [proposal.architecture for proposal in first] == starters
    controller.tell(_trials(first))
    (proposed,) = controller.ask([len(starters)])
    changed = [
        sum(dict(known.answers).get(name) != answer for name, answer in proposed.architecture.answers)
        for known in starters
    ]
    assert 0 < min(changed) < len(proposed.architecture.answers) / 2  # a mutant of one of them


def test_what_is_proposed_after_few_starters_is_near_them() -> None:
    starters = list(SPACE.known(0.1).values())[:1]
    for near in (False, True):
        controller = Starting(Guided(SPACE, start=4), starters, near=near)
        between = controller.ask([0, 1, 2, 3])[1:]
        assert [proposal.architecture for proposal in controller.ask([1, 2, 3])] == [p.architecture for p in between]
        for proposal in between:
            answers = dict(starters[0].answers)
            same = sum(answers.get(name) == answer for name, answer in proposal.architecture.answers)
            assert (same >= len(answers) / 2) is near


def test_a_policy_is_not_told_of_what_it_did_not_propose() -> None:
    starters = list(SPACE.known(0.1).values())[:2]
    controller = Starting(Reinforce(SPACE, batch=1), starters)
    assert not controller.tell(_trials(controller.ask([0, 1])))
    assert controller.tell(_trials(controller.ask([2])))


class _Stop(Exception):
    pass


def _stopper(phase: str, after: int) -> Any:
    seen = 0

    def watch(event: object) -> None:
        nonlocal seen
        inside = isinstance(event, (Progress, Stage)) and phase in (
            getattr(event, "phase", ""),
            getattr(event, "name", ""),
        )
        seen += inside
        if inside and seen > after:
            raise _Stop

    return watch


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> archwright.Run:
    return archwright.search("digits", run=tmp_path_factory.mktemp("whole") / "run", **ARGUMENTS)


@pytest.fixture(scope="module")
def whole_text(tmp_path_factory: pytest.TempPathFactory) -> archwright.Run:
    return archwright.search("topics", run=tmp_path_factory.mktemp("text") / "run", **TEXT)


def _same(ours: archwright.Run, theirs: archwright.Run, metric: str = "accuracy") -> None:
    for name in ("architecture", f"test_{metric}", f"validation_{metric}", "gain", "epochs", "trials"):
        assert ours.result[name] == theirs.result[name], name
    for a, b in zip(ours.model.parameters(), theirs.model.parameters(), strict=True):
        assert a.equal(b)


def test_variations_go_on_from_the_weights_of_known_networks(whole: archwright.Run) -> None:
    with RunStore.reading(whole.folder) as store:
        heirs, trials = store.facts("heir/"), list(store.trials())
        assert all(store.restore(f"lent-{trial.architecture.id}") is None for trial in trials)
        plan = stored_plan(store)
    known = {one.id for one in plan.search.method.known(plan.search).values()}
    assert heirs, "no proposal had half of its weights in common with any network before"
    for heir, (donor, share) in heirs.items():
        assert heir not in known
        assert donor not in heirs  # it was trained from random weights
        assert share >= 0.5


@pytest.mark.parametrize(("phase", "after"), [("search", 3), ("derive", 4), ("final training", 2)])
def test_a_stopped_race_goes_on_to_the_same_end(whole: archwright.Run, tmp_path: Path, phase: str, after: int) -> None:
    with pytest.raises(_Stop):
        archwright.search("digits", run=tmp_path / "run", watch=_stopper(phase, after), **ARGUMENTS)
    _same(archwright.resume(tmp_path / "run"), whole)


@pytest.mark.parametrize(("phase", "after"), [("search", 3), ("derive", 4), ("final training", 12)])
def test_a_stopped_race_of_texts_too(whole_text: archwright.Run, tmp_path: Path, phase: str, after: int) -> None:
    with pytest.raises(_Stop):
        archwright.search("topics", run=tmp_path / "run", watch=_stopper(phase, after), **TEXT)
    _same(archwright.resume(tmp_path / "run"), whole_text, "perplexity")


def test_known_cells_race_for_text(whole_text: archwright.Run) -> None:
    assert whole_text.result["gain"]["known"] in ("lstm", "lstm-2", "gru")
    assert whole_text.result["test_perplexity"] < 30  # of 40 characters or so
    assert default_space("topics") == "recurrent"


def test_the_winner_trains_on_and_is_compared_with_the_best_known_network(whole: archwright.Run) -> None:
    gain = whole.result["gain"]
    assert gain["known"] in SPACE.known(1.0)
    words = next(line for line in whole.result["summary"] if line.startswith("known networks"))
    if gain["won"]:
        assert words.endswith(
            f"{gain['known']} won the race: nothing that was found was far enough ahead after equal seconds"
        )
    else:
        assert f"found minus {gain['known']}" in words
        assert "95 % interval" in words
    with RunStore.reading(whole.folder) as store:
        heats = [store.get("done/derive"), store.get("settled")]
        trained = store.get("candidate/found-0")
    assert heats[0]
    assert trained["epochs"] == 2
    assert whole.result["random_search"] == {}


def test_a_baseline_can_be_added_to_a_finished_run(tmp_path: Path) -> None:
    before = archwright.search("digits", run=tmp_path / "run", **{**ARGUMENTS, "trials": 7})
    run = archwright.compare(tmp_path / "run")
    assert run.result["random_search"]["same_time"]["candidates"] >= 1
    assert run.result["test_accuracy"] == before.result["test_accuracy"]
    assert ("reference" in run.result) == (not before.result["gain"]["won"])
    if "reference" in run.result:
        assert run.result["reference"]["network"] == before.result["gain"]["known"]
    assert archwright.compare(tmp_path / "run").result == run.result


class _Fit:
    """A training on a clock of its own: the test moves it. Every 100 steps end in a look at the validation part."""

    shortened = False

    def __init__(self, steps: int) -> None:
        self.step, self.steps, self.now, self.looking = 0, steps, 0.0, 0.0

    def looks(self, steps: int) -> int:
        return -(-steps // 100) - self.step // 100

    def replan(self, steps: int) -> None:
        assert self.step < min(self.steps, steps)  # as `Fit.replan` demands
        self.steps = steps


@pytest.mark.parametrize("slow", [1.0, 2.0, 0.5, 4.0])
def test_a_training_ends_in_time_when_the_machine_changes(monkeypatch: pytest.MonkeyPatch, slow: float) -> None:
    fit = _Fit(1000)
    monkeypatch.setattr("archwright.runs.pace.time.monotonic", lambda: fit.now)
    pace = Pace(fit, lambda: 200.0 - fit.now, threads=1)  # type: ignore[arg-type]
    while fit.step < fit.steps:
        fit.now += 0.2 * (slow if fit.now > 100 else 1.0)
        fit.step += 1
        pace.stepped()
    assert fit.now == pytest.approx(200.0, rel=0.03)
    assert (fit.steps == 1000) == (slow == 1.0)


def test_a_training_that_ends_early_is_not_filled_up(monkeypatch: pytest.MonkeyPatch) -> None:
    fit = _Fit(100)
    fit.shortened = True  # more of it would be worse
    monkeypatch.setattr("archwright.runs.pace.time.monotonic", lambda: fit.now)
    pace = Pace(fit, lambda: 200.0 - fit.now, threads=1)  # type: ignore[arg-type]
    while fit.step < fit.steps:
        fit.now, fit.step = fit.now + 0.2, fit.step + 1
        pace.stepped()
    assert fit.step == 100


@pytest.mark.parametrize("slow", [1.0, 2.0, 0.5])
def test_looks_at_the_validation_part_take_time_too(monkeypatch: pytest.MonkeyPatch, slow: float) -> None:
    fit = _Fit(500)
    monkeypatch.setattr("archwright.runs.pace.time.monotonic", lambda: fit.now)
    pace = Pace(fit, lambda: 200.0 - fit.now, threads=1, look=20.0)  # type: ignore[arg-type]
    while fit.step < fit.steps:
        times = slow if fit.now > 50 else 1.0
        fit.now, fit.step = fit.now + 0.2 * times, fit.step + 1
        if fit.step % 100 == 0 or fit.step == fit.steps:
            fit.now, fit.looking = fit.now + 20 * times, fit.looking + 20 * times
        pace.stepped()
    assert fit.now == pytest.approx(200.0, rel=0.1)
    assert (fit.steps == 500) == (slow == 1.0)


def test_all_threads_are_tried_where_one_becomes_faster_or_slower(monkeypatch: pytest.MonkeyPatch) -> None:
    fit, threads = _Fit(5_000), [1]
    monkeypatch.setattr("archwright.runs.pace.time.monotonic", lambda: fit.now)
    monkeypatch.setattr("archwright.runs.pace.torch.get_num_threads", lambda: threads[-1])
    monkeypatch.setattr("archwright.runs.pace.torch.set_num_threads", threads.append)
    monkeypatch.setattr("archwright.training.threads._before", (2, 1))
    pace = Pace(fit, lambda: 600.0 - fit.now, threads=1)  # type: ignore[arg-type]
    while fit.step < fit.steps:
        busy = fit.now < 200
        fit.now, fit.step = fit.now + {1: 0.3 if busy else 0.15, 2: 0.6 if busy else 0.1}[threads[-1]], fit.step + 1
        pace.stepped()
        assert threads[-1] == 1 or fit.now > 200
    assert threads[-1] == 2


def test_a_look_after_the_last_step_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    fit = _Fit(16)
    monkeypatch.setattr("archwright.runs.pace.time.monotonic", lambda: fit.now)
    pace = Pace(fit, lambda: 4.0 - fit.now, threads=1)  # type: ignore[arg-type]
    while fit.step < fit.steps:
        fit.now, fit.step = fit.now + 0.25, fit.step + 1
        pace.stepped()
    assert (fit.step, fit.now) == (16, 4.0)


def test_one_thread_is_tried_where_two_wait_for_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    fit, threads = _Fit(10_000), [2]
    monkeypatch.setattr("archwright.runs.pace.time.monotonic", lambda: fit.now)
    monkeypatch.setattr("archwright.runs.pace.torch.get_num_threads", lambda: threads[-1])
    monkeypatch.setattr("archwright.runs.pace.torch.set_num_threads", threads.append)
    monkeypatch.setattr("archwright.training.threads._before", None)
    pace = Pace(fit, lambda: 600.0 - fit.now, threads=2)  # type: ignore[arg-type]
    used = []
    while fit.step < fit.steps:
        busy = 100 < fit.now < 300
        fit.now += {1: 0.15, 2: 0.6 if busy else 0.1}[threads[-1]]
        fit.step += 1
        used.append((fit.now, threads[-1]))
        pace.stepped()
    one = [count for now, count in used if 150 < now < 290]
    assert one.count(1) > 0.9 * len(one)
    after = [count for now, count in used if now > 400]
    assert after.count(2) > 0.9 * len(after)
    assert fit.now == pytest.approx(600.0, rel=0.03)


def test_architectures_of_the_plan_are_data() -> None:
    starters = {name: a.to_json() for name, a in SPACE.known(0.1).items()}
    assert [Architecture.from_json(data) for data in starters.values()] == list(SPACE.known(0.1).values())


def test_a_space_without_known_networks_is_planned_from_its_own() -> None:
    user = UserSettings("nas-conv", settings={"evaluator": "race"})
    plan = prepare("digits", user=user, minutes=1, device="cpu", data_options={"limit": 200}).plan
    method = plan.search.method
    assert isinstance(method, RaceMethod)
    assert (method.starters, method.passes) == ({}, None)
    assert all(seconds >= 0 for seconds in plan.budget.estimate.values())  # NaN is not
    assert method.steps(sample(plan.search.space, 0), MINUTES, 10, lambda: 0.01) == int(method.whole / 0.01)


def test_a_network_is_not_narrower_where_that_is_no_faster() -> None:
    space = Stages(training=False)
    known = partial(space.known, recipe=None)
    seconds = {16: 1.0, 12: 1.1, 8: 0.65}  # of a pass: 12 channels are no faster than 16, and 8 hardly

    def passes(architecture: Architecture) -> float:
        return 8 / seconds[architecture["stem"]]  # type: ignore[index]

    chosen, made, _ = _nearest(lambda size: known(size)["resnet9"], passes, 11.0)
    assert (chosen["stem"], made) == (16, 8.0)
    seconds[8] = 0.3  # much faster, and too many passes
    assert _nearest(lambda size: known(size)["resnet9"], passes, 11.0)[0]["stem"] == 16
    seconds |= {12: 0.7, 8: 0.45}
    assert _nearest(lambda size: known(size)["resnet9"], passes, 11.0)[0]["stem"] == 12


def test_mirror_images_are_averaged_where_they_are_the_same_class() -> None:
    colour = (np.zeros((60, 3, 8, 8), dtype=np.uint8) + np.arange(60, dtype=np.uint8)[:, None, None, None], [0, 1] * 30)
    for data, recipe, mirrored in ((colour, {}, True), (colour, {"flip": False}, False), ("digits", {}, False)):
        user = UserSettings("stages", final_recipe=recipe)
        plan = prepare(data, user=user, device="cpu", timed=False).plan
        assert plan.search.space.mirror is plan.final.space.mirror is mirrored  # type: ignore[attr-defined]
    asked = UserSettings("stages", space_fields={"mirror": False})
    assert prepare(colour, user=asked, device="cpu", timed=False).plan.final.space.forwards == 1


@pytest.mark.parametrize(
    ("cost", "seconds", "optimizer"), [(1.05, 1.0, "muon"), (1.4, 1.0, "sgd"), (1.05, 1e-3, "sgd")]
)
def test_muon_is_taken_for_few_passes_if_its_steps_are_not_much_slower(
    cost: float, seconds: float, optimizer: str
) -> None:
    given = prepare("digits", user=UserSettings("stages"), device="cpu", data_options={"limit": 200}, timed=False)
    context = given.plan.context(modality(given.data))

    def step(architecture: Architecture, recipe: Recipe) -> float:
        slower = {"muon": cost, "sgd": 1.0}[recipe.optimizer] * {"bfloat16": 1.2, "float32": 1.0}[recipe.precision]
        return seconds * slower

    _, recipe = Sizing(context, 13.0, (), step).networks(60.0)
    assert (recipe.optimizer, recipe.precision) == (optimizer, "float32")
    assert Sizing(context, 13.0, ("optimizer",), step).networks(60.0)[1].optimizer == "sgd"
    per_epoch = -(-len(context.modality.data.train) // recipe.batch)
    usual = usual_weight_decay(recipe.learning_rate, per_epoch, recipe.epochs)
    assert recipe.weight_decay == usual
    kept = Sizing(context, 13.0, ("weight_decay",), step).networks(60.0)[1].weight_decay
    assert kept == context.final.weight_decay != usual


def test_on_a_busy_machine_the_first_known_network_is_sized_and_others_while_there_is_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = prepare("digits", user=UserSettings("stages"), device="cpu", data_options={"limit": 200}, timed=False)
    context, now = given.plan.context(modality(given.data)), 0.0

    def step(architecture: Architecture, recipe: Recipe) -> float:
        nonlocal now
        now += 3.0
        return 0.01

    monkeypatch.setattr(sizing, "time", SimpleNamespace(monotonic=lambda: now))
    names = list(Sizing(context, 13.0, (), step).networks(600.0)[0])
    assert len(names) > 1
    assert list(Sizing(context, 13.0, (), step).networks(60.0)[0]) == names[:1]


def test_a_front_holds_networks_outside_the_window() -> None:
    architecture = sample(SPACE, 0)
    method = RaceMethod(whole=100.0, passes=20.0, window=2.0, small=True, large=True)
    assert method.steps(architecture, MINUTES, 10, lambda: 0.2) == 400  # 40 of 50 passes that it could make
    assert method.steps(architecture, MINUTES, 10, lambda: 3.0) == 33
    with pytest.raises(ChildFailure, match=r"makes 1\.8 passes over the training part; it must be 2 to 40"):
        method.steps(architecture, MINUTES, 10, lambda: 5.3)
    method.admit(9.9, [1.0])  # it makes two passes
    with pytest.raises(ChildFailure, match="it must have 10 at most"):
        method.admit(10.1, [1.0])
    counted = RaceMethod(large=True)
    counted.admit(4.0, [1.0])
    with pytest.raises(ChildFailure, match="window 4 above"):
        counted.admit(4.1, [1.0])


def test_the_first_network_of_a_front_has_more_of_its_time() -> None:
    """A half and a quarter of its width take 0.38 and 0.14 of a step, and make twice the passes."""
    user = UserSettings("stages", settings={"pareto": ("accuracy", "parameters")})
    prepared = prepare("digits", user=user, device="cpu", data_options={"limit": 200}, threads=1, timed=False)
    context = prepared.plan.context(modality(prepared.data))
    assert context.finalists == 3
    settings = context.search.method.planned(context, 600.0, (), lambda *_: 0.01)
    assert settings is not None
    method = replace(context.search.method, **{"whole": settings["whole"], "large": settings["large"]})
    together = method.finalists_seconds(context, Rates(1.0))
    assert together == pytest.approx(settings["whole"] * (1 + 2 * 0.5**1.4 + 2 * 0.25**1.4))
    assert 0.45 * 600 <= together <= 600
    assert method.large


def test_a_known_network_that_stays_ahead_is_ranked_once(tmp_path: Path) -> None:
    """The plan's architecture equals the one that was read from the store, and is another object."""
    given = prepare("digits", user=UserSettings("stages"), device="cpu", data_options={"limit": 200}, timed=False)
    with given.begin(tmp_path / "run") as store:
        heats = Heats(given.plan, Trainings(given.plan, modality(given.data), store, None))  # type: ignore[arg-type]
        guard = Architecture.from_json(next(iter(heats._names)).to_json())
        other = sample(given.plan.search.space, 0)
        heats._certain = lambda ours, theirs: False  # type: ignore[method-assign]
        ranked = heats._ranked({other: 0.6, guard: 0.5}, {other: 0.4, guard: 0.5}, {other: {}, guard: {}})
        assert ranked == [(guard, 0.5), (other, 0.6)]
