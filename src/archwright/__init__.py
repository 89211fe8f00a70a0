"""archwright finds neural network architectures.

`archwright.search(data)` is the whole job in one call; `archwright.space` and `archwright.loop` are the parts. Spaces,
controllers, evaluators and budgets are found here by name; each is loaded when it is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from archwright.analysis.drawing import draw as draw
    from archwright.api import Run as Run
    from archwright.api import compare as compare
    from archwright.api import load as load
    from archwright.api import resume as resume
    from archwright.api import search as search
    from archwright.cli.cooking.job import Cooked as Cooked
    from archwright.cli.cooking.job import cook as cook
    from archwright.controllers.evolution import RegularizedEvolution as RegularizedEvolution
    from archwright.controllers.guided import Guided as Guided
    from archwright.controllers.local import LocalSearch as LocalSearch
    from archwright.controllers.optuna_sampler import OptunaSampler as OptunaSampler
    from archwright.controllers.ppo import Ppo as Ppo
    from archwright.controllers.random import Random as Random
    from archwright.controllers.reinforce import Reinforce as Reinforce
    from archwright.estimator import ArchwrightClassifier as ArchwrightClassifier
    from archwright.evaluators.from_scratch import FromScratch as FromScratch
    from archwright.evaluators.function import Function as Function
    from archwright.evaluators.shared_weights import SharedWeights as SharedWeights
    from archwright.evaluators.table import Table as Table
    from archwright.loop import Epochs as Epochs
    from archwright.loop import Minutes as Minutes
    from archwright.loop import Trials as Trials
    from archwright.modalities.images.model import TrainedModel as TrainedModel
    from archwright.modalities.text.model import TrainedLanguageModel as TrainedLanguageModel
    from archwright.pages.notebook import as_html as as_html
    from archwright.spaces import Darts as Darts
    from archwright.spaces import DartsRecurrent as DartsRecurrent
    from archwright.spaces import EnasMacro as EnasMacro
    from archwright.spaces import EnasMicro as EnasMicro
    from archwright.spaces import EnasRecurrent as EnasRecurrent
    from archwright.spaces import NasBench201 as NasBench201
    from archwright.spaces import NasConv as NasConv
    from archwright.spaces import NasNet as NasNet
    from archwright.spaces import NasRecurrent as NasRecurrent
    from archwright.spaces import Recipe as Recipe
    from archwright.spaces import Stages as Stages

_LAZY = {
    "analysis.drawing": ("draw",),
    "api": ("Run", "compare", "load", "resume", "search"),
    "cli.cooking.job": ("Cooked", "cook"),
    "controllers.evolution": ("RegularizedEvolution",),
    "controllers.guided": ("Guided",),
    "controllers.local": ("LocalSearch",),
    "controllers.optuna_sampler": ("OptunaSampler",),
    "controllers.ppo": ("Ppo",),
    "controllers.random": ("Random",),
    "controllers.reinforce": ("Reinforce",),
    "estimator": ("ArchwrightClassifier",),
    "evaluators.from_scratch": ("FromScratch",),
    "evaluators.function": ("Function",),
    "evaluators.shared_weights": ("SharedWeights",),
    "evaluators.table": ("Table",),
    "loop": ("Epochs", "Minutes", "Trials"),
    "modalities.images.model": ("TrainedModel",),
    "modalities.text.model": ("TrainedLanguageModel",),
    "pages.notebook": ("as_html",),
    "spaces": (
        *("Darts", "DartsRecurrent", "EnasMacro", "EnasMicro", "EnasRecurrent", "NasBench201", "NasConv", "NasNet"),
        *("NasRecurrent", "Recipe", "Stages"),
    ),
}
_MODULES = {name: f"archwright.{module}" for module, names in _LAZY.items() for name in names}

__all__ = ["__version__", *sorted(_MODULES)]


def __getattr__(name: str) -> Any:
    """Load what needs torch when it is first asked for."""
    if name in _MODULES:
        from importlib import import_module

        return getattr(import_module(_MODULES[name]), name)
    raise AttributeError(f"module 'archwright' has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the public names."""
    return __all__
