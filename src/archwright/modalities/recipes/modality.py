"""Recipes, as a run sees its data. No network is trained on them: `archwright cook` searches dishes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from archwright.errors import ConfigError, RunError
from archwright.modalities.protocol import Modality
from archwright.modalities.recipes.data import RecipeData, load_recipes
from archwright.report.words import counted


class NoNetwork:
    """Stands where other kinds of data have their trained networks."""

    kind: ClassVar[str] = "recipe"

    @classmethod
    def load(cls, folder: Path, **_: Any) -> Any:
        raise RunError(f"{folder} holds no network: dishes have none")


@dataclass(frozen=True, eq=False)
class Recipes(Modality):
    """Known recipes."""

    data: RecipeData

    name: ClassVar[str] = "recipes"
    holds: ClassVar[type] = RecipeData
    model: ClassVar[Any] = NoNetwork
    metric: ClassVar[str] = "plausible"
    larger_is_better: ClassVar[bool] = True
    label: ClassVar[str] = "plausible"
    costs: ClassVar[Mapping[str, Any]] = {}

    @staticmethod
    def recognises(source: Any) -> bool:
        return isinstance(source, RecipeData) or str(source).endswith((".jsonl", ".csv")) or str(source) == "dishes"

    @staticmethod
    def load(source: Any, *, seed: int, **options: Any) -> Any:
        if options:
            raise ConfigError(f"{next(iter(options))} is not for recipes, and the data is {source}")
        return load_recipes(source)  # nothing in it is random

    def describe(self) -> tuple[dict[str, Any], list[str]]:
        """Return what was understood of the data."""
        data, sizes = self.data, Counter(len(known.ingredients) for known in self.data.recipes)
        mean = sum(size * count for size, count in sizes.items()) / len(data.recipes)
        description = {
            "name": data.name,
            "fingerprint": data.fingerprint,
            "recipes": len(data.recipes),
            "ingredients": len(data.ingredients),
            "methods": list(data.methods),
            "cuisines": list(data.cuisines),
            "rated": len(data.rated),
            "ingredients_of_a_recipe": mean,
            "most_frequent": list(data.ingredients[:10]),
            **self.remarks(),
        }
        return description, [
            f"data        {data.name} (fingerprint {data.fingerprint})",
            f"recipes     {data.split}; {mean:.1f} ingredients in one on average",
            *(f"note        {note}" for note in data.notes),
            f"frequent    {', '.join(data.ingredients[:10])}",
            f"methods     {', '.join(data.methods[:12]) or 'none'}",
            f"cuisines    {', '.join(data.cuisines[:12]) or 'none'}",
            *([f"ratings     of {counted(len(data.rated), 'recipe')}"] if data.rated else []),
            "search      archwright cook --data takes it",
        ]

    def contract(self) -> str:
        return "sets of ingredients, with cooking methods"
