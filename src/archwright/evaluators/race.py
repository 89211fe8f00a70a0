"""Scores an architecture after the first share of its training, which goes on later if it is among the best."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

from archwright.evaluators.objective import require, reward
from archwright.loop import Proposal, Result, Stateless
from archwright.training.measure import parameters

if TYPE_CHECKING:
    from archwright.evaluators.objective import Objective
    from archwright.loop import Progress
    from archwright.modalities.protocol import Modality
    from archwright.space import Architecture
    from archwright.training.fit import Fit


class Trainings(Protocol):
    """Trainings that a search begins and that final training goes on with: each is kept where it stopped."""

    def begin(self, architecture: Architecture) -> Fit:
        """Return the training of an architecture, as new or as it was kept; `ChildFailure` if it may not start."""

    def advance(self, fit: Fit, architecture: Architecture, share: float) -> Iterator[Progress]:
        """Train until `share` of the whole training is done, and keep the training."""

    def lend(self, fit: Fit, architecture: Architecture, share: float) -> Iterator[Progress]:
        """Train until `share` is done, and lend the weights to later trainings; not those that began with such ones."""


class Race(Stateless):
    """Trains every proposed network for `share` of the seconds that its whole training takes, and keeps its state.

    The whole training of any network takes the same seconds, whatever its number of steps, so networks are compared
    after equal seconds, at equal places of their schedules. Metrics: those of validation, `parameters` (trainable),
    `passes` over the training part in the whole training; `Costed` adds others.

    Args:
        trainings: begins, advances and keeps the trainings.
        modality: the data.
        share: of its whole training, above 0 and below 1.
        objective: from metrics to the reward.
        lent: the share after which a network's weights are lent to later ones; 0: never.
    """

    def __init__(
        self, trainings: Trainings, modality: Modality, share: float, objective: Objective, lent: float = 0.0
    ) -> None:
        self.trainings, self.modality, self.share, self.objective = trainings, modality, share, objective
        self.lent = lent
        self._score = f"validation_{modality.metric}"
        known = (self._score, f"best_{self._score}", "validation_loss", "parameters", "passes")
        require(objective, known, "Race")

    def evaluate(self, proposal: Proposal) -> Result:
        architecture = proposal.architecture
        fit = self.trainings.begin(architecture)
        for _ in self.trainings.lend(fit, architecture, self.lent) if self.lent else ():
            pass
        for _ in self.trainings.advance(fit, architecture, self.share):
            pass
        looked = fit.validate()
        metrics = {
            **looked,
            f"best_{self._score}": looked[self._score],  # the only look there is
            "share": fit.step / fit.steps,
            "parameters": float(parameters(fit.model)),
            "passes": fit.steps / fit.per_epoch,
        }
        return Result(reward(self.objective, metrics), metrics)
