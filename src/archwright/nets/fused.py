"""Operations of several edges that read one state, in few calls: what a mixture costs most (DARTS: Liu et al. 2019).

The depthwise convolutions of one kind are one convolution. BatchNorm without scale and the weighted sum after a
pointwise convolution W are linear for given statistics, and these follow from the mean m and the covariance C of what W
reads: W m and diag(W C W'). So both become a part of the matrix, the sum over operations happens inside the products,
and the output of no operation is ever in memory. Backward passes are written out: they need what W reads alone.

Rows are maps with channels innermost, as matrices [pixels of the batch, channels].
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd import Function

from archwright.nets.feature_map import FeatureMap, apply
from archwright.nets.mixture import NONE, MixedOperation
from archwright.nets.ops import Separable

FEW = 4096  # rows, up to which a covariance is that of centred rows: rounding counts there
Rows = Float[Tensor, "pixels edges channels"]


def mixed_together(
    edges: Sequence[MixedOperation], features: FeatureMap, weights: Sequence[Float[Tensor, " options"]]
) -> list[Float[Tensor, "batch channels height width"]]:
    """Return the weighted sums of edges that read one state: what each returns alone, in fewer calls."""
    first, kinds = edges[0], dict[str, list[Any]]()
    for name in first.names:
        if name != NONE:
            kinds[name] = [edge.operations[name] for edge in edges]
    joint = [name for name, operations in kinds.items() if fuses(operations)]
    if not joint:
        return [edge(features, own) for edge, own in zip(edges, weights, strict=True)]
    read, rest = first.divided(features)
    gains = dict(zip(first.names, torch.stack(list(weights), 1), strict=True))
    x = repeated(read.relu(), len(edges))
    maps, matrices = zip(*[until_last(kinds[name], x) for name in joint], strict=True)
    rows = [rows_of(made, len(edges)) for made in maps]
    alike = [name for name in kinds if name not in joint and first.shares(name)]
    basis = rows[0].new_empty(0, len(rows[0]), matrices[0].shape[1])
    if alike:
        basis = torch.stack([rows_of(first.output(name, read), 1).squeeze(1).to(basis.dtype) for name in alike])
    of_alike, of_joint = (
        torch.stack([gains[name] for name in names], 1) if names else basis.new_empty(len(edges), 0)
        for names in (alike, joint)
    )
    epsilons = tuple(_epsilon(kinds[name][0], kinds[name][0].repeats - 1) for name in joint)
    sums = MixedPointwise.apply(epsilons, of_alike, of_joint, basis, *rows, *matrices)  # type: ignore[no-untyped-call]
    made = [maps_of(own, maps[0]) for own in sums]
    for name in kinds:
        if name not in joint and name not in alike:
            terms = zip(gains[name], kinds[name], strict=True)
            made = [own + gain * apply(op, read) for own, (gain, op) in zip(made, terms, strict=True)]
    return [edge.joined(own, rest) for edge, own in zip(edges, made, strict=True)]


def fuses(operations: Sequence[nn.Module]) -> bool:
    """Return whether operations are separable convolutions whose norms have no scale and the batch's statistics."""
    norms = [module for op in operations for module in op.modules() if isinstance(module, nn.BatchNorm2d)]
    plain = not any(norm.affine or norm.track_running_stats for norm in norms)
    return plain and all(isinstance(op, Separable) for op in operations)


def rows_of(maps: Float[Tensor, "batch edges_channels height width"], edges: int) -> Rows:
    """Return maps as rows, their channels divided among `edges`; no copy where channels are innermost."""
    innermost = maps.contiguous(memory_format=torch.channels_last).permute(0, 2, 3, 1)
    return innermost.reshape(-1, edges, maps.shape[1] // edges)


def maps_of(rows: Tensor, like: Tensor) -> Float[Tensor, "batch channels height width"]:
    """Return rows as maps of the batch and the size of `like`."""
    batch, _, height, width = like.shape
    return rows.reshape(batch, height, width, -1).permute(0, 3, 1, 2)


def repeated(maps: Float[Tensor, "batch channels height width"], edges: int) -> Tensor:
    """Return the maps once for each edge, channels innermost."""
    if edges == 1:
        return maps
    return maps_of(rows_of(maps, 1).expand(-1, edges, -1), maps)


def until_last(operations: Sequence[Separable], x: Tensor) -> tuple[Tensor, Float[Tensor, "edges outputs channels"]]:
    """Run separable convolutions, one for each edge, up to the last pointwise one: what it reads, and its weights."""
    edges = len(operations)
    for index in range(operations[0].repeats):
        depthwise = [getattr(op, f"depthwise{index}") for op in operations]
        pointwise = torch.stack([getattr(op, f"pointwise{index}").weight.flatten(1) for op in operations])
        x = depthwise[0].convolve(x, torch.cat([conv.weight for conv in depthwise]), edges)
        if index + 1 < operations[0].repeats:
            epsilon = _epsilon(operations[0], index)
            made = NormedPointwise.apply(rows_of(x, edges), pointwise, epsilon)  # type: ignore[no-untyped-call]
            x = maps_of(made, x)
    return x, pointwise


def _epsilon(operation: nn.Module, index: int) -> float:
    return float(getattr(operation, f"norm{index}").eps)


def folded(
    gains: Float[Tensor, " edges"],
    mean: Float[Tensor, "edges channels"],
    covariance: Float[Tensor, "edges channels channels"],
    weights: Float[Tensor, "edges outputs channels"],
    epsilon: float,
) -> tuple[Float[Tensor, "edges channels outputs"], Float[Tensor, "edges outputs"]]:
    """Return the matrices and biases that stand for pointwise convolution, BatchNorm and multiplication by `gains`."""
    centre = (weights @ mean.unsqueeze(-1)).squeeze(-1)
    variance = ((weights @ covariance) * weights).sum(-1)
    scale = gains[:, None] * torch.rsqrt(variance.clamp_min(0) + epsilon)
    return (weights * scale.unsqueeze(-1)).transpose(1, 2), -centre * scale


def _moments(rows: Rows) -> tuple[Tensor, Tensor]:
    mean = rows.mean(0, dtype=torch.float32 if rows.dtype == torch.bfloat16 else None)
    few = len(rows) <= FEW
    parts = [part.to(mean.dtype) for part in rows.unbind(1)]
    if few:
        parts = [part - own for part, own in zip(parts, mean, strict=True)]
    covariance = torch.stack([part.t() @ part for part in parts]) / len(rows)
    return mean, covariance if few else covariance - mean[:, :, None] * mean[:, None, :]


def _fold_backward(
    inputs: Sequence[Tensor], epsilon: float, d_matrix: Tensor, d_bias: Tensor
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Return the matrices of `folded` again, and the gradients of its inputs."""
    with torch.enable_grad():
        leaves = [value.detach().requires_grad_() for value in inputs]
        gains, mean, covariance, weights = leaves
        matrix, bias = folded(gains, mean, covariance, weights, epsilon)
    gradients = torch.autograd.grad((matrix, bias), leaves, (d_matrix.to(matrix.dtype), d_bias.to(bias.dtype)))
    return matrix.detach(), gradients


def _rows_backward(
    rows: Rows, gradients: Sequence[Tensor], matrix: Tensor, mean: Tensor, d_mean: Tensor, d_covariance: Tensor
) -> Tensor:
    """Return the gradient of rows: through their product with `matrix`, their mean and their covariance."""
    made, count = torch.empty_like(rows), len(rows)
    twice = (d_covariance + d_covariance.transpose(1, 2)) / count
    shift = d_mean / count - (mean.unsqueeze(1) @ twice).squeeze(1)
    back, twice, shift = matrix.transpose(1, 2).to(rows.dtype), twice.to(rows.dtype), shift.to(rows.dtype)
    for edge, gradient in enumerate(gradients):
        part = made[:, edge]
        torch.addmm(shift[edge], gradient, back[edge], out=part)
        part.addmm_(rows[:, edge], twice[edge])
    return made


def _again(function: Callable[..., Any], inputs: Sequence[Any], gradients: Any) -> tuple[Tensor | None, ...]:
    """Return gradients that can be differentiated again, by way of autograd: for the second order of small networks."""
    wanted = [value for value in inputs if isinstance(value, Tensor) and value.requires_grad]
    found = iter(torch.autograd.grad(function(*inputs), wanted, gradients, create_graph=True))
    return tuple(next(found) if isinstance(v, Tensor) and v.requires_grad else None for v in inputs)


def _plain(rows: Rows, weights: Tensor, epsilon: float) -> Tensor:
    made = torch.einsum("pec,eoc->peo", rows, weights)
    variance, mean = torch.var_mean(made, 0, correction=0)
    return (made - mean) * torch.rsqrt(variance + epsilon)


class NormedPointwise(Function):
    """Pointwise convolution, BatchNorm, ReLU of each edge's rows."""

    @staticmethod
    def plain(rows: Rows, weights: Tensor, epsilon: float) -> Tensor:
        return torch.relu(_plain(rows, weights, epsilon))

    @staticmethod
    def forward(ctx: Any, rows: Rows, weights: Tensor, epsilon: float) -> Tensor:
        with torch.autocast(rows.device.type, enabled=False):
            mean, covariance = _moments(rows)
            matrix, bias = folded(mean.new_ones(len(mean)), mean, covariance, weights, epsilon)
        matrix, bias = matrix.to(rows.dtype), bias.to(rows.dtype)
        made = rows.new_empty(len(rows), *bias.shape)
        for edge in range(len(mean)):
            torch.addmm(bias[edge], rows[:, edge], matrix[edge], out=made[:, edge])
        made.relu_()
        ctx.save_for_backward(rows, weights, mean, covariance, made)
        ctx.epsilon = epsilon
        return made

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        rows, weights, mean, covariance, made = ctx.saved_tensors
        if torch.is_grad_enabled():
            return _again(NormedPointwise.plain, (rows, weights, ctx.epsilon), gradient)
        gradient = torch.ops.aten.threshold_backward(gradient.contiguous(), made, 0)
        parts = gradient.unbind(1)
        d_matrix = torch.stack([rows[:, edge].t() @ part for edge, part in enumerate(parts)])
        inputs = (mean.new_ones(len(mean)), mean, covariance, weights)
        matrix, grads = _fold_backward(inputs, ctx.epsilon, d_matrix, gradient.sum(0))
        return _rows_backward(rows, parts, matrix, mean, grads[1], grads[2]), grads[3], None


class MixedPointwise(Function):
    """The weighted sums of edges: of what they share (`basis`), and of pointwise convolution and BatchNorm of rows.

    `shares` and `gains` are the weights of the two, [edges, operations]; `tensors` the rows and weights of each
    operation of the second kind. Returns the sum of each edge, rows.
    """

    @staticmethod
    def plain(
        epsilons: Sequence[float], shares: Tensor, gains: Tensor, basis: Tensor, *tensors: Tensor
    ) -> tuple[Tensor, ...]:
        half = len(tensors) // 2
        sums = torch.einsum("eo,opc->pec", shares, basis)
        for gain, rows, weights, epsilon in zip(gains.t(), tensors[:half], tensors[half:], epsilons, strict=True):
            sums = sums + gain[:, None] * _plain(rows, weights, epsilon)
        return sums.unbind(1)

    @staticmethod
    def forward(
        ctx: Any, epsilons: Sequence[float], shares: Tensor, gains: Tensor, basis: Tensor, *tensors: Tensor
    ) -> tuple[Tensor, ...]:
        half = len(tensors) // 2
        moments, matrices, biases = list[Tensor](), list[Tensor](), list[Tensor]()
        for gain, rows, weights, epsilon in zip(gains.t(), tensors[:half], tensors[half:], epsilons, strict=True):
            with torch.autocast(rows.device.type, enabled=False):
                mean, covariance = _moments(rows)
                matrix, bias = folded(gain.to(mean.dtype), mean, covariance, weights, epsilon)
            moments += [mean, covariance]
            matrices.append(matrix.to(rows.dtype))
            biases.append(bias)
        bias = torch.stack(biases).sum(0).to(tensors[0].dtype)
        sums = tensors[0].new_empty(len(bias), len(tensors[0]), bias.shape[1])
        for edge, made in enumerate(sums):
            torch.addmm(bias[edge], tensors[0][:, edge], matrices[0][edge], out=made)
            for rows, matrix in zip(tensors[1:half], matrices[1:], strict=True):
                made.addmm_(rows[:, edge], matrix[edge])
        sums.flatten(1).addmm_(shares.to(sums.dtype), basis.flatten(1))
        ctx.save_for_backward(shares, gains, basis, *tensors, *moments)
        ctx.epsilons, ctx.half = epsilons, half
        return tuple(sums.unbind(0))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        half = ctx.half
        shares, gains, basis, *tensors = ctx.saved_tensors
        tensors, moments = tensors[: 2 * half], tensors[2 * half :]
        if torch.is_grad_enabled():
            return _again(MixedPointwise.plain, (ctx.epsilons, shares, gains, basis, *tensors), gradients)
        stacked = torch.stack(gradients)
        d_bias, flat = stacked.sum(1), stacked.flatten(1)
        d_shares = (flat @ basis.flatten(1).t()).to(shares.dtype)
        d_basis = (shares.t().to(flat.dtype) @ flat).view_as(basis)
        d_gains, d_rows, d_weights = [], [], []
        for place, (rows, weights) in enumerate(zip(tensors[:half], tensors[half:], strict=True)):
            mean, covariance = moments[2 * place : 2 * place + 2]
            d_matrix = torch.stack([rows[:, edge].t() @ part for edge, part in enumerate(stacked)])
            inputs = (gains[:, place].to(mean.dtype), mean, covariance, weights)
            matrix, grads = _fold_backward(inputs, ctx.epsilons[place], d_matrix, d_bias)
            d_gains.append(grads[0].to(gains.dtype))
            d_rows.append(_rows_backward(rows, list(stacked), matrix, mean, grads[1], grads[2]))
            d_weights.append(grads[3])
        return None, d_shares, torch.stack(d_gains, 1), d_basis, *d_rows, *d_weights
