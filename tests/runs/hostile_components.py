"""A space of a user's file that registers an operation, and whose networks misbehave."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from archwright.controllers.random import Random
from archwright.nets.network import Network
from archwright.nets.ops import OPERATIONS
from archwright.space import Architecture, Choice, Open, Option, Program, Space, Task

OPERATIONS["of the user's file"] = lambda channels, stride: nn.Identity()


class Linear(Network):
    """Logistic regression."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(task.channels * task.height * task.width, task.classes))

    def with_auxiliary(self, x: Tensor, architecture: Architecture | None = None) -> tuple[Tensor, None]:
        return self.body(x), None


@dataclass(frozen=True)
class Hostile(Space):
    """Networks, some of which end or stop the process that builds them."""

    name: ClassVar[str] = "hostile"
    harmful: tuple[str, ...] = ()
    options: int = 4

    @property
    def vocabularies(self) -> Mapping[str, tuple[Option, ...]]:
        return {"what": ("a", "b", "exit", "raise", "end", "hang")[: self.options]}

    def decide(self) -> Program:
        yield Choice("what", self.vocabularies["what"], vocabulary="what")

    def network(self, open: Open, task: Task) -> nn.Module:
        assert open.architecture is not None
        OPERATIONS["of the user's file"](1, 1)  # a worker has run this file, too
        what = str(open.architecture["what"])
        if what in self.harmful:
            if what == "exit":
                raise SystemExit(3)
            if what == "end":
                os._exit(3)
            if what == "hang":
                time.sleep(1000)
            raise ValueError("Expected more than 1 value per channel")
        return Linear(task)


class Own(Random):
    """A controller in the same file as the space."""
