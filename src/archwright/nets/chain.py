"""ENAS's recurrent cell (Pham et al. 2018, section 2.1) as a value. Exported models contain this source."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from archwright.nets.activations import activate


class Chain(NamedTuple):
    """A cell: nodes in a chain of highway connections. Nodes count from 1; node 1 reads x(t) and h(t-1).

    `sources[i]` is the node that node i + 2 reads. A node with input p, whose matrix gives gate g and value v, is
    sigmoid(g) * activation(v) + (1 - sigmoid(g)) * p; node 1's p is h(t-1). The mean of the nodes `averaged` is h(t).
    """

    sources: tuple[int, ...]
    activations: tuple[str, ...]
    averaged: tuple[int, ...]

    def step(self, first: Tensor, h: Tensor, weights: Sequence[Tensor]) -> Tensor:
        """Return h after a step, from node 1's product with x and h, h of the step before, and the other matrices."""
        nodes = [h]
        for index, activation in enumerate(self.activations):
            before = nodes[self.sources[index - 1] if index else 0]
            gate, value = (before @ weights[index - 1] if index else first).chunk(2, 1)
            nodes.append(torch.lerp(before, activate(activation, value), torch.sigmoid(gate)))
        return torch.stack([nodes[node] for node in self.averaged]).mean(0)


def loose_ends(sources: Sequence[int]) -> tuple[int, ...]:
    """Return the nodes that no other node reads."""
    return tuple(node for node in range(1, len(sources) + 2) if node not in sources)
