"""What a job reports while it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from archwright.loop import Progress, Trial


@dataclass(frozen=True)
class Stage:
    """A stage begins. `seconds` is what the plan expects it to take, `remaining` what it and all later ones do."""

    name: str
    seconds: float
    remaining: float


@dataclass(frozen=True)
class Message:
    """Something to tell the user."""

    text: str


Event: TypeAlias = "Stage | Message | Progress | Trial"
