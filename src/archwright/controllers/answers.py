"""Answers and their probabilities: random answers from one stream per row, and how likely given answers are.

Each row takes numbers from its own stream, so its answers do not depend on the rest of the batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from archwright.architecture import Architecture
from archwright.controllers.programs import Answers, encoded
from archwright.controllers.rollout import Group, Script, Section, padded
from archwright.decisions import Answer, Links
from archwright.space import generator

_BLOCK = 64  # numbers generated at a time; a stream's numbers are the same however they are cut


class Streams:
    """Uniform numbers in [0, 1), one stream per row, taken in order."""

    def __init__(self, seeds: Sequence[int | tuple[int, ...]]) -> None:
        self._generators = [generator(seed) for seed in seeds]
        self._numbers = np.empty((len(seeds), 0))
        self._taken = np.zeros(len(seeds), dtype=np.int64)
        self._most = 0  # no row has taken more

    def take(self, group: Group) -> NDArray[np.float64]:
        """Return a number for each row of the group, [rows, 1]; for sets one for each anchor, then padding."""
        counts = group.sizes if group.kind is Links else None
        width = 1 if counts is None else int(counts.max())
        self._most += width
        while self._most > self._numbers.shape[1]:
            block = np.array([generator.random(_BLOCK) for generator in self._generators])
            self._numbers = np.concatenate([self._numbers, block], axis=1)
        if group.shared:  # all rows answered the same questions and have taken as many
            first = int(self._taken[0])
            self._taken += width
            return self._numbers[:, first : first + width]
        starts = self._taken[group.rows]
        self._taken[group.rows] += 1 if counts is None else counts
        numbers: NDArray[np.float64] = self._numbers[group.rows[:, None], starts[:, None] + np.arange(width)]
        return numbers


def sampled(group: Group, logits: Float[Tensor, "rows options"], streams: Streams) -> Answers:
    """Return a random answer for each row of the group: options by inverting the cumulative distribution."""
    if group.kind is Links:
        chosen: Answers = streams.take(group) < torch.sigmoid(logits).numpy()
        return chosen if group.shared else chosen & (np.arange(logits.shape[1]) < group.sizes[:, None])
    if not group.shared and (group.sizes < logits.shape[1]).any():  # rows may have different numbers of options
        empty = torch.arange(logits.shape[1]) >= torch.from_numpy(group.sizes).unsqueeze(1)
        logits = logits.masked_fill(empty, -torch.inf)
    cumulative = torch.softmax(logits, 1).numpy().cumsum(1, dtype=np.float64)
    picked: Answers = (cumulative[:, :-1] <= streams.take(group) * cumulative[:, -1:]).sum(1)
    return picked if group.shared else np.minimum(picked, group.sizes - 1)  # the product may round up to the total


def overruled(group: Group, answers: Answers, kept: Sequence[Mapping[str, Answer]]) -> Answers:
    """Return the answers, except for rows of `kept` that have one of their own, if it is among the options."""
    for place, (question, row) in enumerate(zip(group.questions, group.rows.tolist(), strict=True)):
        if question.name in kept[row]:
            with suppress(KeyError, ValueError, TypeError):
                own = encoded([question], [kept[row]])[0]
                answers[place] = np.pad(own, (0, answers.shape[1] - len(own))) if group.kind is Links else own
    return answers


@dataclass(frozen=True)
class Sets:
    """The distributions of all `Links` decisions of a rollout: entry i is decision `names[i]` of row `rows[i]`.

    `probabilities` of each anchor, in the order of the decision's `among`; `valid` where there is an anchor.
    """

    names: tuple[str, ...]
    rows: Int[Tensor, " decisions"]
    probabilities: Float[Tensor, "decisions anchors"]
    valid: Bool[Tensor, "decisions anchors"]


@dataclass(frozen=True)
class Rollout:
    """A batch of architectures under a policy. Tensors carry gradients unless they were made under no_grad.

    `log_prob` and `entropy` are summed over each architecture's decisions (in float64: forty float32 terms would lose
    the fifth decimal); the entropy is that of every distribution visited; `decisions` counts them.
    """

    architectures: tuple[Architecture, ...]
    log_prob: Float[Tensor, " batch"]
    entropy: Float[Tensor, " batch"]
    decisions: Int[Tensor, " batch"]
    sets: Sets | None


def option_log_probs(
    logits: Float[Tensor, "decisions options"],
    answers: Int[Tensor, " decisions"],
    valid: Bool[Tensor, "decisions options"],
) -> tuple[Tensor, Tensor]:
    """Return log-probabilities and entropies [decisions] of answers that are one option each, by softmax."""
    log_probs = functional.log_softmax(logits.masked_fill(~valid, -torch.inf), dim=1)
    probabilities = log_probs.exp()
    log_probs = log_probs.masked_fill(~valid, 0)  # 0 * -inf is NaN
    chosen = log_probs.gather(1, answers.unsqueeze(1)).squeeze(1)
    return chosen, -(probabilities * log_probs).sum(1)


def set_log_probs(
    logits: Float[Tensor, "decisions anchors"],
    answers: Bool[Tensor, "decisions anchors"],
    valid: Bool[Tensor, "decisions anchors"],
) -> tuple[Tensor, Tensor]:
    """Return the same for sets: independent Bernoulli terms, summed (Zoph & Le 2017, section 3.3)."""
    softplus = functional.softplus(logits)
    log_prob = answers * logits - softplus
    entropy = softplus - torch.sigmoid(logits) * logits
    return (log_prob * valid).sum(1), (entropy * valid).sum(1)


def scored(
    script: Script,
    architectures: Sequence[Architecture],
    logits: Mapping[Section, Float[Tensor, "decisions options"]],
) -> Rollout:
    """Score a script's architectures, given the logits of every section's decisions, in order, padded to one width."""
    log_prob, entropy = (torch.zeros(len(architectures), dtype=torch.float64) for _ in range(2))
    sets = None
    for section, decided in script.sections().items():
        _, groups, answers = zip(*decided, strict=True)
        rows = torch.from_numpy(np.concatenate([group.rows for group in groups]))
        sizes = torch.from_numpy(np.concatenate([group.sizes for group in groups]))
        scores = logits[section]
        valid = torch.arange(scores.shape[1]) < sizes.unsqueeze(1)
        if section[0] is Links:
            found = set_log_probs(scores, torch.from_numpy(padded(answers)), valid)
            names = tuple([question.name for group in groups for question in group.questions])
            sets = Sets(names, rows, torch.sigmoid(scores), valid)
        else:
            found = option_log_probs(scores, torch.from_numpy(np.concatenate(answers)), valid)
        log_prob = log_prob.index_add(0, rows, found[0].double())
        entropy = entropy.index_add(0, rows, found[1].double())
    return Rollout(tuple(architectures), log_prob, entropy, torch.tensor(script.decisions()), sets)
