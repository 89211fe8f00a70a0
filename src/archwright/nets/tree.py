"""The tree of NAS's recurrent cells (Zoph & Le 2017, section 3.4) as a value. Exported models contain this source."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from archwright.nets.activations import activate


class Node(NamedTuple):
    """A node of the tree: joins two values ("add" or "elem_mult"), then activates the result."""

    combine: str
    activation: str

    def join(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the value before the activation."""
        return a + b if self.combine == "add" else a * b


class Tree(NamedTuple):
    """A cell: `nodes` are the leaves, then the inner nodes up to the root, whose output is h(t).

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
