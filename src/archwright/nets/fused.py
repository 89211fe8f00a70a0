"""Operations of several edges that read one state, in few passes over memory (DARTS: Liu et al. 2019).

BatchNorm without scale and the weighted sum after a pointwise convolution W are linear for given statistics, and these
follow from the mean m and the covariance C of what W reads: W m and diag(W C W'). So both become a part of the matrix,
the sum over operations happens inside the products, and the output of no operation is ever in memory. Backward passes
are written out: they need what W reads alone.

Rows are maps with channels innermost, as matrices [pixels of the batch, channels]. Edges are not joined to wider maps:
what one of them reads and writes fits into a cache.
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
Rows = Float[Tensor, "pixels channels"]
Matrix = Float[Tensor, "outputs channels"]


def mixed_together(
    edges: Sequence[MixedOperation], features: FeatureMap, weights: Sequence[Float[Tensor, " options"]]
) -> list[Float[Tensor, "batch channels height width"]]:
    """Return the weighted sums of edges that read one state: what each returns alone, sooner."""
    first, kinds = edges[0], dict[str, list[Any]]()
    for name in first.names:
        if name != NONE:
            kinds[name] = [edge.operations[name] for edge in edges]
    fused = [name for name, operations in kinds.items() if all(map(fuses, operations))]
    if not fused:
        return [edge(features, own) for edge, own in zip(edges, weights, strict=True)]
    read, rest = first.divided(features)
    gains = dict(zip(first.names, torch.stack(list(weights), 1), strict=True))
    last = [until_last(operation, read.relu()) for name in fused for operation in kinds[name]]
    rows, matrices = [rows_of(maps) for maps, _, _ in last], [matrix for _, matrix, _ in last]
    alike = [name for name in kinds if name not in fused and first.shares(name)]
    basis = rows[0].new_empty(0, len(rows[0]), len(matrices[0]))
    if alike:
        basis = torch.stack([rows_of(first.output(name, read)).to(basis.dtype) for name in alike])
    shares, own = (
        torch.stack([gains[name] for name in names], 1) if names else basis.new_empty(len(edges), 0)
        for names in (alike, fused)
    )
    epsilons = [epsilon for _, _, epsilon in last]
    sums = MixedPointwise.apply(epsilons, shares, own, basis, *rows, *matrices)  # type: ignore[no-untyped-call]
    made = [maps_of(total, last[0][0]) for total in sums]
    for name in kinds:
        if name not in fused and name not in alike:
            terms = zip(gains[name], kinds[name], strict=True)
            made = [total + gain * apply(op, read) for total, (gain, op) in zip(made, terms, strict=True)]
    return [edge.joined(total, rest) for edge, total in zip(edges, made, strict=True)]


def fuses(operation: nn.Module) -> bool:
    """Return whether it is a separable convolution whose norms have no scale and the batch's statistics."""
    norms = [module for module in operation.modules() if isinstance(module, nn.BatchNorm2d)]
    return isinstance(operation, Separable) and not any(norm.affine or norm.track_running_stats for norm in norms)


def rows_of(maps: Float[Tensor, "batch channels height width"]) -> Rows:
    """Return maps as rows; no copy where channels are innermost."""
    return maps.contiguous(memory_format=torch.channels_last).permute(0, 2, 3, 1).reshape(-1, maps.shape[1])


def maps_of(rows: Rows, like: Tensor) -> Float[Tensor, "batch channels height width"]:
    """Return rows as maps of the batch and the size of `like`."""
    batch, _, height, width = like.shape
    return rows.view(batch, height, width, -1).permute(0, 3, 1, 2)


def until_last(operation: Separable, x: Tensor) -> tuple[Tensor, Matrix, float]:
    """Run a separable convolution up to its last pointwise one: what that reads, its weight, its norm's epsilon."""
    index = 0
    while True:
        x = getattr(operation, f"depthwise{index}")(x)
        matrix = getattr(operation, f"pointwise{index}").weight.flatten(1)
        epsilon = float(getattr(operation, f"norm{index}").eps)
        index += 1
        if index == operation.repeats:
            return x, matrix, epsilon
        x = maps_of(NormedPointwise.apply(rows_of(x), matrix, epsilon), x)  # type: ignore[no-untyped-call]


def folded(
    gain: Float[Tensor, ""],
    mean: Float[Tensor, " channels"],
    covariance: Float[Tensor, "channels channels"],
    weight: Matrix,
    epsilon: float,
) -> tuple[Float[Tensor, "channels outputs"], Float[Tensor, " outputs"]]:
    """Return the matrix and the bias of pointwise convolution, BatchNorm and multiplication by `gain`."""
    variance = ((weight @ covariance) * weight).sum(1)
    scale = gain * torch.rsqrt(variance.clamp_min(0) + epsilon)
    return (weight * scale[:, None]).t(), -(weight @ mean) * scale


def _moments(rows: Rows, weight: Matrix) -> tuple[Tensor, Tensor]:
    exact = rows.to(weight.dtype)  # bfloat16 would not do
    mean = exact.mean(0)
    if len(rows) <= FEW:
        exact = exact - mean
        return mean, exact.t() @ exact / len(rows)
    return mean, torch.addmm(torch.outer(mean, mean), exact.t(), exact, beta=-1, alpha=1 / len(rows))


def _fold_backward(
    inputs: Sequence[Tensor], epsilon: float, d_matrix: Tensor, d_bias: Tensor
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Return the matrix of `folded` again, and the gradients of its inputs."""
    with torch.enable_grad():
        gain, mean, covariance, weight = leaves = [value.detach().requires_grad_() for value in inputs]
        matrix, bias = folded(gain, mean, covariance, weight, epsilon)
    gradients = torch.autograd.grad((matrix, bias), leaves, (d_matrix.to(matrix.dtype), d_bias.to(bias.dtype)))
    return matrix.detach(), gradients


def _rows_backward(
    rows: Rows, gradient: Rows, matrix: Tensor, mean: Tensor, d_mean: Tensor, d_covariance: Tensor
) -> Rows:
    """Return the gradient of rows: through their product with `matrix`, their mean and their covariance."""
    twice = (d_covariance + d_covariance.t()) / len(rows)
    shift = d_mean / len(rows) - mean @ twice
    made = torch.addmm(shift.to(rows.dtype), gradient, matrix.t().to(rows.dtype))
    return made.addmm_(rows, twice.to(rows.dtype))


def _again(function: Callable[..., Any], inputs: Sequence[Any], gradients: Any) -> tuple[Tensor | None, ...]:
    """Return gradients that can be differentiated again, by way of autograd."""
    wanted = [value for value in inputs if isinstance(value, Tensor) and value.requires_grad]
    found = iter(torch.autograd.grad(function(*inputs), wanted, gradients, create_graph=True))
    return tuple(next(found) if isinstance(v, Tensor) and v.requires_grad else None for v in inputs)


def _plain(rows: Rows, weight: Matrix, epsilon: float) -> Rows:
    made = rows @ weight.t()
    variance, mean = torch.var_mean(made, 0, correction=0)
    return (made - mean) * torch.rsqrt(variance + epsilon)


class NormedPointwise(Function):
    """Pointwise convolution, BatchNorm, ReLU of rows."""

    @staticmethod
    def plain(rows: Rows, weight: Matrix, epsilon: float) -> Rows:
        return torch.relu(_plain(rows, weight, epsilon))

    @staticmethod
    def forward(ctx: Any, rows: Rows, weight: Matrix, epsilon: float) -> Rows:
        with torch.autocast(rows.device.type, enabled=False):
            mean, covariance = _moments(rows, weight)
            matrix, bias = folded(mean.new_ones(()), mean, covariance, weight, epsilon)
            made = torch.addmm(bias.to(rows.dtype), rows, matrix.to(rows.dtype)).relu_()
        ctx.save_for_backward(rows, weight, mean, covariance, made)
        ctx.epsilon = epsilon
        return made

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        rows, weight, mean, covariance, made = ctx.saved_tensors
        if torch.is_grad_enabled():
            return _again(NormedPointwise.plain, (rows, weight, ctx.epsilon), gradient)
        gradient = torch.ops.aten.threshold_backward(gradient, made, 0)
        inputs = (mean.new_ones(()), mean, covariance, weight)
        matrix, (_, d_mean, d_covariance, d_weight) = _fold_backward(
            inputs, ctx.epsilon, rows.t() @ gradient, gradient.sum(0)
        )
        return _rows_backward(rows, gradient, matrix, mean, d_mean, d_covariance), d_weight, None


class MixedPointwise(Function):
    """The weighted sums of edges: of what they share (`basis`), and of pointwise convolution and BatchNorm of rows.

    `shares` and `gains` are the weights of the two, [edges, operations]; `tensors` the rows and the weights of the
    second kind, for each operation those of all edges. Returns the sum of each edge.
    """

    @staticmethod
    def plain(
        epsilons: Sequence[float], shares: Tensor, gains: Tensor, basis: Tensor, *tensors: Tensor
    ) -> tuple[Rows, ...]:
        sums = list(torch.einsum("eo,opc->epc", shares, basis))
        half, edges = len(tensors) // 2, len(shares)
        for place, (rows, weight) in enumerate(zip(tensors[:half], tensors[half:], strict=True)):
            term = gains[place % edges, place // edges] * _plain(rows, weight, epsilons[place])
            sums[place % edges] = sums[place % edges] + term
        return tuple(sums)

    @staticmethod
    def forward(
        ctx: Any, epsilons: Sequence[float], shares: Tensor, gains: Tensor, basis: Tensor, *tensors: Tensor
    ) -> tuple[Rows, ...]:
        half, edges, like = len(tensors) // 2, len(shares), tensors[0]
        sums = like.new_empty(edges, len(like), basis.shape[2])
        moments, biases = list[Tensor](), [list[Tensor]() for _ in range(edges)]
        with torch.autocast(like.device.type, enabled=False):
            torch.mm(shares.to(like.dtype), basis.flatten(1), out=sums.flatten(1))
            for place, (rows, weight) in enumerate(zip(tensors[:half], tensors[half:], strict=True)):
                mean, covariance = _moments(rows, weight)
                gain, own = gains[place % edges, place // edges].to(mean.dtype), sums[place % edges]
                matrix, bias = folded(gain, mean, covariance, weight, epsilons[place])
                own.addmm_(rows, matrix.to(rows.dtype))
                biases[place % edges].append(bias)
                moments += [mean, covariance]
            for own, of_edge in zip(sums, biases, strict=True):
                own.add_(torch.stack(of_edge).sum(0))
        ctx.save_for_backward(shares, gains, basis, *tensors, *moments)
        ctx.epsilons = epsilons
        return tuple(sums)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        shares, gains, basis, *others = ctx.saved_tensors
        half, edges = len(others) // 4, len(shares)
        tensors, moments = others[: 2 * half], others[2 * half :]
        if torch.is_grad_enabled():
            return _again(MixedPointwise.plain, (ctx.epsilons, shares, gains, basis, *tensors), gradients)
        stacked = torch.stack(gradients)
        d_bias, flat = stacked.sum(1), stacked.flatten(1)
        d_shares = (flat @ basis.flatten(1).t()).to(shares.dtype)
        d_basis = (shares.t().to(flat.dtype) @ flat).view_as(basis)
        d_gains, d_rows, d_weights = torch.empty_like(gains), [], []
        for place, (rows, weight) in enumerate(zip(tensors[:half], tensors[half:], strict=True)):
            edge, operation = place % edges, place // edges
            mean, covariance = moments[2 * place : 2 * place + 2]
            inputs = (gains[edge, operation].to(mean.dtype), mean, covariance, weight)
            matrix, (d_gain, d_mean, d_covariance, d_weight) = _fold_backward(
                inputs, ctx.epsilons[place], rows.t() @ stacked[edge], d_bias[edge]
            )
            d_gains[edge, operation] = d_gain
            d_rows.append(_rows_backward(rows, stacked[edge], matrix, mean, d_mean, d_covariance))
            d_weights.append(d_weight)
        return None, d_shares, d_gains, d_basis, *d_rows, *d_weights
