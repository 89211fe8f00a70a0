"""What networks of sentences are made of: layers of sequences and of groups of features, and how branches are joined.

A map is [batch, channels, height, width], a sequence [batch, positions, features]. Where `groups` branches are computed
together, the features are theirs, one branch after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from archwright.sentences.shapes import MAP, Shape

Map = Float[Tensor, "batch channels height width"]
Rows = Float[Tensor, "batch positions features"]


def divided(x: Tensor, dim: int, sizes: tuple[int, ...]) -> Tensor:
    """Return a tensor with one dimension as several."""
    made: Tensor = x.unflatten(dim, sizes)  # type: ignore[no-untyped-call]
    return made


class GroupedLinear(nn.Module):
    """A linear map of each group's features."""

    def __init__(self, groups: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.groups, self.inputs = groups, inputs
        self.weight, self.bias = nn.Parameter(torch.empty(outputs, inputs)), nn.Parameter(torch.empty(outputs))

    def forward(self, x: Rows) -> Rows:
        grouped = divided(x, 2, (self.groups, self.inputs)).transpose(1, 2)  # [batch, groups, positions, inputs]
        mapped = grouped @ divided(self.weight, 0, (self.groups, -1)).transpose(1, 2)
        return mapped.transpose(1, 2).flatten(2) + self.bias


class GroupedNorm(nn.Module):
    """LayerNorm of each group's features."""

    def __init__(self, groups: int, features: int) -> None:
        super().__init__()
        self.groups, self.features = groups, features
        self.weight, self.bias = (
            nn.Parameter(torch.ones(groups * features)),
            nn.Parameter(torch.zeros(groups * features)),
        )

    def forward(self, x: Rows) -> Rows:
        normed = functional.layer_norm(divided(x, 2, (self.groups, self.features)), (self.features,))
        return normed.flatten(2) * self.weight + self.bias


class GroupedSoftmax(nn.Module):
    """Softmax over the features of each group."""

    def __init__(self, groups: int, features: int) -> None:
        super().__init__()
        self.groups, self.features = groups, features

    def forward(self, x: Rows) -> Rows:
        return divided(x, 2, (self.groups, self.features)).softmax(-1).flatten(2)


class Position(nn.Module):
    """Adds a learned number at each position and feature."""

    def __init__(self, groups: int, positions: int, features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(groups, positions, features) * 0.02)  # as Dosovitskiy et al. 2021

    def forward(self, x: Rows) -> Rows:
        return x + self.weight.transpose(0, 1).flatten(1)


class Mean(nn.Module):
    """The mean over positions."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.dim = (2, 3) if shape.form == MAP else (1,)

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(self.dim, keepdim=True)


class Clones(nn.Module):
    """Gives each of `given` groups to so many branches."""

    def __init__(self, given: int, branches: int, shape: Shape) -> None:
        super().__init__()
        self.given, self.branches, self.features = given, branches, shape.features
        self.dim = 1 if shape.form == MAP else 2

    def forward(self, x: Tensor) -> Tensor:
        if self.given == 1:
            return torch.cat([x] * self.branches, self.dim)
        parts = divided(x, self.dim, (self.given, 1, self.features))
        return torch.cat([parts] * self.branches, self.dim + 1).flatten(self.dim, self.dim + 2)


class Part(nn.Module):
    """The features of one of `branches` that a group is divided into."""

    def __init__(self, groups: int, branches: int, number: int, shape: Shape) -> None:
        super().__init__()
        self.groups, self.branches, self.number, self.features = groups, branches, number, shape.features
        self.dim = 1 if shape.form == MAP else 2

    def forward(self, x: Tensor) -> Tensor:
        if self.groups == 1:
            return x.narrow(self.dim, self.number * self.features, self.features)
        parts = divided(x, self.dim, (self.groups, self.branches, self.features))
        return parts.select(self.dim + 1, self.number).flatten(self.dim, self.dim + 1)


class Windows(nn.Module):
    """A map as a sequence of windows, each channel's numbers together (im2col)."""

    def __init__(self, kernel: int, stride: int) -> None:
        super().__init__()
        self.kernel, self.stride, self.padding = kernel, stride, (kernel - 1) // 2 if kernel % 2 else 0

    def forward(self, x: Map) -> Rows:
        return functional.unfold(x, self.kernel, padding=self.padding, stride=self.stride).transpose(1, 2)


class ToRows(nn.Module):
    """A map as a sequence of its pixels."""

    def forward(self, x: Map) -> Rows:
        return x.flatten(2).transpose(1, 2)


class ToMap(nn.Module):
    """A sequence as the map that it was (col2im)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        assert shape.grid is not None
        self.height, self.width = shape.grid

    def forward(self, x: Rows) -> Map:
        return divided(x.transpose(1, 2), 2, (self.height, self.width))


class Turn(nn.Module):
    """Exchanges a sequence's positions and each group's features."""

    def __init__(self, groups: int, shape: Shape) -> None:
        super().__init__()
        self.groups, self.features = groups, shape.features

    def forward(self, x: Rows) -> Rows:
        if self.groups == 1:
            return x.transpose(1, 2)
        return divided(x, 2, (self.groups, self.features)).permute(0, 3, 2, 1).flatten(2)


class Join(nn.Module):
    """Makes one of several branches, each of these shapes."""

    def __init__(self, name: str, shapes: Sequence[Shape], groups: int) -> None:
        super().__init__()
        self.how, self.groups, self.features = name, groups, [shape.features for shape in shapes]
        self.dim, self.positions = 1 if shapes[0].form == MAP else 2, shapes[0].positions
        self.single = [shape.positions == 1 < shapes[0].positions for shape in shapes]
        self.grid = shapes[0].grid or (1, 1)

    def forward(self, *branches: Tensor) -> Tensor:
        one, *others = branches
        if self.how in ("add", "multiply"):
            for other in others:
                one = one + other if self.how == "add" else one * other
            return one
        if self.how == "concat":
            return self._concatenated(branches)
        a, b = (
            x if self.groups == 1 else divided(x, 2, (self.groups, f)).transpose(1, 2)
            for x, f in zip(branches, self.features, strict=True)
        )
        made = a @ b if self.how == "matmul" else a @ b.transpose(-1, -2) * self.features[0] ** -0.5
        return made if self.groups == 1 else made.transpose(1, 2).flatten(2)

    def _concatenated(self, branches: Sequence[Tensor]) -> Tensor:
        sizes = self.grid if self.dim == 1 else (self.positions,)
        wide = [
            x if not single else x.expand(-1, -1, *sizes) if self.dim == 1 else x.expand(-1, *sizes, -1)
            for x, single in zip(branches, self.single, strict=True)
        ]
        if self.groups == 1:
            return torch.cat(wide, self.dim)
        parts = [divided(x, self.dim, (self.groups, f)) for x, f in zip(wide, self.features, strict=True)]
        return torch.cat(parts, self.dim + 1).flatten(self.dim, self.dim + 1)


class JoinGroups(nn.Module):
    """Makes one of `branches` that were computed together."""

    def __init__(self, name: str, branches: int, groups: int, shape: Shape) -> None:
        super().__init__()
        self.how, self.branches, self.groups, self.features = name, branches, groups, shape.features
        self.dim = 1 if shape.form == MAP else 2

    def forward(self, x: Tensor) -> Tensor:
        if self.how == "concat":
            return x
        parts = divided(x, self.dim, (self.groups, self.branches, self.features))
        made = parts.sum(self.dim + 1) if self.how == "add" else parts.prod(self.dim + 1)
        return made.flatten(self.dim, self.dim + 1)


# By rule: of a shape and the number of groups, a module (`linear` depends on more).
LAYERS: dict[str, Callable[[Shape, int], nn.Module]] = {
    "identity": lambda shape, groups: nn.Identity(),
    "relu": lambda shape, groups: nn.ReLU(),
    "gelu": lambda shape, groups: nn.GELU(),
    "silu": lambda shape, groups: nn.SiLU(),
    "tanh": lambda shape, groups: nn.Tanh(),
    "sigmoid": lambda shape, groups: nn.Sigmoid(),
    "softmax": lambda shape, groups: nn.Softmax(-1) if groups == 1 else GroupedSoftmax(groups, shape.features),
    "position": lambda shape, groups: Position(groups, shape.positions, shape.features),
    "max": lambda shape, groups: nn.MaxPool2d(2, ceil_mode=True),
    "average": lambda shape, groups: nn.AvgPool2d(2, ceil_mode=True),
    "mean": lambda shape, groups: Mean(shape),
}


def norm(shape: Shape, groups: int) -> nn.Module:
    """Build the norm: BatchNorm of a map's channels, LayerNorm of a sequence's features."""
    if shape.form == MAP:
        return nn.BatchNorm2d(groups * shape.features)
    return nn.LayerNorm(shape.features) if groups == 1 else GroupedNorm(groups, shape.features)


def linear(shape: Shape, outputs: int, groups: int, given: int) -> nn.Module:
    """Build a linear map of each group's features; `given` groups come in, each for several that go out."""
    inputs, outputs = shape.features, groups * outputs
    if shape.form == MAP:
        return nn.Conv2d(given * inputs, outputs, 1, groups=given)
    return nn.Linear(inputs, outputs) if given == 1 else GroupedLinear(given, inputs, outputs)


LAYERS["norm"] = norm
