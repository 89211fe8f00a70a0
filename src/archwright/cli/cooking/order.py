"""What a user asks for, and the record of it in the run folder."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from archwright.errors import ChildFailure, ConfigError
from archwright.evaluators.aims import objective_texts
from archwright.evaluators.expression import Expression
from archwright.modalities.recipes.data import DISHES, RecipeData
from archwright.modalities.recipes.pantry import Wishes
from archwright.modalities.recipes.scoring import Tasting

OBJECTIVE = "plausible * novel ^ 0.5"
TRIALS = 4000
FEW_TRIALS = {"guided": 200}  # by controllers whose every trial takes long
FRONT = ("plausible", "novel")  # of what there is a front where nobody asks for another


@dataclass(frozen=True)
class Order(Wishes):
    """An order for dishes: wishes, and how to search. `archwright cook --help` has the words for each field."""

    data: str = DISHES
    compounds: str | None = None
    nutrition: str | None = None
    cuisine: str | None = None
    objective: str | None = None  # OBJECTIVE, times cuisine where one is wished for
    pareto: tuple[str, ...] = ()
    within: tuple[str, ...] = ()
    least: tuple[str, ...] = ()
    count: int = 10
    trials: int = TRIALS
    controller: str = "reinforce"
    imitate: int = 300
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("count", "trials", "most_methods"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if self.seed < 0 or self.imitate < 0:
            raise ConfigError(f"seed is {self.seed} and imitate {self.imitate}; they must be at least 0")
        if self.pareto and self.objective is not None:
            raise ConfigError("--objective and --pareto are two ways to say what is good; give one of them")
        if self.pareto and (len(self.pareto) == 1 or len(set(self.pareto)) < len(self.pareto)):
            raise ConfigError(
                f"--pareto {','.join(self.pareto)}: name two objectives, such as plausible,novel, each once"
            )

    @property
    def reward(self) -> Expression:
        """The objective as a function of metrics; several of them are multiplied."""
        if self.pareto:
            return _expression(" * ".join(text if text.isidentifier() else f"({text})" for text in self.pareto))
        return _expression(self.objective or (OBJECTIVE if self.cuisine is None else f"{OBJECTIVE} * cuisine"))

    @property
    def front(self) -> dict[str, Expression]:
        """Several objectives, by their texts, of which the front is shown; larger is better."""
        return {text: _expression(text) for text in self.pareto or FRONT}

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

    def require_positive(self, known: Sequence[Mapping[str, float]]) -> None:
        """Raise ConfigError for one of several objectives that is below zero for a known dish: a product misleads."""
        for text in self.pareto:
            for metrics in known:
                with suppress(ChildFailure):  # no value, as log(novel) of a known dish
                    if (value := _expression(text)(metrics)) < 0:
                        way = "several objectives are multiplied, so write exp(...) or 1 / ... of it"
                        raise ConfigError(f"--pareto {text}: it is {value:.4g} for a known dish; {way}")

    def require_measured(self, data: RecipeData) -> None:
        """Raise ConfigError for a metric that dishes of this data do not have."""
        known = Tasting.metrics(data, self.cuisine)
        for name in (*self.reward.needs, *(name for name, *_ in self.limits)):
            if name not in known:
                hint = "--compounds, --nutrition, --cuisine, and recipes with ratings bring more"
                raise ConfigError(f"{name!r} is not a metric of these dishes; there are {', '.join(known)}; {hint}")


def _expression(text: str) -> Expression:
    return Expression(text.replace("^", "**"))


def order_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return fields of an order with lists as tuples."""
    found = {name: tuple(value) if isinstance(value, (list, set)) else value for name, value in given.items()}
    if isinstance(found.get("pareto"), str):
        found["pareto"] = objective_texts(found["pareto"])
    return found
