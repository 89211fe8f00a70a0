"""A space and a controller of a user's file that hang, or end the program, where the field `where` says."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from archwright.controllers.random import Random
from archwright.loop import Proposal
from archwright.nets.network import Network
from archwright.space import Architecture, Choice, Open, Option, Program, Space, Task


class Linear(Network):
    """Logistic regression."""

    def __init__(self, task: Task, *, hangs: bool) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(task.channels * task.height * task.width, task.classes))
        self.hangs = hangs

    def with_auxiliary(self, x: Tensor, architecture: Architecture | None = None) -> tuple[Tensor, None]:
        while self.hangs:
            time.sleep(0.01)
        return self.body(x), None


@dataclass(frozen=True)
class Hanging(Space):
    """Two architectures."""

    name: ClassVar[str] = "hanging"
    reads: ClassVar[tuple[str, ...]] = ("where",)
    vocabularies: ClassVar[Mapping[str, tuple[Option, ...]]] = {"what": ("a", "b")}
    where: str = ""

    def decide(self) -> Program:
        while self.where == "decide":
            time.sleep(0.01)
        if self.where == "exit":
            raise SystemExit(3)
        if self.where == "error":
            raise ValueError("of the user's")
        yield Choice("what", ("a", "b"), vocabulary="what")

    def network(self, open: Open, task: Task) -> nn.Module:
        while self.where == "network":
            time.sleep(0.01)
        return Linear(task, hangs=self.where == "with_auxiliary")


class Own(Random):
    """Random search."""

    def ask(self, streams: Sequence[int]) -> list[Proposal]:
        while getattr(self.space, "where", "") == "ask":
            time.sleep(0.01)
        return super().ask(streams)
