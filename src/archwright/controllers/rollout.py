"""What a policy says of given architectures: how likely their answers were, and how open the decisions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from archwright.architecture import Architecture
from archwright.controllers.lockstep import Script, Section, padded
from archwright.decisions import Links


@dataclass(frozen=True)
class Sets:
    """The distributions of all `Links` decisions of a rollout: row i is decision `names[i]` of lane `lanes[i]`.

    `probabilities` that each anchor is in, in the order of the decision's `among`; `valid` where there is an anchor.
    """

    names: tuple[str, ...]
    lanes: Int[Tensor, " rows"]
    probabilities: Float[Tensor, "rows anchors"]
    valid: Bool[Tensor, "rows anchors"]


@dataclass(frozen=True)
class Rollout:
    """What the policy says of a batch of architectures. Tensors carry gradients unless they were made under no_grad.

    `log_prob` and `entropy` are summed over each architecture's decisions (in float64: forty float32 terms would lose
    the fifth decimal), the entropy being that of every distribution visited; `decisions` counts them.
    """

    architectures: tuple[Architecture, ...]
    log_prob: Float[Tensor, " batch"]
    entropy: Float[Tensor, " batch"]
    decisions: Int[Tensor, " batch"]
    sets: Sets | None


@dataclass(frozen=True)
class Judgement:
    """Log-probabilities of answers of some lanes, and the entropies of the distributions that they come from."""

    log_prob: Float[Tensor, " rows"]
    entropy: Float[Tensor, " rows"]


def hide(logits: Float[Tensor, "rows options"], valid: Bool[Tensor, "rows options"]) -> Float[Tensor, "rows options"]:
    """Logits of minus infinity where there is no option."""
    return logits.masked_fill(~valid, -torch.inf)


def judge_one(
    logits: Float[Tensor, "rows options"], answers: Int[Tensor, " rows"], valid: Bool[Tensor, "rows options"]
) -> Judgement:
    """Answers that are one option each, of a softmax over the valid ones."""
    log_probs = functional.log_softmax(hide(logits, valid), dim=1)
    probabilities = log_probs.exp()
    log_probs = log_probs.masked_fill(~valid, 0)  # 0 * -inf is NaN
    chosen = log_probs.gather(1, answers.unsqueeze(1)).squeeze(1)
    return Judgement(chosen, -(probabilities * log_probs).sum(1))


def judge_set(
    logits: Float[Tensor, "rows anchors"], answers: Bool[Tensor, "rows anchors"], valid: Bool[Tensor, "rows anchors"]
) -> Judgement:
    """Answers that are a set each: independent Bernoulli terms, summed (Zoph & Le 2017, section 3.3)."""
    softplus = functional.softplus(logits)
    log_prob = answers * logits - softplus
    entropy = softplus - torch.sigmoid(logits) * logits
    return Judgement((log_prob * valid).sum(1), (entropy * valid).sum(1))


def judge(script: Script, logits: Mapping[Section, Float[Tensor, "rows options"]]) -> Rollout:
    """The rollout of a script, given the logits of every section's decisions, in order and padded to one width."""
    batch = len(script.architectures)
    log_prob, entropy = (torch.zeros(batch, dtype=torch.float64) for _ in range(2))
    decisions = torch.zeros(batch, dtype=torch.int64)
    sets = None
    for section, decided in script.sections().items():
        groups = [group for _, group, _ in decided]
        lanes = torch.from_numpy(np.concatenate([group.lanes for group in groups]))
        sizes = torch.from_numpy(np.concatenate([group.sizes for group in groups]))
        scores = logits[section]
        valid = torch.arange(scores.shape[1]) < sizes.unsqueeze(1)
        answers = [answer for _, _, answer in decided]
        if section[0] is Links:
            judgement = judge_set(scores, torch.from_numpy(padded(answers)), valid)
            names = tuple([question.name for group in groups for question in group.questions])
            sets = Sets(names, lanes, torch.sigmoid(scores), valid)
        else:
            judgement = judge_one(scores, torch.from_numpy(np.concatenate(answers)), valid)
        log_prob = log_prob.index_add(0, lanes, judgement.log_prob.double())
        entropy = entropy.index_add(0, lanes, judgement.entropy.double())
        decisions += torch.bincount(lanes, minlength=batch)
    return Rollout(script.architectures, log_prob, entropy, decisions, sets)
