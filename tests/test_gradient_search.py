"""The loop carries a gradient search: soft weights in the proposal, their gradient in the result, neither stored."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from archwright import loop
from archwright.loop import Ask, Inline, Progress, Proposal, Result, State, Trial, Trials, run
from archwright.space import Choice, Open, Option, Program, Space, Task, replay
from archwright.states import pack
from archwright.store import RunStore
from archwright.testing.searches import Interrupted, Mortal
from archwright.testing.small_spaces import Static

OPTIONS = ("linear", "tanh", "none")
STEPS = 12


@dataclass(frozen=True)
class Sums(Space):
    """Two layers, each a sum of its operations."""

    name: ClassVar[str] = "sums"

    @property
    def vocabularies(self) -> Mapping[str, tuple[Option, ...]]:
        return {"op": OPTIONS}

    @property
    def mixes(self) -> bool:
        return True

    def decide(self) -> Program:
        for layer in range(2):
            yield Choice(f"{layer}/op", OPTIONS, "op")

    def network(self, open: Open, task: Any) -> nn.Module:
        assert open.mixed
        return Mixture(open)


class Mixture(nn.Module):
    def __init__(self, open: Open) -> None:
        super().__init__()
        self.open = open
        self.layers = nn.ModuleDict({name.replace("/", "_"): nn.Linear(3, 3) for name in open.answers})

    def forward(self, x: Tensor, soft: Mapping[str, Tensor]) -> Tensor:
        for name in self.open.answers:
            linear = self.layers[name.replace("/", "_")](x)
            operations = {"linear": linear, "tanh": torch.tanh(linear), "none": torch.zeros_like(x)}
            x = sum(weight * operations[option] for weight, option in zip(soft[name], self.open[name], strict=True))
        return x


class Alphas:
    """Proposes softmax weights, with the likeliest architecture; descends their gradient at every trial."""

    batch = 1

    def __init__(self, space: Space) -> None:
        self.space, self.open = space, Open.mixture(space)
        self.alphas = {name: torch.zeros(len(self.open[name])) for name in self.open.answers}

    def ask(self, streams: Sequence[int]) -> list[Proposal]:
        best = {name: self.open[name][int(alpha.argmax())] for name, alpha in self.alphas.items()}
        soft = {name: alpha.softmax(0) for name, alpha in self.alphas.items()}
        return [Proposal(stream, replay(self.space, best), soft=soft) for stream in streams]

    def tell(self, trials: Sequence[Trial]) -> bool:
        for trial in trials:
            assert trial.result.gradient is not None
            for name, gradient in trial.result.gradient.items():
                alpha = self.alphas[name].requires_grad_()
                (step,) = torch.autograd.grad(alpha.softmax(0), alpha, gradient)
                self.alphas[name] = (alpha - 2 * step).detach()
        return True

    def metrics(self) -> Mapping[str, float]:
        return {"largest": max(float(alpha.max()) for alpha in self.alphas.values())}

    def state_dict(self) -> State:
        return {"alphas": dict(self.alphas)}

    def load_state_dict(self, state: State) -> None:
        self.alphas = dict(state["alphas"])


class Bilevel:
    """A step of the weights on the training half before each proposal, the gradient on the other half as the answer."""

    stateful = True
    failure_reward = 0.0
    trials_per_epoch = 4.0

    def __init__(self, space: Space) -> None:
        torch.manual_seed(1)
        self.x = torch.randn(2, 32, 3)
        self.y = torch.tanh(self.x @ torch.randn(3, 3))
        self.network = space.network(Open.mixture(space), Task(3, 1, 1, 3))
        self.step = 0

    def _loss(self, part: int, soft: Mapping[str, Tensor]) -> Tensor:
        return ((self.network(self.x[part], soft) - self.y[part]) ** 2).mean()

    def prepare(self, ask: Ask, told: int) -> Iterator[Progress]:
        while self.step <= told:
            (proposal,) = ask(1)
            assert proposal.soft is not None
            loss = self._loss(0, proposal.soft)
            parameters = list(self.network.parameters())
            with torch.no_grad():
                for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
                    parameter -= 0.1 * gradient
            self.step += 1
            yield Progress("weights", self.step, STEPS, {"loss": float(loss.detach())})

    def evaluate(self, proposal: Proposal) -> Result:
        assert proposal.soft is not None
        soft = {name: weights.clone().requires_grad_() for name, weights in proposal.soft.items()}
        loss = self._loss(1, soft)
        gradient = dict(zip(soft, torch.autograd.grad(loss, list(soft.values())), strict=True))
        return Result(-float(loss.detach()), gradient=gradient)

    def state_dict(self) -> State:
        return {"network": {n: value.clone() for n, value in self.network.state_dict().items()}, "step": self.step}

    def load_state_dict(self, state: State) -> None:
        self.network.load_state_dict(state["network"])
        self.step = state["step"]


def search(store: Any) -> tuple[list[Trial], bytes, bytes]:
    """The trials yielded, and the final states."""
    controller, evaluator, ticks = Alphas(Sums()), Bilevel(Sums()), iter(range(10_000))
    events = run(controller, evaluator, budget=Trials(STEPS), store=store, clock=lambda: float(next(ticks)))
    trials = [event for event in events if isinstance(event, Trial)]
    return trials, pack(controller.state_dict()), pack(evaluator.state_dict())


def test_it_descends_and_a_network_is_built_for_the_mixture() -> None:
    trials, *_ = search(None)
    assert trials[-1].reward > trials[0].reward
    assert trials[-1].figures.keys() == {"loss", "largest"}
    assert not Open.all(Sums()).mixed
    assert not Static().mixes


@pytest.mark.parametrize("records", [1, 2, 5])
@pytest.mark.parametrize("seconds", [0.0, 25.0, 1e6])
def test_a_killed_gradient_search_ends_as_one_that_was_not(tmp_path, monkeypatch, records, seconds) -> None:
    uninterrupted = search(None)
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", seconds)
    RunStore(tmp_path / "run", create=True).close()
    states = None
    while states is None:
        with RunStore(tmp_path / "run") as store, contextlib.suppress(Interrupted):
            _, *states = search(Mortal(store, records))
    with RunStore.reading(tmp_path / "run") as store:
        stored = list(store.trials())
        assert store.load().controller is not None
    assert states == list(uninterrupted[1:])
    assert [(t.number, t.architecture, t.reward) for t in stored] == [
        (t.number, t.architecture, t.reward) for t in uninterrupted[0]
    ]
    assert all(trial.proposal.soft is trial.result.gradient is None for trial in stored)
    if seconds == 1e6:  # a kill at a checkpoint, here the first, comes between training and the trial of its figures
        assert all(trial.figures["loss"] > 0 for trial in stored[1:])


def test_a_resumed_search_evaluates_again_only_what_follows_the_last_checkpoint(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    RunStore(tmp_path / "run", create=True).close()
    with RunStore(tmp_path / "run") as store, contextlib.suppress(Interrupted):
        search(Mortal(store, 18))  # checkpoint, proposal, trial: six times
    evaluated: list[int] = []
    submit = Inline.submit

    def counted(self: Inline, evaluator: Any, proposal: Proposal) -> Any:
        evaluated.append(proposal.stream)
        return submit(self, evaluator, proposal)

    monkeypatch.setattr(Inline, "submit", counted)
    with RunStore(tmp_path / "run") as store:
        search(store)
    assert len(evaluated) == STEPS - 5
