"""The recurrent cells of NAS, ENAS and DARTS as values that can be run. Exported models contain this source."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


def activate(name: str, x: Tensor) -> Tensor:
    """Apply "identity", "tanh", "sigmoid" or "relu"."""
    made: Tensor = x if name == "identity" else getattr(torch, name)(x)
    return made


class Node(NamedTuple):
    """A node of the tree: joins two values ("add" or "elem_mult"), then activates the result."""

    combine: str
    activation: str

    def join(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the value before the activation."""
        return a + b if self.combine == "add" else a * b


class Tree(NamedTuple):
    """NAS's cell (Zoph & Le 2017, section 3.4): `nodes` are the leaves, then the inner ones; the root's output is h(t).

    `inject` joins c(t-1) to the output of node `second`; c(t) is what node `first` has before its activation.
    """

    nodes: tuple[Node, ...]
    inject: Node
    first: int
    second: int

    @property
    def leaves(self) -> int:
        """The base: the number of nodes that read x and h."""
        return (len(self.nodes) + 1) // 2

    def step(self, x: Sequence[Tensor], h: Sequence[Tensor], c: Tensor) -> tuple[Tensor, Tensor]:
        """Return h and c after a step, from each leaf's products with x and with h, and c of the step before."""
        outputs: list[Tensor] = []
        new_c = c
        for index, node in enumerate(self.nodes):
            child = 2 * (index - self.leaves)
            left, right = (x[index], h[index]) if child < 0 else outputs[child : child + 2]
            joined = node.join(left, right)
            output = activate(node.activation, joined)
            if index == self.first:
                new_c = joined
            if index == self.second:
                output = activate(self.inject.activation, self.inject.join(output, c))
            outputs.append(output)
        return outputs[-1], new_c


def highway(before: Tensor, product: Tensor, activation: str) -> Tensor:
    """Return a node that reads `before`, whose matrix gives `product`: gate g and value v (Zilly et al. 2017).

    That is sigmoid(g) * activation(v) + (1 - sigmoid(g)) * before.
    """
    gate, value = product.to(before.dtype).chunk(2, -1)  # where matrices are read more coarsely than states
    return torch.lerp(before, activate(activation, value), torch.sigmoid(gate))


class Chain(NamedTuple):
    """ENAS's cell (Pham et al. 2018, section 2.1): nodes in a chain of highway connections.

    Nodes count from 1; node 1 reads x(t) and h(t-1).

    `sources[i]` is the node that node i + 2 reads, by `highway`; node 1 reads h(t-1) so. The mean of the nodes
    `averaged` is h(t).
    """

    sources: tuple[int, ...]
    activations: tuple[str, ...]
    averaged: tuple[int, ...]

    def step(self, first: Tensor, h: Tensor, weights: Sequence[Tensor]) -> Tensor:
        """Return h after a step, from node 1's product with x and h, h of the step before, and the other matrices."""
        nodes = [h]
        for index, activation in enumerate(self.activations):
            before = nodes[self.sources[index - 1] if index else 0]
            nodes.append(highway(before, before @ weights[index - 1] if index else first, activation))
        return torch.stack([nodes[node] for node in self.averaged]).mean(0)


def loose_ends(sources: Sequence[int]) -> tuple[int, ...]:
    """Return the nodes that no other node reads."""
    return tuple(node for node in range(1, len(sources) + 2) if node not in sources)
