"""(ReLU,) depthwise and pointwise convolution, BatchNorm, once or several times in a row, by kernels of our own.

Between them a map is in memory once, as the pointwise convolution left it: what BatchNorm, ReLU and the next depthwise
convolution make of it is computed where it is read, in the backward pass again. The kernels (`kernels.c`) are for
training in float32 on a CPU with channels innermost. All else, and what is differentiated twice, is left to PyTorch.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn import functional

from archwright.nets.native import library

FEWEST, MULTIPLE = 8, 4  # channels
AVX512, NARROW = 16, 36  # lanes; channels up to which the kernels are faster than PyTorch with fewer lanes, too
SMALL = 2**15  # numbers in a map, up to which a single pointwise convolution costs more in calls than it saves
PIECE = 2**15  # numbers that a pointwise convolution reads at a time
LAST = torch.channels_last
SHAPE = ("images", "height", "width", "channels", "sources", "kernel", "outputs", "relu", "threads")
Maps = Float[Tensor, "batch channels height width"]
_Weights: TypeAlias = "tuple[Tensor, Tensor | None, Tensor | None, Tensor | None]"


@dataclass(frozen=True)
class Link:
    """Depthwise convolution that keeps the size, or none; pointwise convolution; BatchNorm of the batch."""

    pointwise: Float[Tensor, "outputs channels 1 1"]
    norm: nn.BatchNorm2d
    depthwise: Float[Tensor, "channels 1 kernel kernel"] | None = None


def chained(sources: Sequence[Maps], links: Sequence[Link], *, relu: bool) -> Maps | None:
    """Return the output of the last link; the first reads the `sources` one after the other, as channels.

    A ReLU precedes each link, the first one if `relu` says so. None where the kernels cannot do it, or not sooner.
    """
    first = sources[0]
    if not links or first.device.type != "cpu" or not torch.is_grad_enabled() or torch.is_autocast_enabled("cpu"):
        return None
    if len(sources) == 1 and links[0].depthwise is None and first.numel() <= SMALL:
        return None
    if len(first) == 1 or not all(map(_fits, sources)) or not all(map(_possible, links)):
        return None
    kernels = library()
    if kernels is None or any(x.shape != first.shape for x in sources):
        return None
    widest = max(first.shape[1], *(len(link.pointwise) for link in links))
    if kernels.archwright_lanes() < AVX512 and widest > NARROW:
        return None
    tensors = [t for link in links for t in (link.pointwise, link.depthwise, link.norm.weight, link.norm.bias)]
    plan = _Plan(len(sources), relu, tuple(link.norm for link in links))
    made: Tensor = _Chain.apply(plan, *sources, *tensors)  # type: ignore[no-untyped-call]
    return made


def _fits(x: Tensor) -> bool:
    return x.dtype == torch.float32 and _width(x.shape[1]) and x.is_contiguous(memory_format=LAST)


def _width(channels: int) -> bool:
    return channels >= FEWEST and channels % MULTIPLE == 0


def _possible(link: Link) -> bool:
    square = link.depthwise is None or tuple(link.depthwise.shape[2:]) in ((3, 3), (5, 5), (7, 7))
    usual = link.norm.training and link.norm.momentum is not None
    return square and usual and link.pointwise.dtype == torch.float32 and _width(len(link.pointwise))


def again(function: Callable[..., Any], inputs: Sequence[Any], gradients: Any) -> tuple[Tensor | None, ...]:
    """Return gradients that can be differentiated again, by way of autograd."""
    wanted = [value for value in inputs if isinstance(value, Tensor) and value.requires_grad]
    found = iter(torch.autograd.grad(function(*inputs), wanted, gradients, create_graph=True))
    return tuple(next(found) if isinstance(v, Tensor) and v.requires_grad else None for v in inputs)


@dataclass(frozen=True)
class _Plan:
    sources: int
    relu: bool
    norms: tuple[nn.BatchNorm2d, ...]

    def weights(self, tensors: Sequence[Tensor]) -> list[_Weights]:
        """Return pointwise and depthwise weight, scale and shift of each link."""
        return [cast(_Weights, tensors[first : first + 4]) for first in range(self.sources, len(tensors), 4)]


class _Shape(ctypes.Structure):
    _fields_ = [(name, ctypes.c_long) for name in SHAPE]


def _shape(sources: Sequence[Maps], pointwise: Tensor, depthwise: Tensor | None, relu: bool) -> _Shape:
    images, channels, height, width = sources[0].shape
    if depthwise is None:  # pixels of any number and place are an image
        images, height, width = images * height, 1, width
        while images % 2 == 0 and 2 * width * channels <= PIECE:
            images, width = images // 2, 2 * width
    kernel, threads = 1 if depthwise is None else depthwise.shape[2], torch.get_num_threads()
    return _Shape(images, height, width, channels, len(sources), kernel, len(pointwise), relu, threads)


def _call(name: str, shape: _Shape, *arguments: Tensor | Sequence[Tensor] | None) -> None:
    """Call a kernel with the addresses of tensors; what is None is NULL."""
    given: list[Any] = [ctypes.byref(shape)]
    for one in arguments:
        if one is None or isinstance(one, Tensor):
            given.append(ctypes.c_void_p(None if one is None else one.data_ptr()))
        else:
            given.append((ctypes.c_void_p * len(one))(*(tensor.data_ptr() for tensor in one)))
    getattr(library(), f"archwright_{name}")(*given)


class _Chain(Function):
    @staticmethod
    def plain(plan: _Plan, *tensors: Tensor) -> Maps:
        x, relu = torch.cat(tensors[: plan.sources], dim=1), plan.relu
        for norm, (pointwise, depthwise, scale, shift) in zip(plan.norms, plan.weights(tensors), strict=True):
            x = torch.relu(x) if relu else x
            if depthwise is not None:
                x = functional.conv2d(x, depthwise, None, 1, depthwise.shape[2] // 2, 1, len(depthwise))
            x, relu = functional.conv2d(x, pointwise), True
            x = functional.batch_norm(x, None, None, scale, shift, True, 0.0, norm.eps)
        return x

    @staticmethod
    def forward(ctx: Any, plan: _Plan, *tensors: Tensor) -> Maps:
        read, relu, kept = tensors[: plan.sources], plan.relu, list[Tensor]()
        for norm, (pointwise, depthwise, scale, shift) in zip(plan.norms, plan.weights(tensors), strict=True):
            shape = _shape(read, pointwise, depthwise, relu)
            size = len(read[0]), len(pointwise), *read[0].shape[2:]
            made = torch.empty(size, dtype=torch.float32, memory_format=LAST)
            moments = made.new_empty(shape.images, 2, len(pointwise))
            weights = None if depthwise is None else depthwise.contiguous(), pointwise.contiguous()
            _call("forward", shape, read, kept[-1] if kept else None, *weights, made, moments)
            between, mean = torch.var_mean(moments[:, 0], 0, correction=0)
            variance = moments[:, 1].mean(0) + between
            _track(norm, mean, variance, made.numel() // len(mean))
            gain = torch.rsqrt(variance + norm.eps)
            slope = gain if scale is None else gain * scale
            offset = -mean * slope if shift is None else shift - mean * slope
            kept += [made, torch.stack([slope, offset, mean, gain])]
            read, relu = (made,), True
        output = torch.empty_like(made)
        _call("normalise", shape, made, slope, offset, output)
        ctx.save_for_backward(*tensors, *kept)
        ctx.plan = plan
        return output

    @staticmethod
    def backward(ctx: Any, gradient: Maps) -> Any:
        plan, count = ctx.plan, len(ctx.saved_tensors) - 2 * len(ctx.plan.norms)
        tensors, kept = ctx.saved_tensors[:count], ctx.saved_tensors[count:]
        if torch.is_grad_enabled():
            return again(_Chain.plain, (plan, *tensors), gradient)
        gradient, found, sums, d_read = gradient.contiguous(memory_format=LAST), list[Tensor | None](), None, []
        for index, (pointwise, depthwise, scale, shift) in reversed(list(enumerate(plan.weights(tensors)))):
            made, (slope, _, mean, gain) = kept[2 * index], kept[2 * index + 1]
            read, before = (
                (kept[2 * index - 2 : 2 * index - 1], kept[2 * index - 1]) if index else (tensors[: plan.sources], None)
            )
            shape = _shape(read, pointwise, depthwise, plan.relu or index > 0)
            if sums is None:
                sums = made.new_empty(shape.images, 2, len(mean))
                _call("sums", shape, gradient, made, mean, sums)
            total, product = sums.sum(0)
            product, pixels = product * gain, made.numel() // len(mean)
            after = torch.stack([mean, slope, -slope * gain * product / pixels, -slope * total / pixels])
            d_read = [torch.empty_like(x) for x in read]
            d_pointwise = pointwise.new_zeros(shape.threads, *pointwise.shape)
            d_depthwise = None if depthwise is None else depthwise.new_zeros(shape.threads, *depthwise.shape)
            weights = None if depthwise is None else depthwise.contiguous(), pointwise.contiguous()
            sums = made.new_empty(shape.images, 2, shape.channels)
            _call(
                *("backward", shape, read, before, *weights, made, after),
                *(gradient, d_read, d_depthwise, d_pointwise, sums),
            )
            gradient = d_read[0]
            found = [
                *(d_pointwise.sum(0), None if d_depthwise is None else d_depthwise.sum(0)),
                *(None if scale is None else product, None if shift is None else total, *found),
            ]
        return None, *d_read, *found


def _track(norm: nn.BatchNorm2d, mean: Tensor, variance: Tensor, count: int) -> None:
    """Move running statistics as `nn.BatchNorm2d` does."""
    if norm.running_mean is not None and norm.running_var is not None and norm.momentum is not None:
        norm.running_mean.lerp_(mean, norm.momentum)
        norm.running_var.lerp_(variance * (count / max(count - 1, 1)), norm.momentum)
        if norm.num_batches_tracked is not None:
            norm.num_batches_tracked.add_(1)
