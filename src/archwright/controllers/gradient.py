"""Gradient descent in soft weights: the controller of DARTS (Liu et al. 2019), with beta-decay and GDAS's sample."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from archwright.errors import ConfigError
from archwright.loop import Proposal, State, Trial
from archwright.space import SKIPS, Architecture, Space, generator, operations_of

INITIAL, GUMBEL = 0, 1  # purposes of random streams


def beta_decay(alphas: Sequence[Float[Tensor, " options"]]) -> Float[Tensor, ""]:
    """Return the mean over the soft weights of logsumexp(alpha): beta-decay (Ye et al. 2022; their `mlc_loss`)."""
    return torch.stack([alpha.logsumexp(0) for alpha in alphas]).mean()


def straight_through(
    alpha: Float[Tensor, " options"], noise: Float[Tensor, " options"], temperature: float
) -> Float[Tensor, " options"]:
    """Return 1 at the sampled option, with the gradient of softmax((log softmax(alpha) + noise) / temperature).

    The sample is that of softmax(alpha) if the noise is Gumbel's (GDAS: Dong & Yang 2019, equations 3 to 5).
    """
    soft = ((alpha.log_softmax(0) + noise) / temperature).softmax(0)
    hard = torch.zeros_like(soft)
    hard[int(soft.argmax())] = 1.0
    return hard + (soft - soft.detach())  # in this order the numbers are 0 and 1 to the bit


class Gradient:
    """Proposes soft weights, and takes a step of Adam on the gradient that comes back (DARTS 2019, section 2.3).

    A soft weight is the softmax of its alphas, which begin as normal numbers of deviation `init` (official code; the
    paper begins with zeros). With them goes the architecture that they stand for now (`Space.discrete`).

    Args:
        space: what is searched; it must mix (`Space.mixes`).
        learning_rate, betas, weight_decay: of Adam (DARTS 2019, appendix A.1.1).
        travel: where it is set, the rate is `travel / steps`: Adam's steps are as long as its rate, so a short search
            goes as far as a published one, whose rates sum to 5.9.
        init: deviation of the first alphas.
        beta_decay: weight of the mean logsumexp of the alphas in the loss, growing linearly from 0 to this at the end
            of the search (Ye et al. 2022: 50, reached after 100 epochs). It holds back the alphas that grow, so that
            operations without weights do not take over. 0: none.
        sample: what is proposed: the weights themselves ("softmax": DARTS), or 1 at one option drawn from them
            ("gumbel": GDAS, Dong & Yang 2019).
        temperature: of that draw's gradient, from first to last step (GDAS: 10 to 0.1).
        steps: of the whole search, along which `beta_decay` and `temperature` move.
        seed: of the first alphas and, with the stream's number, of every draw.
    """

    batch: ClassVar[int] = 1

    def __init__(
        self,
        space: Space,
        *,
        learning_rate: float = 3e-4,
        betas: tuple[float, float] = (0.5, 0.999),
        weight_decay: float = 1e-3,
        travel: float | None = None,
        init: float = 1e-3,
        beta_decay: float = 0.0,
        sample: Literal["softmax", "gumbel"] = "softmax",
        temperature: tuple[float, float] = (10.0, 0.1),
        steps: int = 19_550,  # 50 epochs of 391 batches of 64
        seed: int = 0,
    ) -> None:
        if not learning_rate > 0 or min(weight_decay, beta_decay, init) < 0 or steps < 1 or min(temperature) <= 0:
            raise ConfigError(
                f"Gradient({learning_rate=}, {weight_decay=}, {beta_decay=}, {init=}, {temperature=}, {steps=}): "
                "rates, temperatures and steps must be positive, the others zero or more"
            )
        if sample not in ("softmax", "gumbel"):
            raise ConfigError(f"Gradient: sample is {sample!r}; it must be softmax or gumbel")
        if travel is not None:
            learning_rate = travel / steps
        self.space, self.seed, self.steps, self.step = space, seed, steps, 0
        self._beta_decay, self._sample, self._temperature = beta_decay, sample, temperature
        rng = generator((seed, INITIAL))
        self.alphas = {
            name: torch.tensor(init * rng.standard_normal(len(choices)), dtype=torch.float32, requires_grad=True)
            for name, choices in space.mixture.items()
        }
        self._adam = torch.optim.Adam(
            list(self.alphas.values()), lr=learning_rate, betas=(betas[0], betas[1]), weight_decay=weight_decay
        )
        self._architecture: Architecture | None = None  # that the alphas stand for

    @property
    def progress(self) -> float:
        """The share of the search that is done, 0 to 1."""
        return min(1.0, self.step / self.steps)

    def ask(self, streams: Sequence[int]) -> list[Proposal]:
        return [
            Proposal(
                stream,
                self.architecture,
                soft={name: weights.detach() for name, weights in self._weights(stream).items()},
            )
            for stream in streams
        ]

    @property
    def architecture(self) -> Architecture:
        """The architecture that the soft weights stand for now."""
        if self._architecture is None:
            soft = {name: alpha.detach().softmax(0).tolist() for name, alpha in self.alphas.items()}
            self._architecture = self.space.discrete(soft)
        return self._architecture

    def _weights(self, stream: int) -> dict[str, Tensor]:
        """Return what is proposed as a function of the alphas, for autograd."""
        if self._sample == "softmax":
            return {name: alpha.softmax(0) for name, alpha in self.alphas.items()}
        rng, (first, last) = generator((self.seed, GUMBEL, stream)), self._temperature
        temperature = first + (last - first) * self.progress
        return {
            name: straight_through(alpha, torch.tensor(rng.gumbel(size=len(alpha)), dtype=alpha.dtype), temperature)
            for name, alpha in self.alphas.items()
        }

    def tell(self, trials: Sequence[Trial]) -> bool:
        """Take a step for each gradient; what failed has none."""
        stepped = False
        for trial in trials:
            if trial.result.gradient is not None:
                self._descend(trial.proposal.stream, trial.result.gradient)
                stepped = True
        return stepped

    def _descend(self, stream: int, gradient: Mapping[str, Any]) -> None:
        weights, alphas = self._weights(stream), list(self.alphas.values())
        outputs: list[Tensor] = [weights[name] for name in self.alphas]
        directions: list[Tensor] = [gradient[name].to(torch.float32) for name in self.alphas]
        if self._beta_decay:
            outputs.append(self._beta_decay * self.progress * beta_decay(alphas))
            directions.append(torch.ones(()))
        for alpha, slope in zip(alphas, torch.autograd.grad(outputs, alphas, directions), strict=True):
            alpha.grad = slope
        self._adam.step()
        self._adam.zero_grad()
        self.step, self._architecture = self.step + 1, None

    def metrics(self) -> Mapping[str, float]:
        """Return the mean entropy of the soft weights in nats, and the share of skips among the operations chosen."""
        with torch.no_grad():
            logs = [alpha.log_softmax(0) for alpha in self.alphas.values()]
        entropy = math.fsum(float(-(log.exp() * log).sum()) for log in logs) / len(logs)
        return {"entropy": entropy, "skips": skips(self.space, self.architecture)}

    def state_dict(self) -> State:
        moments = {name: self._adam.state.get(alpha, {}) for name, alpha in self.alphas.items()}
        return {
            "alphas": {name: alpha.detach().clone() for name, alpha in self.alphas.items()},
            "adam": {name: {key: value.clone() for key, value in kept.items()} for name, kept in moments.items()},
            "step": self.step,
        }

    def load_state_dict(self, state: State) -> None:
        ours = {name: len(alpha) for name, alpha in self.alphas.items()}
        theirs = {name: len(alpha) for name, alpha in state["alphas"].items()}
        if ours != theirs:
            raise ConfigError(f"the controller's state weighs {theirs}, this controller {ours}: it is of another space")
        self._adam.state.clear()
        with torch.no_grad():
            for name, alpha in self.alphas.items():
                alpha.copy_(state["alphas"][name])
                if state["adam"][name]:
                    self._adam.state[alpha] = {key: value.clone() for key, value in state["adam"][name].items()}
        self.step, self._architecture = int(state["step"]), None


def skips(space: Space, architecture: Architecture) -> float:
    """Return the share of skip connections among an architecture's operations."""
    chosen = operations_of(space, architecture)
    return sum(name in SKIPS for name in chosen) / max(1, len(chosen))
