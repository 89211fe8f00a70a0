"""The LSTM over a whole script, with a backward pass written by hand.

Automatic differentiation of some fifty small dependent steps spends most of its time on bookkeeping. Here the backward
pass leaves all that does not depend on the following step to a few large operations: the derivatives of the
activations before it, the gradients of the weights after it (benchmarks/controller.py has the figures).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from archwright.controllers.lockstep import Step
from archwright.controllers.recurrence import Layer, Weights, advance, give_back, take_in


def run(
    table: Float[Tensor, "rows gates"],
    steps: Sequence[Step],
    lstm: Float[Tensor, "layers two_units gates"],
    bias: Float[Tensor, "layers gates"] | None = None,
) -> Float[Tensor, "steps batch units"]:
    """The top layer's hidden state at every step of a script, from states of zero; differentiable once.

    `table`: the input table without anchors, already multiplied by the bottom layer's input weights.
    """
    hidden: Tensor = _Run.apply(table, steps, lstm, bias)  # type: ignore[no-untyped-call]
    return hidden


class _Run(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, table: Tensor, steps: Sequence[Step], lstm: Tensor, bias: Tensor | None) -> Tensor:
        weights, first, batch = Weights(lstm, bias), len(table), len(steps[0].rows)
        layers = [Layer(lstm, len(steps), batch, weights.units) for _ in lstm]
        anchors = sum(step.anchor is not None for step in steps)
        table = torch.cat([table, table.new_empty(anchors * batch, table.shape[1])])
        before = None
        for step, *now in zip(steps, *(layer.moments for layer in layers), strict=True):
            take_in(now[0].gates, table, step)
            hidden = advance(weights, now, before)
            if step.anchor is not None:
                at = first + step.anchor * batch
                torch.mm(hidden, weights.inputs[0], out=table[at : at + batch])
            before = now
        ctx.layers, ctx.steps, ctx.first = layers, steps, first
        ctx.save_for_backward(lstm, bias)
        return layers[-1].hidden.detach()  # not the recorded tensor itself, which would then refer to this node

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        weights = Weights(*ctx.saved_tensors)
        layers: list[Layer] = ctx.layers
        anchored = [t for t, step in enumerate(ctx.steps) if step.anchor is not None]
        of_hidden = [torch.zeros_like(gradient) for _ in layers[1:]] + [gradient.clone()]
        of_gates = [torch.empty_like(layer.gates) for layer in layers]
        of_table = gradient.new_zeros(ctx.first + len(anchored) * gradient.shape[1], 4 * weights.units)
        _through_time(weights, layers, ctx.steps, ctx.first, of_hidden, of_gates, of_table)
        of_lstm = torch.empty_like(ctx.saved_tensors[0])
        for index, (layer, gates) in enumerate(zip(layers, of_gates, strict=True)):
            of_inputs, of_states = of_lstm[index].chunk(2)
            if index:
                _product(layers[index - 1].hidden, gates, out=of_inputs)
            else:  # here those of the anchors; the fixed rows of the table were multiplied outside
                _product(layers[-1].hidden[anchored], of_table[ctx.first :], out=of_inputs)
            _product(layer.hidden[:-1], gates[1:], out=of_states)
        of_bias = torch.stack([gates.sum((0, 1)) for gates in of_gates]) if weights.bias is not None else None
        return of_table[: ctx.first], None, of_lstm, of_bias


def _product(states: Tensor, gates: Tensor, out: Tensor) -> None:
    """The gradient of a weight between states and gates, summed over steps and lanes."""
    torch.mm(states.reshape(-1, states.shape[-1]).t(), gates.reshape(-1, gates.shape[-1]), out=out)


def _through_time(
    weights: Weights,
    layers: Sequence[Layer],
    steps: Sequence[Step],
    first: int,
    of_hidden: Sequence[Tensor],
    of_gates: Sequence[Tensor],
    of_table: Tensor,
) -> None:
    """Carry the gradients of the hidden states from the last step to the first, and fill in those of gates and table.

    `first`: the table's first anchor row. What is fed comes from earlier steps, so when a step's turn comes, its own
    gradients are complete.
    """
    units, batch = weights.units, of_hidden[0].shape[1]
    moments = []
    for layer, hidden, gates in zip(layers, of_hidden, of_gates, strict=True):
        of_o, of_ifg = gates[:, :, :units], gates[:, :, units:].view(len(steps), batch, 3, units)
        views = (hidden, gates, of_o, of_ifg, *_slopes(layer), layer.parts[2])
        moments.append(list(zip(*(view.unbind(0) for view in views), strict=True)))
    of_cells = [torch.zeros_like(of_hidden[0][0]) for _ in layers]
    into_inputs = [weight.t() for weight in weights.inputs]
    into_hidden = [weight.t() for weight in weights.hidden]
    for t in range(len(steps) - 1, -1, -1):
        anchor = steps[t].anchor
        if anchor is not None:
            at = first + anchor * batch
            of_hidden[-1][t].addmm_(of_table[at : at + batch], into_inputs[0])
        for depth in range(len(layers) - 1, -1, -1):
            hidden, gates, of_o, of_ifg, through_cell, through_o, through_ifg, f = moments[depth][t]
            cell = of_cells[depth].addcmul_(hidden, through_cell)
            torch.mul(hidden, through_o, out=of_o)
            torch.mul(cell.unsqueeze(1), through_ifg, out=of_ifg)
            cell.mul_(f)
            if t:
                moments[depth][t - 1][0].addmm_(gates, into_hidden[depth])
            if depth:
                moments[depth - 1][t][0].addmm_(gates, into_inputs[depth])
        give_back(of_gates[0][t], of_table, steps[t])


def _slopes(layer: Layer) -> tuple[Tensor, Tensor, Tensor]:
    """Derivatives that no later step changes: of h by c, of h by the sum in o, of c by the sums in i, f and g."""
    o, i, f, g = layer.parts
    before = torch.cat([torch.zeros_like(layer.cells[:1]), layer.cells[:-1]])
    through_ifg = torch.stack([g * i * (1 - i), before * f * (1 - f), i * (1 - g * g)], dim=2)
    return o * (1 - layer.squashed * layer.squashed), layer.squashed * o * (1 - o), through_ifg
