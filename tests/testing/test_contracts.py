"""The contracts notice what they claim to: each law is broken by an implementation that breaks just that."""

from __future__ import annotations

import itertools
import random
import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from archwright.controllers.reinforce import Reinforce
from archwright.engines import Inline, LocalProcesses
from archwright.loop import Progress, Proposal, Result, Saved, Trial
from archwright.space import Choice, Open, Program, sample
from archwright.store import RunStore
from archwright.testing import (
    ControllerContract,
    EngineContract,
    EvaluatorContract,
    IsolatedEngineContract,
    SpaceContract,
    StoreContract,
)
from archwright.testing.searches import Phased
from archwright.testing.small_spaces import Chain, Ragged, Static


def examine(contract: Any, broken: set[str]) -> None:
    """Check that the contract notices each broken law; where none is broken, that all hold."""
    for law in broken:
        with pytest.raises(Exception):  # noqa: B017, PT011 (an assertion, or what the implementation itself raises)
            getattr(contract, f"test_{law}")()
    for name in dir(contract) if not broken else ():
        if name.startswith("test_"):
            getattr(contract, name)()


# Controllers


class Good(Reinforce):
    def __init__(self, space: Any, seed: int) -> None:
        super().__init__(space, batch=4, units=4, seed=seed)


class Forgetful(Good):
    """Does not store what it learned."""

    def load_state_dict(self, state: Any) -> None:
        pass


class Silent(Good):
    """Does not say that it learned."""

    def tell(self, trials: Sequence[Trial]) -> bool:
        return super().tell(trials) and False


class Historical(Good):
    """Draws from a generator that goes on, not from the stream."""

    def __init__(self, space: Any, seed: int) -> None:
        super().__init__(space, seed)
        self._drawn = itertools.count()

    def ask(self, streams: Sequence[int]) -> list[Proposal]:
        found = [super(Historical, self).ask([next(self._drawn)])[0].architecture for _ in streams]
        return [Proposal(stream, architecture) for stream, architecture in zip(streams, found, strict=True)]


class Stiff(Good):
    """Ignores that the space grows."""

    def ask(self, streams: Sequence[int]) -> list[Proposal]:
        return [Proposal(stream, sample(self.space, (self.seed, stream))) for stream in streams]


class Unseeded(Good):
    def __init__(self, space: Any, seed: int) -> None:
        super().__init__(space, 0)


class Fragile(Good):
    def tell(self, trials: Sequence[Trial]) -> bool:
        assert all(trial.result.error is None for trial in trials)
        return super().tell(trials)


@pytest.mark.parametrize(
    ("cls", "laws"),
    [
        (Good, set()),
        (Forgetful, {"it_resumes_where_it_was"}),
        (Silent, {"it_says_when_its_state_changes"}),
        (Historical, {"a_proposal_depends_on_the_state_and_its_stream_only"}),
        (Stiff, {"it_proposes_architectures_of_the_space_as_it_stands"}),
        (Unseeded, {"another_seed_proposes_others"}),
        (Fragile, {"it_goes_on_where_everything_fails_or_scores_the_same"}),
    ],
)
def test_controllers(cls: Any, laws: set[str]) -> None:
    class Contract(ControllerContract):
        def make(self, space: Any, seed: int) -> Any:
            return cls(space, seed)

    examine(Contract(), laws)


# Spaces


@dataclass(frozen=True)
class Careless(Chain):
    """Depends on a field that is not stored."""

    depth: int = 2

    def decide(self) -> Program:
        for layer in range(self.depth):
            yield Choice(f"{layer}", self.kinds, "op")


@dataclass(frozen=True)
class Twice(Static):
    """Asks the same question twice."""

    def decide(self) -> Program:
        yield from super().decide()
        yield from super().decide()


@dataclass(frozen=True)
class Moody(Static):
    """Asks something else each time."""

    def decide(self) -> Program:
        yield Choice(f"{random.random()}", self.vocabularies["size"], "size")


@dataclass(frozen=True)
class Peeking(Static):
    """Looks at an answer in a way that counting cannot notice."""

    def decide(self) -> Program:
        if (yield Choice("extra", self.vocabularies["mixed"], "mixed")) is False:
            yield from super().decide()


@dataclass(frozen=True)
class Renaming(Static):
    """Its vocabularies change as it grows."""

    size: int = 3

    @property
    def vocabularies(self) -> Mapping[str, Any]:
        return {"size": tuple(range(self.size))}

    def grown(self, asked: int) -> Any:
        return Renaming(3 + asked // 10)

    def decide(self) -> Program:
        yield Choice("first", tuple(range(self.size)), "size")


@dataclass(frozen=True)
class Other(Chain):
    """Delivers a model of another space."""

    def final(self, **changes: Any) -> Any:
        return Chain(nodes=5)


@dataclass(frozen=True)
class Teaching(Static):
    def recipe(self, architecture: Any) -> Mapping[str, Any]:
        return {"speed": 3}


@dataclass(frozen=True)
class Networked(Static):
    """A linear classifier for each answer to `first`; the supernet has them all, the mixture weighs them."""

    wrong: ClassVar[str] = ""

    @property
    def shares_weights(self) -> bool:
        return True

    @property
    def mixes(self) -> bool:
        return True

    def one_hot(self, architecture: Any) -> Mapping[str, tuple[float, ...]]:
        soft = dict(super().one_hot(architecture))
        return {**soft, "first": soft["first"][1:] + soft["first"][:1]} if self.wrong == "shifted" else soft

    def network(self, open: Open, task: Any) -> nn.Module:
        return Heads(self.wrong, [str(option) for option in open["first"]], task)


class Heads(nn.Module):
    def __init__(self, wrong: str, names: list[str], task: Any) -> None:
        super().__init__()
        self.wrong, inputs = wrong, task.channels * task.height * task.width
        classes = task.classes + (wrong == "classes")
        self.heads = nn.ModuleDict({name: nn.Linear(inputs, classes) for name in names})
        if wrong == "unused":
            self.spare = nn.Linear(1, 1)

    def forward(self, x: Tensor, architecture: Any = None) -> Tensor:
        if architecture is None:
            (head,) = self.heads.values()
            return head(x.flatten(1))
        if isinstance(architecture, dict):  # soft weights
            summed = sum(
                w * head(x.flatten(1)) for w, head in zip(architecture["first"], self.heads.values(), strict=True)
            )
            return summed * 1.001 if self.wrong == "mixed" else summed
        logits = self.heads[str(architecture["first"])](x.flatten(1))
        if self.wrong == "all":
            return logits + 0 * sum(head(x.flatten(1)) for head in self.heads.values())
        return logits * 1.001 if self.wrong == "scaled" else logits


def networked(wrong: str) -> type[Networked]:
    return dataclass(frozen=True)(type("Wrong", (Networked,), {"wrong": wrong}))


@pytest.mark.parametrize(
    ("cls", "laws"),
    [
        (Static, set()),
        (Networked, set()),
        (Careless, {"decide_reads_only_the_fields_that_are_stored"}),
        (Twice, {"an_architecture_depends_on_the_seed_and_belongs_to_the_space"}),
        (Moody, {"an_architecture_depends_on_the_seed_and_belongs_to_the_space"}),
        (Peeking, {"it_is_counted_right"}),
        (Renaming, {"it_grows_within_its_vocabularies"}),
        (Other, {"a_delivered_model_is_of_the_same_space"}),
        (Teaching, {"features_are_numbers_and_a_recipe_has_known_fields"}),
        (networked("classes"), {"every_child_trains_a_step"}),
        (networked("unused"), {"every_child_trains_a_step"}),
        (networked("all"), {"a_child_is_its_supernet_with_the_rest_taken_away"}),
        (networked("scaled"), {"a_child_is_its_supernet_with_the_rest_taken_away"}),
        (networked("mixed"), {"a_mixture_under_weights_of_one_is_the_child"}),
        (
            networked("shifted"),
            {"weights_of_one_stand_for_their_architecture", "a_mixture_under_weights_of_one_is_the_child"},
        ),
    ],
)
def test_spaces(cls: Any, laws: set[str]) -> None:
    class Contract(SpaceContract):
        def make(self) -> Any:
            return cls()

    examine(Contract(), laws)


# Evaluators


class Endless(Phased):
    """Prepares again and again."""

    def prepare(self, ask: Any, told: int) -> Iterator[Progress]:
        self.reported = -1
        return super().prepare(ask, told)


class Halfway(Phased):
    """Does not store how far it is."""

    def state_dict(self) -> Any:
        return {**super().state_dict(), "step": 0}


class Learning(Phased):
    """A score changes the state."""

    def evaluate(self, proposal: Proposal) -> Result:
        self.shared += 0.01
        return super().evaluate(proposal)


class Lucky(Phased):
    def evaluate(self, proposal: Proposal) -> Result:
        return Result(float(torch.rand(1)))


class Failing(Phased):
    def evaluate(self, proposal: Proposal) -> Result:
        raise TypeError("a mistake in the evaluator")


class Tensors(Phased):
    def evaluate(self, proposal: Proposal) -> Result:
        return Result(0.5, {"loss": torch.zeros(())})  # type: ignore[dict-item]


class Homebound(Phased):
    """Says that it works in other processes, and holds what cannot go there."""

    stateful = False

    def __init__(self) -> None:
        super().__init__()
        self.callback = lambda: None


class Timeless(Phased):
    trials_per_epoch = 0.0


@pytest.mark.parametrize(
    ("cls", "laws"),
    [
        (Phased, set()),
        (Endless, {"preparing_reports_its_steps_and_is_done_once"}),
        (Halfway, {"a_preparation_that_is_cut_off_goes_on_to_the_same_bits"}),
        (Learning, {"a_score_depends_on_the_state_and_the_proposal_alone"}),
        (Lucky, {"global_random_numbers_are_neither_used_nor_disturbed"}),
        (Failing, {"a_result_can_be_recorded"}),
        (Tensors, {"a_result_can_be_recorded"}),
        (Homebound, {"what_needs_no_shared_state_works_in_another_process"}),
        (Timeless, {"it_says_how_a_loop_must_treat_it"}),
    ],
)
def test_evaluators(cls: Any, laws: set[str]) -> None:
    class Contract(EvaluatorContract):
        space = Ragged()

        def make(self) -> Any:
            return cls()

    examine(Contract(), laws)


# Engines


class Mixing(Inline):
    """Gives the result of the proposal before."""

    def __init__(self) -> None:
        self.before: Result | None = None

    def submit(self, evaluator: Any, proposal: Proposal) -> Future[Result]:
        future = super().submit(evaluator, proposal)
        if self.before is not None and future.exception() is None:
            result, future = self.before, Future()
            future.set_result(result)
        self.before = Result(0.0)
        return future


class Raising(Inline):
    def submit(self, evaluator: Any, proposal: Proposal) -> Future[Result]:
        future: Future[Result] = Future()
        future.set_result(evaluator.evaluate(proposal))
        return future


class Hiding(Inline):
    """Turns every error into one of its own."""

    def submit(self, evaluator: Any, proposal: Proposal) -> Future[Result]:
        future = super().submit(evaluator, proposal)
        if future.exception() is not None:
            future = Future()
            future.set_exception(RuntimeError("it failed"))
        return future


class Faithful(Inline):
    """Uses the first evaluator for ever."""

    first: Any = None

    def submit(self, evaluator: Any, proposal: Proposal) -> Future[Result]:
        self.first = self.first or evaluator
        return super().submit(self.first, proposal)


class Abandoning(LocalProcesses):
    """Leaves futures without an answer when it is closed."""

    def submit(self, evaluator: Any, proposal: Proposal) -> Future[Result]:
        return Future()


@pytest.mark.parametrize(
    ("cls", "laws"),
    [
        (Mixing, {"every_proposal_gets_its_own_result", "a_search_gets_every_trial_once"}),
        (Raising, {"a_child_that_fails_is_an_exception_of_the_same_name_in_its_future"}),
        (Hiding, {"a_child_that_fails_is_an_exception_of_the_same_name_in_its_future"}),
        (Faithful, {"each_evaluator_scores_its_own_proposals"}),
        (Abandoning, {"closing_ends_every_evaluation"}),
    ],
)
def test_engines(cls: Any, laws: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("archwright.testing.engines.SECONDS", 0.1)

    class Contract(EngineContract):
        def make(self, workers: int) -> Any:
            return cls()

    examine(Contract(), laws)


def test_isolated_engines() -> None:
    """Children in the process that submits them are not isolated. (Other laws would end or delay the tests.)"""

    class Contract(IsolatedEngineContract):
        def make(self, workers: int) -> Any:
            return Inline()

    examine(
        Contract(),
        {"children_are_evaluated_in_other_processes", "what_cannot_be_pickled_is_the_failure_of_its_child"},
    )


# Stores


class Amnesic(RunStore):
    """Forgets everything when it is closed."""

    def close(self) -> None:
        super().close()
        shutil.rmtree(self.folder, ignore_errors=True)


class Partial(RunStore):
    """Records a result at a time."""

    def told(self, trials: Sequence[Trial], controller: Any) -> None:
        for trial in trials:
            super().told([trial], controller)


class Stateless(RunStore):
    """Loses the controller's state."""

    def told(self, trials: Sequence[Trial], controller: Any) -> None:
        super().told(trials, None)


class Sorted(RunStore):
    """Loads trials in the order of their numbers."""

    def load(self) -> Saved:
        saved = super().load()
        trials = sorted(saved.trials, key=lambda trial: trial.number)
        return Saved(trials, saved.pending, saved.streams, saved.controller, saved.controller_trials, saved.evaluator)


class Rewound(RunStore):
    """Does not record the streams that a checkpoint goes with."""

    def checkpoint(self, evaluator: Any, streams: int, figures: Any) -> None:
        super().checkpoint(evaluator, self.load().streams, figures)


class Full(RunStore):
    """Holds something when it is new."""

    def load(self) -> Saved:
        return Saved([], [], 7)


class Numberless(RunStore):
    """Takes no NaN."""

    def told(self, trials: Sequence[Trial], controller: Any) -> None:
        assert all(trial.reward == trial.reward for trial in trials)
        super().told(trials, controller)


@pytest.mark.parametrize(
    ("cls", "laws"),
    [
        (Full, {"a_new_store_has_nothing_recorded"}),
        (Amnesic, {"what_was_recorded_is_loaded_again"}),
        (Partial, {"a_record_is_whole_or_absent"}),
        (Stateless, {"what_was_recorded_is_loaded_again"}),
        (Sorted, {"what_was_recorded_is_loaded_again"}),
        (Numberless, {"every_number_and_text_can_be_recorded"}),
        (
            Rewound,
            {
                "a_checkpoint_is_the_evaluator_and_the_run_as_it_was",
                "a_search_that_ends_after_any_record_resumes_to_the_same_end",
            },
        ),
    ],
)
def test_stores(cls: Any, laws: set[str]) -> None:
    class Contract(StoreContract):
        def make(self, folder: Path) -> Any:
            return cls(folder, create=not folder.exists())

    examine(Contract(), laws)
