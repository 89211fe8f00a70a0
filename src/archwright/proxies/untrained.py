"""The untrained network of an architecture, and random inputs for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from archwright.modalities import modality_class
from archwright.nets.network import without_auxiliary
from archwright.training.child import child_network
from archwright.training.randomness import Stream, seeded

if TYPE_CHECKING:
    from archwright.modalities.protocol import Modality
    from archwright.space import Architecture, Space


@dataclass(frozen=True)
class Untrained:
    """A network on the CPU as its training begins, what it is for, and the kind of its data. A proxy leaves it alone.

    `seed` is of the random inputs; `shared` is what several proxies read, by name.
    """

    network: Any
    task: Any
    kind: type[Modality]
    seed: int
    shared: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    def inputs(self, network: Any, count: int) -> tuple[Any, ...]:
        """Return what the network reads: `count` random examples, in its precision."""
        with self.drawing():
            return self.kind.noise(network, self.task, count)

    @contextmanager
    def drawing(self) -> Iterator[None]:
        """Draw from the stream of the seed within the block."""
        with seeded(torch.device("cpu"), Stream.PROXIES, self.seed):
            yield


def untrained(space: Space, architecture: Architecture, task: Any, seed: int) -> Untrained:
    """Build the network."""
    network = without_auxiliary(child_network(space, architecture, task, seed))
    return Untrained(network, task, modality_class(space.data), seed)


def tensor_of(made: Any) -> Tensor:
    """Return the tensor that a module made: itself, in a feature map, or the first of several."""
    if isinstance(made, Tensor):
        return made
    return tensor_of(made[0] if isinstance(made, (tuple, list)) else made.tensor)
