"""Operations of several edges that read one state, in few passes over memory (DARTS: Liu et al. 2019).

BatchNorm without scale and the weighted sum after a pointwise convolution W are linear for given statistics, and these
follow from the mean m and the covariance C of what W reads: W m and diag(W C W'). So both become a part of the matrix,
the sum over operations happens inside the products, and the output of no operation is ever in memory. Backward passes
are written out: they need what W reads alone.

Rows are maps with channels innermost, as matrices [pixels of the batch, channels]. Edges are not joined to wider maps:
what one of them reads and writes fits into a cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd import Function

from archwright.nets.chain import again
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
    maps, matrices, epsilons = until_last([operation for name in fused for operation in kinds[name]], read)
    rows = list(map(rows_of, maps))
    alike = [name for name in kinds if name not in fused and first.shares(name)]
    basis = rows[0].new_empty(0, len(rows[0]), len(matrices[0]))
    if alike:
        basis = torch.stack([rows_of(first.output(name, read)).to(basis.dtype) for name in alike])
    shares, own = (
        torch.stack([gains[name] for name in names], 1) if names else basis.new_empty(len(edges), 0)
        for names in (alike, fused)
    )
    sums = MixedPointwise.apply(epsilons, shares, own, basis, *rows, *matrices)  # type: ignore[no-untyped-call]
    made = [maps_of(total, maps[0]) for total in sums]
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


def until_last(
    operations: Sequence[Separable], features: FeatureMap
) -> tuple[list[Tensor], list[Matrix], tuple[float, ...]]:
    """Run separable convolutions up to the last pointwise ones: what these read, their weights, their epsilons."""
    maps = [operation.get_submodule("depthwise0")(features.relu(), features.once) for operation in operations]
    for index in range(1, max(operation.repeats for operation in operations)):
        places = [place for place, operation in enumerate(operations) if operation.repeats > index]
        rows = [rows_of(maps[place]) for place in places]
        weights, epsilons = zip(*(_pointwise(operations[place], index - 1) for place in places), strict=True)
        made = NormedPointwise.apply(epsilons, *rows, *weights)  # type: ignore[no-untyped-call]
        for place, own in zip(places, made, strict=True):
            maps[place] = operations[place].get_submodule(f"depthwise{index}")(maps_of(own, maps[place]))
    matrices, last = zip(*(_pointwise(operation, operation.repeats - 1) for operation in operations), strict=True)
    return maps, list(matrices), last


def _pointwise(operation: Separable, index: int) -> tuple[Matrix, float]:
    norm: Any = operation.get_submodule(f"norm{index}")
    return getattr(operation, f"pointwise{index}").weight.flatten(1), float(norm.eps)


def folded(
    gain: Float[Tensor, "*many"],
    mean: Float[Tensor, "*many channels"],
    covariance: Float[Tensor, "*many channels channels"],
    weight: Float[Tensor, "*many outputs channels"],
    epsilon: Float[Tensor, "*many"],
) -> tuple[Float[Tensor, "*many channels outputs"], Float[Tensor, "*many outputs"]]:
    """Return the matrix and the bias of pointwise convolution, BatchNorm and multiplication by `gain`; or many."""
    variance = ((weight @ covariance) * weight).sum(-1)
    scale = gain[..., None] * torch.rsqrt(variance.clamp_min(0) + epsilon[..., None])
    return (weight * scale[..., None]).mT, -(weight @ mean[..., None])[..., 0] * scale


def _moments(rows: Sequence[Rows], like: Tensor) -> tuple[Tensor, Tensor]:
    """Return means and covariances of several rows."""
    means, covariances = list[Tensor](), list[Tensor]()
    for own in rows:
        exact = own.to(like.dtype)  # bfloat16 would not do
        means.append(_total(exact) / len(exact))
        if len(exact) <= FEW:
            exact = exact - means[-1]
        covariances.append(exact.t() @ exact / len(exact))
    mean, covariance = torch.stack(means), torch.stack(covariances)
    few = len(rows[0]) <= FEW
    return mean, covariance if few else covariance - mean[:, :, None] * mean[:, None, :]


def _total(rows: Rows) -> Float[Tensor, " channels"]:
    return rows.new_ones(len(rows)) @ rows  # faster than rows.sum(0)


def _fold_backward(
    inputs: Sequence[Tensor], epsilon: Tensor, d_matrix: Tensor, d_bias: Tensor, count: int
) -> tuple[Tensor, tuple[Tensor, Tensor], Tensor, Tensor]:
    """Return the matrix of `folded` again, what `_rows_backward` adds, and the gradients of gain and weight."""
    with torch.enable_grad():
        gain, mean, covariance, weight = leaves = [value.detach().requires_grad_() for value in inputs]
        matrix, bias = folded(gain, mean, covariance, weight, epsilon)
    found = torch.autograd.grad((matrix, bias), leaves, (d_matrix.to(matrix.dtype), d_bias.to(bias.dtype)))
    d_gain, d_mean, d_covariance, d_weight = found
    twice = (d_covariance + d_covariance.mT) / count
    shift = d_mean / count - (mean[..., None, :] @ twice)[..., 0, :]
    return matrix.detach(), (twice.detach(), shift.detach()), d_gain, d_weight


def _rows_backward(rows: Rows, gradient: Rows, matrix: Tensor, twice: Tensor, shift: Tensor) -> Rows:
    """Return the gradient of rows: through their product with `matrix`, their covariance and their mean."""
    made = torch.addmm(shift.to(rows.dtype), gradient, matrix.t().to(rows.dtype))
    return made.addmm_(rows, twice.to(rows.dtype))


def _plain(rows: Rows, weight: Matrix, epsilon: float) -> Rows:
    made = rows @ weight.t()
    variance, mean = torch.var_mean(made, 0, correction=0)
    return (made - mean) * torch.rsqrt(variance + epsilon)


class NormedPointwise(Function):
    """Pointwise convolution, BatchNorm, ReLU of several rows; `tensors` are these, then the weights."""

    @staticmethod
    def plain(epsilons: Sequence[float], *tensors: Tensor) -> tuple[Rows, ...]:
        half = len(tensors) // 2
        return tuple(
            torch.relu(_plain(rows, weight, epsilon))
            for rows, weight, epsilon in zip(tensors[:half], tensors[half:], epsilons, strict=True)
        )

    @staticmethod
    def forward(ctx: Any, epsilons: Sequence[float], *tensors: Tensor) -> tuple[Rows, ...]:
        half = len(tensors) // 2
        rows, weight = tensors[:half], torch.stack(tensors[half:])
        with torch.autocast(rows[0].device.type, enabled=False):
            mean, covariance = _moments(rows, weight)
            matrix, bias = folded(mean.new_ones(half), mean, covariance, weight, mean.new_tensor(epsilons))
            matrix, bias = matrix.to(rows[0].dtype), bias.to(rows[0].dtype)
            made = [torch.addmm(b, own, m).relu_() for own, m, b in zip(rows, matrix, bias, strict=True)]
        ctx.save_for_backward(*tensors, *made, mean, covariance)
        ctx.epsilons = epsilons
        return tuple(made)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        *tensors, mean, covariance = ctx.saved_tensors
        half = len(tensors) // 3
        rows, made, tensors = tensors[:half], tensors[2 * half :], tensors[: 2 * half]
        if torch.is_grad_enabled():
            return again(NormedPointwise.plain, (ctx.epsilons, *tensors), gradients)
        passed = [
            torch.ops.aten.threshold_backward(gradient, own, 0) for gradient, own in zip(gradients, made, strict=True)
        ]
        d_matrix = torch.stack([own.t() @ gradient for own, gradient in zip(rows, passed, strict=True)])
        inputs = (mean.new_ones(half), mean, covariance, torch.stack(tensors[half:]))
        matrix, (twice, shift), _, d_weight = _fold_backward(
            inputs, mean.new_tensor(ctx.epsilons), d_matrix, torch.stack(list(map(_total, passed))), len(rows[0])
        )
        every = zip(rows, passed, matrix, twice, shift, strict=True)
        return None, *(_rows_backward(*one) for one in every), *d_weight


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
        rows, weight = tensors[:half], torch.stack(tensors[half:])
        sums = like.new_empty(edges, len(like), basis.shape[2])
        with torch.autocast(like.device.type, enabled=False):
            mean, covariance = _moments(rows, weight)
            gain, epsilon = gains.t().flatten().to(mean.dtype), mean.new_tensor(epsilons)
            matrix, bias = folded(gain, mean, covariance, weight, epsilon)
            matrix, bias = matrix.to(like.dtype), bias.view(-1, edges, bias.shape[1]).sum(0).to(like.dtype)
            torch.mm(shares.to(like.dtype), basis.flatten(1), out=sums.flatten(1))
            for place, own in enumerate(rows):
                sums[place % edges].addmm_(own, matrix[place])
            for total, own in zip(sums, bias, strict=True):
                total.add_(own)
        ctx.save_for_backward(shares, gains, basis, *tensors, mean, covariance)
        ctx.epsilons = epsilons
        return tuple(sums)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        shares, gains, basis, *tensors, mean, covariance = ctx.saved_tensors
        if torch.is_grad_enabled():
            return again(MixedPointwise.plain, (ctx.epsilons, shares, gains, basis, *tensors), gradients)
        half, edges = len(tensors) // 2, len(shares)
        rows, weight = tensors[:half], torch.stack(tensors[half:])
        stacked = torch.stack(gradients)
        flat = stacked.flatten(1)
        d_shares = (flat @ basis.flatten(1).t()).to(shares.dtype)
        d_basis = (shares.t().to(flat.dtype) @ flat).view_as(basis)
        d_matrix = torch.stack([own.t() @ stacked[place % edges] for place, own in enumerate(rows)])
        d_bias = torch.stack(list(map(_total, stacked))).repeat(half // edges, 1)
        inputs = (gains.t().flatten().to(mean.dtype), mean, covariance, weight)
        epsilon = mean.new_tensor(ctx.epsilons)
        matrix, (twice, shift), d_gain, d_weight = _fold_backward(inputs, epsilon, d_matrix, d_bias, len(rows[0]))
        d_rows = [
            _rows_backward(own, stacked[place % edges], matrix[place], twice[place], shift[place])
            for place, own in enumerate(rows)
        ]
        return None, d_shares, d_gain.view(-1, edges).t().to(gains.dtype), d_basis, *d_rows, *d_weight
