"""Scores an architecture by training its network from scratch: NAS and NASNet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from archwright.errors import ConfigError
from archwright.evaluators.objective import OBJECTIVES, Objective, require, reward
from archwright.loop import Proposal, Result, Stateless
from archwright.modalities import modality
from archwright.training.child import child_network, child_recipe
from archwright.training.device import resolve_device
from archwright.training.fit import Fit
from archwright.training.measure import parameters
from archwright.training.recipe import Recipe

if TYPE_CHECKING:
    from torch import nn

    from archwright.modalities.protocol import Data, Modality
    from archwright.space import Architecture, Space


ALWAYS = ("validation_loss", "parameters", "seconds")  # metrics of any child


class FromScratch(Stateless):
    """Trains every proposed network with `recipe` and rewards its validation. The test part is not touched.

    All children have the same seed for initial weights where shapes agree, order of the data and augmentation, so the
    difference between two children is a paired one, and the same architecture scores the same twice on one CPU.

    Metrics: `validation_accuracy` and `validation_loss` after the last epoch, `best_validation_accuracy` of the last
    `last_epochs` (NAS takes the best of the last 5), `parameters` (trainable) and `seconds` of training; `Costed` adds
    others. For text, perplexities instead of accuracies. Can be pickled, for other processes.

    Args:
        space: what the architectures belong to, with the width and regularisation that children are trained at.
        data: trained on its training part, scored on its validation part.
        recipe: how each child is trained.
        objective: from metrics to the reward; None: the accuracy, or for text NAS's 80 / perplexity^2.
        seed: of weights, order, augmentation and dropout.
        device: see `resolve_device`.
        time_limit: seconds of training for one child; more is a failed trial.
        last_epochs: how many of the last epochs are validated; all others are not, which saves time.
    """

    def __init__(
        self,
        space: Space,
        data: Data | Modality,
        recipe: Recipe | None = None,
        *,
        objective: Objective | None = None,
        seed: int = 0,
        device: str = "auto",
        time_limit: float | None = None,
        last_epochs: int = 1,
    ) -> None:
        self.space, self.data = space, modality(data)
        self.recipe = recipe or Recipe()
        self.objective: Objective = objective or OBJECTIVES[self.data.objective_from_scratch]()
        self.seed, self.device, self.time_limit, self.last_epochs = seed, device, time_limit, last_epochs
        self.trials_per_epoch = 1 / self.recipe.epochs
        score = f"validation_{self.data.metric}"
        require(self.objective, (score, f"best_{score}", *ALWAYS), "FromScratch")
        resolve_device(device)
        if last_epochs < 1:
            raise ConfigError(f"FromScratch: last_epochs is {last_epochs}; it must be at least 1")
        if not len(self.data.data.validation):
            raise ConfigError("FromScratch: the data has no validation part to score children on")

    def network(self, architecture: Architecture) -> nn.Module:
        """Return the untrained child of an architecture, as `evaluate` begins with it."""
        return child_network(self.space, architecture, self.data.data.task, self.seed)

    def trained(self, architecture: Architecture) -> Fit:
        """Train a child and return the training, with the child in `model`. Raises `ChildFailure` if that fails."""
        fit = Fit(
            self.network(architecture),
            self.data,
            child_recipe(self.space, architecture, self.recipe),
            seed=self.seed,
            device=self.device,
            time_limit=self.time_limit,
            validate_last=self.last_epochs,
        )
        for _ in fit:
            pass
        return fit

    def evaluate(self, proposal: Proposal) -> Result:
        fit = self.trained(proposal.architecture)
        best = max if self.data.larger_is_better else min
        metrics = {
            fit.scored_by: fit.score,
            f"best_{fit.scored_by}": best(score for _, score in fit.validation),
            "validation_loss": fit.metrics["validation_loss"],
            "parameters": float(parameters(fit.model)),
            "seconds": fit.seconds,
        }
        return Result(reward(self.objective, metrics), metrics)
