"""The policy written down again from its description, one question at a time, for the tests to compare with."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from archwright.controllers.policy import Policy, bounded
from archwright.space import Architecture, Choice, Link, Links, Space, Walk


@torch.no_grad()
def plain(policy: Policy, space: Space, architecture: Architecture) -> tuple[float, float]:
    """Log-probability of an architecture, and the entropy of its decisions."""
    units = len(policy.start)
    h = [torch.zeros(units) for _ in policy.lstm]
    c = [torch.zeros(units) for _ in policy.lstm]
    x: Tensor = policy.start
    values: dict[str, Tensor] = {}
    keys: dict[str, Tensor] = {}
    log_prob = entropy = 0.0
    walk = Walk(space)
    while (question := walk.question) is not None:
        below = x
        for layer, weights in enumerate(policy.lstm):
            bias = 0 if policy.lstm_bias is None else policy.lstm_bias[layer]
            o, i, f, g = (torch.cat([below, h[layer]]) @ weights + bias).chunk(4)
            c[layer] = torch.sigmoid(f) * c[layer] + torch.sigmoid(i) * torch.tanh(g)
            below = h[layer] = torch.sigmoid(o) * torch.tanh(c[layer])
        state = h[-1]
        x = policy.start
        answer = dict(architecture.answers).get(question.name)
        if isinstance(question, Choice):
            rows = policy.inputs.options[question.vocabulary]
            picked = question.options.index(answer)
            log_probs = torch.log_softmax(
                bounded(policy.head[rows] @ state, policy._temperature, policy._choice_constant), 0
            )
            x = policy.embedding[rows.start + picked]
        elif isinstance(question, Link):
            picked = question.among.index(answer)
            log_probs = torch.log_softmax(scores(policy, state, [keys[name] for name in question.among]), 0)
            x = values[question.among[picked]]
        elif isinstance(question, Links) and question.among:
            for name, score in zip(
                question.among, scores(policy, state, [keys[name] for name in question.among]), strict=True
            ):
                p = float(torch.sigmoid(score))
                log_prob += math.log(p if name in answer else 1 - p)
                entropy -= p * math.log(p) + (1 - p) * math.log(1 - p)
            x = sum([values[name] for name in answer], torch.zeros(units)) / (1 + len(answer))
        if isinstance(question, (Choice, Link)):
            log_prob += float(log_probs[picked])
            entropy -= float((log_probs.exp() * log_probs).sum())
        elif (anchor := question.anchor if isinstance(question, Links) else question.name) is not None:
            given = not isinstance(question, Links) and question.given
            values[anchor] = torch.zeros(units) if given else state
            keys[anchor] = state @ policy.attention.previous
        walk.send(answer)
    return log_prob, entropy


def scores(policy: Policy, state: Tensor, keys: Sequence[Tensor]) -> Tensor:
    query = state @ policy.attention.current
    logits = torch.stack([policy.attention.score @ torch.tanh(key + query) for key in keys])
    return bounded(logits, policy._temperature, policy._link_constant)
