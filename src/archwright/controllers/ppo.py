"""Proximal policy optimisation (Schulman et al. 2017): the controller of NASNet (Zoph et al. 2018)."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from archwright.controllers.answers import Rollout
from archwright.controllers.reinforce import Reinforce
from archwright.errors import ConfigError
from archwright.space import Space


def ppo_loss(
    log_prob: Float[Tensor, " batch"],
    proposed: Float[Tensor, " batch"],
    advantage: Float[Tensor, " batch"],
    clip: float,
) -> Float[Tensor, ""]:
    """-mean(min(ratio * advantage, clip(ratio, 1 - clip, 1 + clip) * advantage)) (Schulman et al. 2017, equation 7).

    ratio = exp(log_prob - proposed): the architecture's probability now over that when it was proposed. At a ratio of 1
    the gradient is that of REINFORCE.
    """
    ratio = (log_prob - proposed).exp()
    advantage = advantage.detach()
    return -torch.minimum(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage).mean()


def _minibatch_loss(
    rollout: Rollout, proposed: Tensor, advantage: Tensor, *, clip: float, entropy_weight: float
) -> Tensor:
    return ppo_loss(rollout.log_prob, proposed, advantage, clip) - entropy_weight * rollout.entropy.mean()


class Ppo(Reinforce):
    """Samples architectures from an LSTM policy and improves it by PPO, several steps for each minibatch of rewards.

    Only the loss differs from `Reinforce`. An architecture is one action: the ratio is of all its decisions together,
    to the policy that proposed it. So a late result, when the policy has moved on, counts with its importance ratio,
    and not at all where it would take the policy further off than `clip`.

    The defaults are those of NASNet (section 4, appendix A.2), whose LSTM and learning rate are `Reinforce`'s defaults:
    100 units, U[-0.1, 0.1], 3.5e-4. Not published are `clip` and `epochs`, the optimizer (here Adam), and whether the
    entropy has a gradient (here it has). The learning rate is for 20,000 children: a search of hundreds learns with ten
    times as much.

    Args:
        space: what is searched. Each proposal is sampled from `space.grown(stream)`.
        clip: how far the ratio may move a minibatch.
        epochs: steps of Adam for each minibatch.
        gradient_clip: largest norm of the gradient; None does not clip.
        batch: rewards per update.
        temperature, tanh_constant: see `archwright.controllers.policy.Policy`.
        entropy_weight: of the entropy bonus.
        baseline_decay: of the baseline, a moving average of the rewards before, per reward.
        settings: further arguments of `Reinforce`, except `clip`.
    """

    def __init__(
        self,
        space: Space,
        *,
        clip: float = 0.2,  # Schulman et al. 2017, section 6.1
        epochs: int = 4,
        gradient_clip: float | None = None,
        batch: int = 20,  # appendix A.2
        temperature: float | None = None,
        tanh_constant: float | None = None,
        entropy_weight: float = 1e-5,  # appendix A.2
        baseline_decay: float = 0.95,  # appendix A.2
        **settings: Any,
    ) -> None:
        if not clip > 0 or epochs < 1:
            raise ConfigError(f"Ppo(clip={clip!r}, epochs={epochs!r}): clip must be positive and epochs at least 1")
        super().__init__(
            space,
            clip=gradient_clip,
            batch=batch,
            temperature=temperature,
            tanh_constant=tanh_constant,
            entropy_weight=0.0,  # it is in the loss
            baseline_decay=baseline_decay,
            **settings,
        )
        self.loss = partial(_minibatch_loss, clip=clip, entropy_weight=entropy_weight)
        self.epochs = epochs
