"""The parameter server of NAS (Zoph & Le 2017, section 3.2, figure 3), without anything that communicates.

The controller's parameters are one flat vector, cut into ranges. A `Shard` holds one range with its optimiser's state;
a `Replica` is a controller for `archwright.loop.run` that pulls the parameters from the shards when it is asked, and
pushes the gradient of its minibatch, averaged and clipped, once all of it is reported. Nobody waits.

A push is numbered, and a shard takes each number once, whoever sends it and however often: a lost push is sent again.
With one replica the scheme equals the controller that it replicates, to the bit, whatever the number of shards.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from archwright.controllers.reinforce import Reinforce, next_baseline
from archwright.controllers.sharding import Piece
from archwright.controllers.threads import one_thread
from archwright.loop import Proposal, State, Trial

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Pulled:
    """The values of a shard after `version` updates, and the `baseline` of the rewards so far."""

    values: Floats
    version: int
    baseline: float | None


@dataclass(frozen=True)
class Push:
    """A gradient for one shard, of the minibatch `number` with its rewards, at the parameters of `version`.

    `absent`: positions of the pieces without a gradient.
    """

    number: int
    version: int
    gradient: Floats
    absent: frozenset[int]
    rewarded: tuple[float, ...]


class Shard:
    """One range of the parameters. `restore` it before it is used.

    Args:
        pieces: of the range.
        adam: arguments of Adam.
        accumulate: gradients to an update, which uses their mean.
        baseline_decay: of the baseline, per reward.
    """

    def __init__(
        self, pieces: Sequence[Piece], adam: Mapping[str, Any], *, accumulate: int = 1, baseline_decay: float = 0.99
    ) -> None:
        self._sizes = [piece.stop - piece.start for piece in pieces]
        self._tensors = [torch.zeros(size, requires_grad=True) for size in self._sizes]
        self._adam = torch.optim.Adam(self._tensors, fused=True, **adam) if self._tensors else None
        self._accumulate, self._decay = accumulate, baseline_decay
        self._applied = Applied()
        self._version = 0
        self._baseline: float | None = None
        self._sum: list[torch.Tensor | None] = [None] * len(self._sizes)  # of `held` gradients
        self._held = 0
        self._staleness: list[tuple[int, int]] = []

    def pull(self) -> Pulled:
        return Pulled(joint(tensor.detach().numpy() for tensor in self._tensors), self._version, self._baseline)

    def push(self, push: Push) -> int | None:
        """Apply a gradient; return how many updates old its parameters are, or None if it was applied before."""
        if not self._applied.add(push.number):
            return None
        staleness = abs(self._version - push.version)  # negative, if the shard was restored since
        self._staleness.append((push.number, staleness))
        for index, part in enumerate(torch.tensor(push.gradient).split_with_sizes(self._sizes)):
            if index not in push.absent:
                before = self._sum[index]
                self._sum[index] = part if before is None else before + part
        self._held += 1
        if self._held == self._accumulate:
            for tensor, total in zip(self._tensors, self._sum, strict=True):
                tensor.grad = None if total is None else total if self._held == 1 else total / self._held
            if self._adam is not None:
                with one_thread():
                    self._adam.step()
            self._sum, self._held, self._version = [None] * len(self._sizes), 0, self._version + 1
        self._baseline = next_baseline(self._baseline, push.rewarded, self._decay)
        return staleness

    def state_dict(self) -> State:
        moments = [{} if self._adam is None else self._adam.state.get(tensor, {}) for tensor in self._tensors]
        pushes = torch.tensor(self._staleness, dtype=torch.int64).reshape(-1, 2)
        return {
            "values": [tensor.detach().clone() for tensor in self._tensors],
            "adam": deepcopy(moments),
            "version": self._version,
            "baseline": self._baseline,
            "applied": self._applied.to_json(),
            "sum": deepcopy(self._sum),
            "held": self._held,
            "pushes": pushes[:, 0].clone(),
            "staleness": pushes[:, 1].clone(),
        }

    def restore(self, state: State) -> None:
        for tensor, values, moment in zip(self._tensors, state["values"], state["adam"], strict=True):
            with torch.no_grad():
                tensor.copy_(values)
            if moment and self._adam is not None:
                self._adam.state[tensor] = deepcopy(moment)
        self._version, self._baseline = int(state["version"]), state["baseline"]
        self._applied = Applied(**state["applied"])
        self._sum, self._held = deepcopy(state["sum"]), int(state["held"])
        self._staleness = list(zip(state["pushes"].tolist(), state["staleness"].tolist(), strict=True))


def joint(pieces: Iterable[Floats]) -> Floats:
    """Return a range made of its pieces, of which there may be none."""
    return np.concatenate([np.zeros(0, np.float32), *pieces])


class Applied:
    """A set of push numbers: all below one, and some beyond it."""

    def __init__(self, below: int = 0, beyond: Iterable[int] = ()) -> None:
        self.below, self.beyond = below, set(beyond)

    def __contains__(self, number: int) -> bool:
        return number < self.below or number in self.beyond

    def add(self, number: int) -> bool:
        """Add a number; return False if the set has it already."""
        if number in self:
            return False
        self.beyond.add(number)
        while self.below in self.beyond:
            self.beyond.remove(self.below)
            self.below += 1
        return True

    def to_json(self) -> dict[str, Any]:
        return {"below": self.below, "beyond": sorted(self.beyond)}


class Servers(Protocol):
    """All shards, in order."""

    def pull(self) -> Sequence[Pulled]: ...

    def push(self, pushes: Sequence[Push]) -> Sequence[int | None]:
        """Push to each shard its part and return their answers (see `Shard.push`) when all have it."""


class Replica:
    """A controller that learns elsewhere. `begin` a minibatch and `run` it: its gradient goes out once all is reported.

    `controller` samples and computes; its parameters and baseline are those of the servers at the time of `ask`.
    """

    def __init__(self, controller: Reinforce, layout: Sequence[Sequence[Piece]], servers: Servers) -> None:
        self.space, self.batch = controller.space, controller.batch
        self._controller, self._layout, self._servers = controller, layout, servers
        self._named = dict(controller.policy.named_parameters())
        controller.moves = False
        self._staleness = 0
        self.begin(0)

    def begin(self, number: int) -> None:
        """Forget what was reported; the next trials are the minibatch of this number."""
        self._number = number
        self._reported: list[Trial] = []
        self._versions: list[int] | None = None

    def ask(self, streams: Sequence[int]) -> list[Proposal]:
        self._pull()
        return self._controller.ask(streams)

    def tell(self, trials: Sequence[Trial]) -> bool:
        """Collect rewards. Never True: nothing that is learned stays here."""
        self._reported += trials
        if len(self._reported) == self.batch:
            if self._versions is None:
                self._pull()
            # By number: children end in any order, and a sum depends on it.
            self._controller.tell(sorted(self._reported, key=lambda trial: trial.number))
            late = self._servers.push(self._pushes(self._versions or []))
            self._staleness = max((each for each in late if each is not None), default=0)
        return False

    def metrics(self) -> Mapping[str, float]:
        """Return the controller's, and the `staleness` of the last push: updates before it, in the latest shard."""
        return {**self._controller.metrics(), "staleness": float(self._staleness)}

    def state_dict(self) -> State:
        return {}  # the shards have it

    def load_state_dict(self, state: State) -> None: ...

    def _pull(self) -> None:
        pulled = self._servers.pull()
        with torch.no_grad():
            for pieces, held in zip(self._layout, pulled, strict=True):
                sizes = [piece.stop - piece.start for piece in pieces]
                for piece, part in zip(pieces, torch.tensor(held.values).split_with_sizes(sizes), strict=True):
                    self._named[piece.name].view(-1)[piece.start : piece.stop].copy_(part)
        self._controller.baseline = pulled[0].baseline
        self._versions = [held.version for held in pulled]

    def _pushes(self, versions: Sequence[int]) -> list[Push]:
        rewarded = tuple(self._controller.rewarded)
        gradients = {name: parameter.grad for name, parameter in self._named.items()}
        whole = {n: torch.zeros_like(self._named[n]) if g is None else g for n, g in gradients.items()}
        flats = {name: gradient.detach().reshape(-1).numpy() for name, gradient in whole.items()}
        pushes = []
        for pieces, version in zip(self._layout, versions, strict=True):
            absent = frozenset(index for index, piece in enumerate(pieces) if gradients[piece.name] is None)
            flat = joint(flats[piece.name][piece.start : piece.stop] for piece in pieces)
            pushes.append(Push(self._number, version, flat, absent, rewarded))
        self._controller.policy.zero_grad()  # nothing is pushed for a minibatch that asks nothing
        return pushes
