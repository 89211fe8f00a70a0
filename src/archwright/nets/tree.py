"""The tree of NAS's recurrent cells (Zoph & Le 2017, section 3.4) as a value, and a whole sequence of it.

The sequence has its derivative written out. A step of a cell is some forty operations on small tensors, and autograd's
bookkeeping costs several times what they do; besides, the gradient of the matrix is one product for all steps this way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from archwright.nets.activations import ACTIVATIONS


@dataclass(frozen=True)
class Node:
    """A node of the tree: what joins its two values ("add", "elem_mult"), and what the sum or product goes through."""

    combine: str
    activation: str

    def __call__(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        """The value before the activation, and after it."""
        joined = a + b if self.combine == "add" else a * b
        return joined, ACTIVATIONS[self.activation].forward(joined)

    def backward(self, gradient: Tensor, output: Tensor) -> Tensor:
        """The gradient of the joined value."""
        return ACTIVATIONS[self.activation].backward(gradient, output)

    def split(self, gradient: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        """The gradients of the two values, from that of the joined one."""
        return (gradient, gradient) if self.combine == "add" else (gradient * b, gradient * a)


@dataclass(frozen=True)
class Tree:
    """`nodes`: leaves first, then the inner ones up to the root; `inject` joins c(t-1) to the output of node `second`;
    c(t) is what node `first` has before its activation."""

    nodes: tuple[Node, ...]
    inject: Node
    first: int
    second: int

    @property
    def leaves(self) -> int:
        """The base: how many nodes read x and h."""
        return (len(self.nodes) + 1) // 2

    def step(self, x: Sequence[Tensor], h: Sequence[Tensor], c: Tensor) -> Step:
        """One step (Figure 5 of the paper) from what each leaf has of x and of h, and c of the step before."""
        outputs: list[Tensor] = []
        new_c, before_inject = c, c
        leaves = self.leaves
        for index, node in enumerate(self.nodes):
            if index < leaves:
                joined, output = node(x[index], h[index])
            else:
                child = 2 * (index - leaves)
                joined, output = node(outputs[child], outputs[child + 1])
            if index == self.second:
                before_inject = output
                output = self.inject(output, c)[1]
            if index == self.first:
                new_c = joined
            outputs.append(output)
        return Step(tuple(x), tuple(h), c, tuple(outputs), before_inject, new_c)

    def backward(self, step: Step, h: Tensor, c: Tensor, x_gradient: Tensor, h_gradient: Tensor) -> Tensor:
        """From the gradients of the step's h and c: that of c of the step before. Those of what the leaves have of x
        and of h are written into [batch, leaves, units]."""
        gradients: list[Any] = [None] * len(self.nodes)
        gradients[-1] = h
        before: Tensor | None = None
        leaves = self.leaves
        for index in range(len(self.nodes) - 1, -1, -1):
            node, gradient, output = self.nodes[index], gradients[index], step.outputs[index]
            if index == self.second:
                injected = self.inject.backward(gradient, output)
                output = step.before_inject
                gradient, before = self.inject.split(injected, output, step.c)
            gradient = node.backward(gradient, output)
            if index == self.first:
                gradient = gradient + c
            if index < leaves:
                of_x, of_h = node.split(gradient, step.x[index], step.h[index])
                x_gradient[:, index] = of_x
                h_gradient[:, index] = of_h
            else:
                child = 2 * (index - leaves)
                a, b = step.outputs[child], step.outputs[child + 1]
                gradients[child], gradients[child + 1] = node.split(gradient, a, b)
        assert before is not None
        return before


@dataclass(frozen=True)
class Step:
    """Everything that a step of the tree read and made. h is the last output, `new_c` the new c."""

    x: tuple[Tensor, ...]
    h: tuple[Tensor, ...]
    c: Tensor
    outputs: tuple[Tensor, ...]
    before_inject: Tensor
    new_c: Tensor


class TreeSequence(torch.autograd.Function):
    """(outputs [time, batch, units], c at the end) of a tree over a sequence."""

    @staticmethod
    def forward(
        ctx: Any,
        tree: Tree,
        products: Float[Tensor, "time batch leaves units"],
        hidden: Float[Tensor, "units leaves_units"],
        h: Float[Tensor, "batch units"],
        c: Float[Tensor, "batch units"],
        mask: Float[Tensor, "batch units"] | None,
    ) -> tuple[Tensor, Tensor]:
        """`products`: of x with the input matrix; `mask` multiplies h wherever the hidden matrix reads it."""
        ctx.tree, ctx.mask, ctx.weight = tree, mask, hidden
        ctx.read, ctx.steps = [], []
        shape = products.shape[1:]
        for x in products.unbind(0):
            read = h if mask is None else h * mask
            step = tree.step(x.unbind(1), (read @ hidden).view(shape).unbind(1), c)
            h, c = step.outputs[-1], step.new_c
            ctx.read.append(read)
            ctx.steps.append(step)
        return torch.stack([step.outputs[-1] for step in ctx.steps]), c.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, outputs: Tensor, c: Tensor) -> tuple[Tensor | None, ...]:
        """Back through the steps, then one product for the matrix."""
        time, batch, units = outputs.shape
        leaves = ctx.tree.leaves
        x_gradients = outputs.new_empty(time, batch, leaves, units)
        h_gradients = torch.empty_like(x_gradients)
        transposed = ctx.weight.t()
        h = torch.zeros_like(outputs[0])
        for index in range(time - 1, -1, -1):
            c = ctx.tree.backward(ctx.steps[index], h + outputs[index], c, x_gradients[index], h_gradients[index])
            h = h_gradients[index].view(batch, -1) @ transposed
            if ctx.mask is not None:
                h = h * ctx.mask
        weight = torch.cat(ctx.read).t() @ h_gradients.view(time * batch, -1)
        return None, x_gradients, weight, h, c, None
