"""ENAS's recurrent cell (Pham et al. 2018, section 2.1): nodes in a chain of highway connections, written out.

Node 1 reads x(t) and h(t-1), node l one earlier node. A node with input p, whose matrix gives gate g and value v, is
sigmoid(g) * activation(v) + (1 - sigmoid(g)) * p; of node 1, p is h(t-1). h(t) is the mean of some of the nodes.

The derivative is written out too: the gradient of every matrix is then one product for all steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from archwright.errors import SpaceError
from archwright.nets.activations import ACTIVATIONS
from archwright.nets.recurrent import RecurrentCell, State
from archwright.space import Architecture

EPSILON = 1e-5  # of the normalisation, as BatchNorm's


@dataclass(frozen=True)
class Chain:
    """`sources[i]` is what node i + 2 reads (nodes count from 1), `activations` are those of all nodes, and h is the
    mean of the nodes in `averaged`."""

    sources: tuple[int, ...]
    activations: tuple[str, ...]
    averaged: tuple[int, ...]


def loose_ends(sources: Sequence[int]) -> tuple[int, ...]:
    """The nodes that no other node reads."""
    return tuple(node for node in range(1, len(sources) + 2) if node not in sources)


class HighwaySequence(torch.autograd.Function):
    """The outputs [time, batch, units] of a chain over a sequence."""

    @staticmethod
    def forward(
        ctx: Any,
        chain: Chain,
        normalised: bool,
        mask: Float[Tensor, "batch units"] | None,
        products: Float[Tensor, "time batch twice_units"],
        h: Float[Tensor, "batch units"],
        hidden: Float[Tensor, "units twice_units"],
        *weights: Float[Tensor, "units twice_units"],
    ) -> Tensor:
        """`products`: of x with the input matrix; `hidden` is node 1's matrix for h, `weights` those of the others.
        `normalised`: h is brought to mean 0 and variance 1 over the batch."""
        ctx.chain, ctx.normalised, ctx.mask, ctx.matrices = chain, normalised, mask, (hidden, *weights)
        ctx.reads, ctx.steps = [[] for _ in range(len(weights) + 1)], []
        activations = [ACTIVATIONS[name].forward for name in chain.activations]
        outputs = []
        for x in products.unbind(0):
            read = h if mask is None else h * mask
            ctx.reads[0].append(read)
            nodes, gates, values = [h], [], []
            for index, (matrix, activation) in enumerate(zip(ctx.matrices, activations, strict=True)):
                if index == 0:
                    before, made = h, torch.addmm(x, read, matrix)
                else:
                    before = nodes[chain.sources[index - 1]]
                    ctx.reads[index].append(before)
                    made = before @ matrix
                gate, value = made.chunk(2, 1)
                gates.append(torch.sigmoid(gate))
                values.append(activation(value))
                nodes.append(torch.lerp(before, values[-1], gates[-1]))
            h = torch.stack([nodes[node] for node in chain.averaged]).mean(0)
            spread = None
            if normalised:
                variance, mean = torch.var_mean(h, 0, correction=0)
                spread = torch.rsqrt(variance + EPSILON)
                h = (h - mean) * spread
            outputs.append(h)
            ctx.steps.append((nodes, gates, values, h, spread))
        return torch.stack(outputs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, outputs: Tensor) -> tuple[Tensor | None, ...]:
        """Back through the steps, then one product for each matrix."""
        chain, matrices = ctx.chain, ctx.matrices
        time, batch, units = outputs.shape
        made = [outputs.new_empty(time, batch, 2 * units) for _ in matrices]
        transposed = [matrix.t() for matrix in matrices]
        backward = [ACTIVATIONS[name].backward for name in chain.activations]
        h = torch.zeros_like(outputs[0])
        for step in range(time - 1, -1, -1):
            nodes, gates, values, output, spread = ctx.steps[step]
            h = h + outputs[step]
            if ctx.normalised:
                h = (h - h.mean(0) - output * (h * output).mean(0)) * spread
            h = h / len(chain.averaged)
            gradients: list[Any] = [None] * len(nodes)
            for node in chain.averaged:
                gradients[node] = h
            for index in range(len(matrices) - 1, -1, -1):
                gradient = gradients[index + 1]
                source = 0 if index == 0 else chain.sources[index - 1]
                of_value = gradient * gates[index]
                part = made[index][step]
                part[:, units:] = backward[index](of_value, values[index])
                part[:, :units] = torch.ops.aten.sigmoid_backward(
                    gradient * (values[index] - nodes[source]), gates[index]
                )
                passed = gradient - of_value
                through = part @ transposed[index]
                if index == 0 and ctx.mask is not None:
                    through = through * ctx.mask
                passed = passed + through
                gradients[source] = passed if gradients[source] is None else gradients[source] + passed
            h = gradients[0]
        weights = [
            torch.cat(reads).t() @ gradient.view(time * batch, -1)
            for reads, gradient in zip(ctx.reads, made, strict=True)
        ]
        return None, None, None, made[0], h, *weights


class HighwayCell(RecurrentCell):
    """The cell of a chain, or of all chains of `nodes` nodes: then its matrices are shared.

    One matrix pair for each ordered pair of nodes that is open (section 2.1), `pairs` of (node, source). `normalised`:
    h is normalised over the batch at every step, in evaluation too: it steadies shared weights, and a delivered model
    goes without (ENAS). `fixed` is a child's chain, `wire` reads an architecture's.
    """

    states = 1

    def __init__(
        self,
        pairs: Sequence[tuple[int, int]],
        fixed: Chain | None,
        wire: Callable[[Architecture], Chain],
        inputs: int,
        units: int,
        *,
        normalised: bool,
    ) -> None:
        super().__init__()
        self.units, self.normalised = units, normalised
        self.fixed, self._wire = fixed, wire
        self.input = nn.Parameter(torch.empty(inputs, 2 * units))
        self.hidden = nn.Parameter(torch.empty(units, 2 * units))
        self.weights = nn.ParameterDict({_key(*pair): nn.Parameter(torch.empty(units, 2 * units)) for pair in pairs})

    def forward(
        self,
        x: Float[Tensor, "time batch inputs"],
        state: State,
        mask: Float[Tensor, "batch units"] | None = None,
        architecture: Architecture | None = None,
    ) -> tuple[Tensor, State]:
        """See `RecurrentCell`. A child uses its own chain."""
        if self.fixed is None and architecture is None:
            raise SpaceError("a cell with shared weights needs an architecture to run")
        chain = self.fixed if self.fixed is not None else self._wire(architecture)  # type: ignore[arg-type]
        weights = [self.weights[_key(node, source)] for node, source in enumerate(chain.sources, start=2)]
        products = x @ self.input
        with torch.autocast(x.device.type, enabled=False):  # the steps keep one precision, that of the weights
            given = products.to(self.hidden.dtype), *state, self.hidden, *weights
            outputs = HighwaySequence.apply(chain, self.normalised, mask, *given)  # type: ignore[no-untyped-call]
        return outputs, (outputs[-1],)


def _key(node: int, source: int) -> str:
    return f"{node}_{source}"
