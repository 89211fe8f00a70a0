"""REINFORCE: the controller of NAS (Zoph & Le 2017, section 3.2) and ENAS (Pham et al. 2018)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from archwright.controllers.answers import Rollout, Sets
from archwright.controllers.experience import Experience
from archwright.controllers.policy import Policy
from archwright.controllers.threads import one_thread
from archwright.errors import ConfigError
from archwright.loop import Proposal, State, Trial
from archwright.space import Space

NOT_FINITE_REWARD = 0.0  # counted for a reward of NaN or infinity: the failure reward of the evaluators
DRAWS = 8  # of which the first new architecture is proposed

# NAS (Zoph & Le 2017, section 4.1).
NAS: Mapping[str, Any] = {
    "units": 35,
    "layers": 2,
    "init": 0.08,
    "learning_rate": 6e-4,
    "batch": 8,  # children per controller replica
    "temperature": None,
    "tanh_constant": None,
    "entropy_weight": 0.0,
}

# The official macro search (cifar10_macro_search.sh and main.py).
ENAS_MACRO: Mapping[str, Any] = {
    "units": 64,
    "learning_rate": 1e-3,
    "betas": (0.0, 0.999),
    "epsilon": 1e-3,
    "temperature": None,
    "tanh_constant": 1.5,
    "batch": 20,
    "entropy_weight": 1e-4,
    "skip_weight": 0.8,
    "skip_target": 0.4,
    "baseline_start": 0.0,
}


def reinforce_loss(
    log_prob: Float[Tensor, " batch"], reward: Float[Tensor, " batch"], baseline: float
) -> Float[Tensor, ""]:
    """-mean(log_prob * (reward - baseline)): its gradient is minus the REINFORCE estimate (Zoph & Le 2017, 3.2)."""
    return -(log_prob * (reward - baseline).detach()).mean()


def skip_penalty(sets: Sets | None, target: float, batch: int) -> Float[Tensor, " batch"]:
    """Return KL(p || target) of the links' probabilities p of each architecture (official macro code, C3).

    Summed over a decision's anchors, and averaged over the decisions that have any. p is what is sampled from; the
    official code takes sigmoid(q) here and samples with sigmoid(2q).
    """
    if sets is None:
        return torch.zeros(batch)
    p = sets.probabilities.clamp(1e-6, 1 - 1e-6)
    divergence = p * (p / target).log() + (1 - p) * ((1 - p) / (1 - target)).log()
    asked = sets.valid.any(1)
    each = (divergence * sets.valid).sum(1)[asked]
    rows = sets.rows[asked]
    total = torch.zeros(batch, dtype=each.dtype).index_add(0, rows, each)
    return total / torch.bincount(rows, minlength=batch).clamp(min=1)


def moving_average(average: float, values: Sequence[float], decay: float) -> float:
    """Return an exponential moving average after `values`, in order."""
    for value in values:
        average = decay * average + (1 - decay) * value
    return average


def next_baseline(baseline: float | None, rewarded: Sequence[float], decay: float) -> float:
    """Return the baseline after a minibatch of rewards; without one before it, that is their mean."""
    return float(torch.tensor(rewarded).mean()) if baseline is None else moving_average(baseline, rewarded, decay)


def _minibatch_loss(rollout: Rollout, proposed: Tensor, advantage: Tensor) -> Tensor:
    return reinforce_loss(rollout.log_prob, advantage, 0.0)


def _finite(trials: Sequence[Trial]) -> list[float]:
    return [trial.reward if math.isfinite(trial.reward) else NOT_FINITE_REWARD for trial in trials]


class Reinforce:
    """Samples architectures from an LSTM policy and moves it towards those with rewards above a moving average.

    After every `batch` rewards, in the order reported: recompute their log-probabilities and take one Adam step on
    `reinforce_loss`. The defaults are ENAS's: the paper's, and where it is silent the official code's, except as below.
    The official micro search (cifar10_micro_search.sh) is units=64, learning_rate=0.0035, betas=(0, 0.999),
    epsilon=1e-3, temperature=None, tanh_constant=1.1, choice_tanh_constant=0.44, baseline_start=0; `nas` has the
    settings of NAS. The papers' learning rates are for tens of thousands of rewards: a search of hundreds leaves the
    policy almost uniform, and learns with ten times as much, the official micro search's rate.

    The baseline is an average over *previous* rewards. ENAS starts it at 0, so that at first every sampled decision is
    pushed up, however bad; in a search of a few hundred trials that would last for most of it. Here the first minibatch
    is compared with its own mean, unless `baseline_start` is given.

    The entropy bonus is the official code's: `entropy_weight` times the entropy of the decisions is part of the reward
    (and so of the baseline); no gradient flows through it. The skip penalty (ENAS's macro space) is part of the loss,
    with its own gradient, and not of the reward; see `skip_penalty`.

    Args:
        space: what is searched. Each proposal is sampled from `space.grown(stream)`.
        units, layers, bias, init, temperature, tanh_constant, choice_tanh_constant: see `Policy`.
        learning_rate, betas, epsilon: of Adam.
        clip: largest norm of the gradient; None does not clip.
        batch: rewards per update.
        entropy_weight: of the entropy bonus.
        skip_weight: of the skip penalty; 0 is none. ENAS's macro search: 0.8.
        skip_target: the share of links that it aims at (ENAS: 0.4).
        baseline_decay: of the baseline, per reward.
        baseline_start: the baseline before the first reward; None takes the mean of the first minibatch.
        ranks: the advantage is the normal score of a reward's rank among all so far, whatever their scale; there is no
            baseline then, and no entropy bonus.
        around: the share of proposals that keep most answers of the best so far, and ask the policy for the others.
        fresh: an architecture is not proposed again, if one of a few draws is new.
        seed: of the initial parameters and, with the stream's number, of every proposal.
    """

    on_policy: ClassVar[bool] = True  # it learns from its own proposals alone

    def __init__(
        self,
        space: Space,
        *,
        units: int = 100,  # ENAS
        layers: int = 1,
        bias: bool = False,  # official code, common_ops.py
        init: float = 0.1,  # ENAS: U[-0.1, 0.1]
        temperature: float | None = 5.0,  # ENAS
        tanh_constant: float | None = 2.5,  # ENAS
        choice_tanh_constant: float | None = None,
        learning_rate: float = 3.5e-4,  # ENAS
        betas: tuple[float, float] = (0.9, 0.999),  # Adam's own: the code's 0 and epsilon 1e-3 go with its tenfold rate
        epsilon: float = 1e-8,
        clip: float | None = None,
        batch: int = 10,  # cifar10_micro_search.sh: controller_num_aggregate
        entropy_weight: float = 1e-4,  # ENAS for Penn Treebank, and the official code for CIFAR-10
        skip_weight: float = 0.0,
        skip_target: float = 0.4,  # ENAS, macro
        baseline_decay: float = 0.99,  # official code, main.py; the paper does not say
        baseline_start: float | None = None,
        ranks: bool = False,
        around: float = 0.0,
        fresh: bool = False,
        seed: int = 0,
    ) -> None:
        if batch < 1 or not learning_rate > 0 or not 0 <= baseline_decay <= 1:
            raise ConfigError(
                f"Reinforce({batch=}, {learning_rate=}, {baseline_decay=}): the batch must be at least 1, the learning "
                "rate positive and the decay from 0 to 1"
            )
        if not skip_weight >= 0 or not 0 < skip_target < 1:
            rule = "the weight must be zero or more and the target between 0 and 1"
            raise ConfigError(f"Reinforce({skip_weight=}, {skip_target=}): {rule}")
        if not 0 <= around <= 1:
            raise ConfigError(f"Reinforce({around=}): a share is from 0 to 1")
        self.space, self.batch, self.seed = space, batch, seed
        self._ranks, self._around, self._fresh = ranks, around, fresh
        self._experience = Experience() if ranks or around or fresh else None
        self.policy = Policy(
            space,
            units=units,
            layers=layers,
            bias=bias,
            init=init,
            temperature=temperature,
            tanh_constant=tanh_constant,
            choice_tanh_constant=choice_tanh_constant,
            seed=seed,
        )
        # PPO has others. A loss gets the minibatch's rollout, log-probabilities when proposed, and advantages.
        self.loss: Callable[[Rollout, Tensor, Tensor], Tensor] = _minibatch_loss
        self.epochs = 1
        self.moves = True  # False for a replica, which sends its gradients elsewhere
        self.baseline = baseline_start
        self.updates = 0
        self.rewarded: list[float] = []  # of the last minibatch, with the entropy bonus
        self.adam_settings: Mapping[str, Any] = {"lr": learning_rate, "betas": (betas[0], betas[1]), "eps": epsilon}
        self._adam = torch.optim.Adam(self.policy.parameters(), fused=True, **self.adam_settings)
        self._clip, self._entropy_weight, self.baseline_decay = clip, entropy_weight, baseline_decay
        self._skip_weight, self._skip_target = skip_weight, skip_target
        self._pending: list[Trial] = []
        self._figures: dict[str, float] = {}  # of the last update

    @classmethod
    def nas(cls, space: Space, **changes: Any) -> Reinforce:
        """Return a controller with the settings of NAS (Zoph & Le 2017, section 4.1), except for `changes`.

        The decay of NAS's baseline is not published.
        """
        return cls(space, **{**NAS, **changes})

    def ask(self, streams: Sequence[int]) -> list[Proposal]:
        draws = range(DRAWS if self._fresh else 1)
        lanes = [(stream, draw) for stream in streams for draw in draws]
        spaces = [self.space.grown(stream) for stream, _ in lanes]
        seeds = [(self.seed, stream, *([draw] if draw else [])) for stream, draw in lanes]
        kept, tried = None, dict[str, None]()
        if self._experience is not None:
            pairs = zip(spaces, seeds, strict=True)
            kept = [self._experience.near(space, self._around, seed) for space, seed in pairs]
            tried = self._experience.tried
        with one_thread():
            rollout = self.policy.sample(spaces, seeds, kept)
        proposals: dict[int, Proposal] = {}
        drawn = zip(lanes, rollout.architectures, rollout.log_prob.tolist(), strict=True)
        for (stream, _), architecture, log_prob in drawn:
            held = proposals.get(stream)
            if held is None or (held.architecture.id in tried and architecture.id not in tried):
                proposals[stream] = Proposal(stream, architecture, log_prob)
        return list(proposals.values())

    def tell(self, trials: Sequence[Trial]) -> bool:
        self._pending += trials
        complete = len(self._pending) >= self.batch
        while len(self._pending) >= self.batch:
            self._update(self._pending[: self.batch])
            del self._pending[: self.batch]
        return complete

    def remember(self, trials: Sequence[Trial]) -> bool:
        """Take in trials that it did not propose, where it remembers any; return whether it does."""
        if self._experience is not None:
            self._experience.add(trials, _finite(trials))
        return self._experience is not None

    def _update(self, trials: Sequence[Trial]) -> None:
        reported, rewards = [trial.reward for trial in trials], _finite(trials)
        if self._experience is not None:
            self._experience.add(trials, rewards)
        spaces = [self.space.grown(trial.proposal.stream) for trial in trials]
        with one_thread():
            rollout = self.policy.score(spaces, [trial.architecture for trial in trials])
            entropy = rollout.entropy.detach()
            rewarded = torch.tensor(rewards, dtype=entropy.dtype) + self._entropy_weight * entropy
            baseline = float(rewarded.mean()) if self.baseline is None else self.baseline
            advantage = rewarded - baseline
            if self._ranks and self._experience is not None:
                advantage = torch.tensor(self._experience.scores(rewards), dtype=entropy.dtype)
            # Under the policies that proposed, or where unknown under the present one.
            pairs = zip((trial.proposal.log_prob for trial in trials), rollout.log_prob.tolist(), strict=True)
            proposed = torch.tensor([now if then is None else then for then, now in pairs], dtype=entropy.dtype)
            self._step(rollout, proposed, advantage)
            for _ in range(1, self.epochs):
                self._step(self.policy.score(spaces, rollout.architectures), proposed, advantage)
        self.rewarded = rewarded.tolist()
        self.baseline = next_baseline(self.baseline, self.rewarded, self.baseline_decay)
        self.updates += 1
        self._figures = {
            "entropy": float(entropy.sum()) / max(int(rollout.decisions.sum()), 1),
            "reward": sum(rewards) / len(rewards),
            "not_finite": self._figures.get("not_finite", 0.0) + sum(not math.isfinite(reward) for reward in reported),
        }

    def _step(self, rollout: Rollout, proposed: Tensor, advantage: Tensor) -> None:
        loss = self.loss(rollout, proposed, advantage)
        if self._skip_weight > 0:
            loss = loss + self._skip_weight * skip_penalty(rollout.sets, self._skip_target, len(advantage)).mean()
        if not loss.requires_grad:  # nothing was asked
            return
        self.policy.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if self._clip is not None:
            torch.nn.utils.clip_grad_norm_(self.policy.parameters(), self._clip)
        if self.moves:
            self._adam.step()

    def metrics(self) -> Mapping[str, float]:
        """Return `updates`, the count of `not_finite` rewards, and of the last update the mean `entropy` of a decision
        (nats), the mean `reward` and the `baseline` after it."""
        baseline = {} if self.baseline is None else {"baseline": self.baseline}
        return {**self._figures, **baseline, "updates": float(self.updates)}

    def state_dict(self) -> State:
        named = dict(self.policy.named_parameters())
        moments = {name: self._adam.state[parameter] for name, parameter in named.items()}
        return {
            "policy": {name: parameter.detach().clone() for name, parameter in named.items()},
            "adam": {name: {key: value.clone() for key, value in moment.items()} for name, moment in moments.items()},
            "baseline": self.baseline,
            "updates": self.updates,
            "figures": dict(self._figures),
            **({} if self._experience is None else {"experience": self._experience.state_dict()}),
        }

    def load_state_dict(self, state: State) -> None:
        named = dict(self.policy.named_parameters())
        ours = {name: tuple(parameter.shape) for name, parameter in named.items()}
        theirs = {name: tuple(parameter.shape) for name, parameter in state["policy"].items()}
        if ours != theirs:
            raise ConfigError(
                f"the controller's state has parameters of shapes {theirs}, this controller {ours}: "
                "it is of another space, or has other units or layers"
            )
        with torch.no_grad():
            for name, parameter in named.items():
                parameter.copy_(state["policy"][name])
                self._adam.state[parameter] = {key: value.clone() for key, value in state["adam"][name].items()}
        self.baseline, self.updates = state["baseline"], state["updates"]
        self._figures = dict(state["figures"])
        if self._experience is not None:
            self._experience.load_state_dict(state["experience"])
        self._pending = []  # rewards short of a minibatch are reported again
