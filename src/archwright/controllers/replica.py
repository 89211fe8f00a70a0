"""A controller whose parameters are with a parameter server: see `archwright.controllers.parameter_server`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import torch

from archwright.controllers.parameter_server import Floats, Piece, Pulled, Push, parts
from archwright.controllers.reinforce import Reinforce
from archwright.loop import Proposal, State, Trial


class Servers(Protocol):
    """All shards, in order."""

    def pull(self) -> Sequence[Pulled]:
        """What each holds."""

    def push(self, pushes: Sequence[Push]) -> Sequence[int | None]:
        """Give each its part, and what it says to that (see `Shard.push`); done when all have it."""


class Replica:
    """A controller that learns elsewhere. `begin` a minibatch and `run` it: with all of it told, its gradient goes out.

    `controller` samples and computes; its parameters and baseline are those of the servers at the time of `ask`.
    """

    def __init__(self, controller: Reinforce, layout: Sequence[Sequence[Piece]], servers: Servers) -> None:
        self.space, self.batch = controller.space, controller.batch
        self._controller, self._layout, self._servers = controller, layout, servers
        self._named = dict(controller.policy.named_parameters())
        self._gradients = _Gradients(self._named)
        controller.learn_with(self._gradients)
        self._staleness = 0
        self.begin(0)

    def begin(self, number: int) -> None:
        """Forget what was told; what comes is the minibatch of this number."""
        self._number = number
        self._told: list[Trial] = []
        self._versions: list[int] | None = None

    def ask(self, streams: Sequence[int]) -> list[Proposal]:
        """As the controller, with the present parameters."""
        self._pull()
        return self._controller.ask(streams)

    def tell(self, trials: Sequence[Trial]) -> bool:
        """Take rewards in. Never True: nothing that is learned stays here."""
        self._told += trials
        if len(self._told) == self.batch:
            if self._versions is None:
                self._pull()
            # By number: children end in any order, and a sum depends on it.
            self._controller.tell(sorted(self._told, key=lambda trial: trial.number))
            late = self._servers.push(self._pushes(self._versions or []))
            self._staleness = max((each for each in late if each is not None), default=0)
        return False

    def metrics(self) -> Mapping[str, float]:
        """The controller's, and the `staleness` of the last push: updates that came before it, in the latest shard."""
        return {**self._controller.metrics(), "staleness": float(self._staleness)}

    def state_dict(self) -> State:
        """Empty: the shards have it."""
        return {}

    def load_state_dict(self, state: State) -> None:
        """Nothing to take back."""

    def _pull(self) -> None:
        pulled = self._servers.pull()
        with torch.no_grad():
            for pieces, held in zip(self._layout, pulled, strict=True):
                values = parts(held.values, [piece.stop - piece.start for piece in pieces])
                for piece, part in zip(pieces, values, strict=True):
                    self._named[piece.name].view(-1)[piece.start : piece.stop].copy_(part)
        self._controller.baseline = pulled[0].baseline
        self._versions = [held.version for held in pulled]

    def _pushes(self, versions: Sequence[int]) -> list[Push]:
        taken, rewarded = self._gradients.take(), tuple(self._controller.rewarded)
        pushes = []
        for pieces, version in zip(self._layout, versions, strict=True):
            flat = [_part(taken.get(piece.name), piece) for piece in pieces]
            gradient = np.concatenate(flat) if flat else np.zeros(0, np.float32)
            absent = frozenset(index for index, piece in enumerate(pieces) if piece.name not in taken)
            pushes.append(Push(self._number, version, gradient, absent, rewarded))
        return pushes


def _part(gradient: Floats | None, piece: Piece) -> Floats:
    return np.zeros(piece.stop - piece.start, np.float32) if gradient is None else gradient[piece.start : piece.stop]


class _Gradients:
    """In the place of an optimiser: keeps the gradients that it is asked to make a step with."""

    def __init__(self, named: Mapping[str, torch.nn.Parameter]) -> None:
        self._named = named
        self._kept: dict[str, Floats] = {}

    def zero_grad(self) -> None:
        for parameter in self._named.values():
            parameter.grad = None

    def step(self) -> None:
        found = {name: parameter.grad for name, parameter in self._named.items()}
        self._kept = {
            name: grad.detach().reshape(-1).numpy().copy() for name, grad in found.items() if grad is not None
        }

    def take(self) -> dict[str, Floats]:
        kept, self._kept = self._kept, {}
        return kept
