"""A space and a controller as a user writes them, in one file."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from archwright.loop import Proposal, Trial
from archwright.nets.network import Network
from archwright.space import Architecture, Choice, Open, Option, Program, Space, Task, sample


class Perceptron(Network):
    """Layers of one width."""

    def __init__(self, task: Task, width: int, depth: int) -> None:
        super().__init__()
        sizes = [task.channels * task.height * task.width, *[width] * depth]
        layers: list[nn.Module] = [nn.Flatten()]
        for inputs, outputs in itertools.pairwise(sizes):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        self.body = nn.Sequential(*layers, nn.Linear(sizes[-1], task.classes))

    def with_auxiliary(self, x: Tensor, architecture: Architecture | None = None) -> tuple[Tensor, None]:
        """Logits."""
        return self.body(x), None


@dataclass(frozen=True)
class Perceptrons(Space):
    """Perceptrons of some width and depth."""

    name: ClassVar[str] = "perceptrons"
    scale: int = 1

    @property
    def vocabularies(self) -> Mapping[str, tuple[Option, ...]]:
        return {"width": (8, 16, 32), "depth": (1, 2)}

    def decide(self) -> Program:
        for name, options in self.vocabularies.items():
            yield Choice(name, options, vocabulary=name)

    def network(self, open: Open, task: Task) -> nn.Module:
        assert open.architecture is not None
        return Perceptron(task, self.scale * int(str(open.architecture["width"])), int(str(open.architecture["depth"])))


class Shifted:
    """Random search whose streams begin elsewhere."""

    batch = 2

    def __init__(self, space: Space, *, seed: int = 0, offset: int = 100) -> None:
        self.space, self.seed, self.offset = space, seed, offset

    def ask(self, streams: Sequence[int]) -> list[Proposal]:
        return [Proposal(s, sample(self.space, (self.seed, s + self.offset))) for s in streams]

    def tell(self, trials: Sequence[Trial]) -> bool:
        return False

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        pass
