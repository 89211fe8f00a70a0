"""What a user asks for, and the record of it in the run folder."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from archwright.errors import ChildFailure, ConfigError
from archwright.evaluators.expression import Expression
from archwright.modalities.recipes.data import DISHES, RecipeData
from archwright.modalities.recipes.pantry import Wishes
from archwright.modalities.recipes.scoring import Tasting

OBJECTIVE = "plausible * novel ^ 0.5"


@dataclass(frozen=True)
class Order:
    """An order for dishes; `archwright cook --help` has the words for each field."""

    data: str = DISHES
    compounds: str | None = None
    nutrition: str | None = None
    cuisine: str | None = None
    wanted: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    fewest: int = 3
    most: int = 6
    most_methods: int = 1
    objective: str | None = None  # OBJECTIVE, times cuisine where one is wished for
    within: tuple[str, ...] = ()
    least: tuple[str, ...] = ()
    count: int = 10
    trials: int = 4000
    controller: str = "reinforce"
    imitate: int = 300
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("count", "trials", "fewest", "most", "most_methods"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if self.seed < 0 or self.imitate < 0:
            raise ConfigError(f"seed is {self.seed} and imitate {self.imitate}; they must be at least 0")

    @property
    def reward(self) -> Expression:
        """The objective as a function of metrics."""
        own = OBJECTIVE if self.cuisine is None else f"{OBJECTIVE} * cuisine"
        return Expression((self.objective or own).replace("^", "**"))

    @property
    def wishes(self) -> Wishes:
        return Wishes(**{field.name: getattr(self, field.name) for field in fields(Wishes)})

    @property
    def limits(self) -> list[tuple[str, float, bool]]:
        """The metric, the bound, and whether it is the least, of each limit."""
        found = []
        for texts, least in ((self.within, False), (self.least, True)):
            for text in texts:
                parts = re.fullmatch(r"\s*(\w+)\s*=\s*(\d+(?:\.\d*)?)\s*", text)
                if parts is None:
                    flag = "--at-least" if least else "--within"
                    raise ConfigError(f"{flag} {text}: expected METRIC=VALUE, such as energy_kcal=800")
                found.append((parts[1], float(parts[2]), least))
        return found

    def admit(self, metrics: Mapping[str, float]) -> None:
        """Raise `ChildFailure` for metrics that break a limit."""
        for name, bound, least in self.limits:
            if metrics[name] < bound if least else metrics[name] > bound:
                word = "least" if least else "most"
                raise ChildFailure(f"{name} is {metrics[name]:.4g}; it must be at {word} {bound:g}")

    def require_measured(self, data: RecipeData) -> None:
        """Raise ConfigError for a metric that dishes of this data do not have."""
        known = Tasting.metrics(data, self.cuisine)
        for name in (*self.reward.needs, *(name for name, *_ in self.limits)):
            if name not in known:
                hint = "--compounds, --nutrition and --cuisine bring more"
                raise ConfigError(f"{name!r} is not a metric of these dishes; there are {', '.join(known)}; {hint}")


def order_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return fields of an order with lists as tuples."""
    return {name: tuple(value) if isinstance(value, (list, set)) else value for name, value in given.items()}
