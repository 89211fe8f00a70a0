"""The parameter server of NAS (Zoph & Le 2017, section 3.2, figure 3), without anything that communicates.

The controller's parameters are one flat vector, cut into ranges. A `Shard` holds one range with its optimiser's state;
a `Replica` (in `replica`) is a controller for `archwright.loop.run` that takes the parameters from the shards when it
is asked, and sends them the gradient of its minibatch, averaged and clipped, when it has been told all of it. Nobody
waits.

A push is numbered, and a shard takes each number once, whoever sends it and however often: what was lost is sent again.
With one replica the scheme is the controller that it replicates, to the bit, whatever the number of shards.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from archwright.controllers.reinforce import next_baseline
from archwright.controllers.threads import one_thread
from archwright.errors import ConfigError
from archwright.loop import State

# Fused Adam treats the last few numbers of a tensor apart, with other rounding: a tensor is cut where its vectors end.
ALIGNED = 16
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Piece:
    """The numbers from `start` to `stop` of the parameter called `name`, flattened."""

    name: str
    start: int
    stop: int


def ranges(sizes: Mapping[str, int], shards: int) -> list[list[Piece]]:
    """The flat vector of parameters of these sizes, in their order, cut into `shards` ranges of about equal length.

    There may be more shards than parameters; those for which nothing is left are empty.
    """
    if shards < 1:
        raise ConfigError(f"shards is {shards}; it must be at least 1")
    total = sum(sizes.values())
    cuts = [round(total * shard / shards) for shard in range(shards + 1)]
    found: list[list[Piece]] = [[] for _ in range(shards)]
    offset = 0
    for name, size in sizes.items():
        inner = [cut - offset for cut in cuts[1:-1]]
        inside = [min(size, max(0, cut) // ALIGNED * ALIGNED) for cut in inner]
        for shard, (start, stop) in enumerate(zip([0, *inside], [*inside, size], strict=True)):
            if start < stop:
                found[shard].append(Piece(name, start, stop))
        offset += size
    return found


@dataclass(frozen=True)
class Pulled:
    """What a shard holds, after `version` updates. `baseline`: of the rewards so far."""

    values: Floats
    version: int
    baseline: float | None


@dataclass(frozen=True)
class Push:
    """A gradient for one shard, of the minibatch `number`, at the parameters of `version`.

    `absent`: the pieces that it says nothing of, by position. `rewarded`: the minibatch's rewards.
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
        accumulate: gradients to an update, which is with their mean.
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
        self._sum: list[torch.Tensor | None] = [None] * len(self._sizes)
        self._held = 0
        self._staleness: list[tuple[int, int]] = []

    def pull(self) -> Pulled:
        """The present values."""
        flat = [tensor.detach().numpy() for tensor in self._tensors]
        values = np.concatenate(flat) if flat else np.zeros(0, np.float32)
        return Pulled(values, self._version, self._baseline)

    def push(self, push: Push) -> int | None:
        """Take a gradient in: how many updates ago its parameters were, or None if its number was taken in before."""
        if not self._applied.add(push.number):
            return None
        staleness = abs(self._version - push.version)  # negative, if the shard was restored since
        self._staleness.append((push.number, staleness))
        for index, part in enumerate(parts(push.gradient, self._sizes)):
            if index not in push.absent:
                before = self._sum[index]
                self._sum[index] = part if before is None else before + part
        self._held += 1
        if self._held == self._accumulate:
            self._update()
        self._baseline = next_baseline(self._baseline, push.rewarded, self._decay)
        return staleness

    def _update(self) -> None:
        for tensor, total in zip(self._tensors, self._sum, strict=True):
            tensor.grad = None if total is None else total if self._held == 1 else total / self._held
        if self._adam is not None:
            with one_thread():
                self._adam.step()
        self._sum, self._held = [None] * len(self._sizes), 0
        self._version += 1

    def state_dict(self) -> State:
        """Everything: `values` and Adam's moments by piece, and what else `restore` needs."""
        moments = [{} if self._adam is None else self._adam.state.get(tensor, {}) for tensor in self._tensors]
        numbers, late = (list(column) for column in zip(*self._staleness, strict=True)) if self._staleness else ([], [])
        return {
            "values": [tensor.detach().clone() for tensor in self._tensors],
            "adam": [{name: value.clone() for name, value in moment.items()} for moment in moments],
            "version": self._version,
            "baseline": self._baseline,
            "applied": self._applied.to_json(),
            "sum": [None if total is None else total.clone() for total in self._sum],
            "held": self._held,
            "pushes": torch.tensor(numbers, dtype=torch.int64),
            "staleness": torch.tensor(late, dtype=torch.int64),
        }

    def restore(self, state: State) -> None:
        """Take back what `state_dict` gave."""
        for tensor, values, moment in zip(self._tensors, state["values"], state["adam"], strict=True):
            with torch.no_grad():
                tensor.copy_(values)
            assert self._adam is not None
            if moment:
                self._adam.state[tensor] = {name: value.clone() for name, value in moment.items()}
        self._version, self._baseline = int(state["version"]), state["baseline"]
        self._applied = Applied.of(state["applied"])
        self._sum = [None if total is None else total.clone() for total in state["sum"]]
        self._held = int(state["held"])
        self._staleness = list(zip(state["pushes"].tolist(), state["staleness"].tolist(), strict=True))


def parts(flat: Floats, sizes: Sequence[int]) -> list[torch.Tensor]:
    """Copies of the parts of a range, one for each piece."""
    ends = np.cumsum(np.asarray(sizes, dtype=int)).tolist()
    return [torch.from_numpy(flat[end - size : end].copy()) for size, end in zip(sizes, ends, strict=True)]


class Applied:
    """A set of push numbers: all below one, and some beyond it."""

    def __init__(self, below: int = 0, beyond: Iterable[int] = ()) -> None:
        self.below, self.beyond = below, set(beyond)

    def __contains__(self, number: int) -> bool:
        return number < self.below or number in self.beyond

    def add(self, number: int) -> bool:
        """False if it is in already."""
        if number in self:
            return False
        self.beyond.add(number)
        while self.below in self.beyond:
            self.beyond.remove(self.below)
            self.below += 1
        return True

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {"below": self.below, "beyond": sorted(self.beyond)}

    @staticmethod
    def of(data: Mapping[str, Any]) -> Applied:
        """Read what `to_json` wrote."""
        return Applied(int(data["below"]), (int(number) for number in data["beyond"]))
