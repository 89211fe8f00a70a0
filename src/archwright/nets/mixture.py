"""Operations weighed against each other: the mixture that a gradient search descends (DARTS: Liu et al. 2019)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import TypeAlias

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from archwright.errors import SpaceError
from archwright.nets.feature_map import FeatureMap, apply_once, concatenate, shuffled

NONE = "none"  # the operation that gives zeros
Soft: TypeAlias = "Mapping[str, Float[Tensor, ' options']]"  # weights by the names of `Space.mixture`


class MixedOperation(nn.Module):
    """One operation on a state, or the weighted sum of several: sum_o w_o o(x) (DARTS, equation 2).

    What the operations of several edges share is computed once: the ReLU of a state, and every operation that has
    neither parameters nor buffers (poolings, the identity; BatchNorm after them, where it has batch statistics and no
    scale). Edges that read the same `FeatureMap` must therefore build such an operation alike where name, stride and
    width agree.

    Args:
        names: of the operations, in the order of the weights; "none" gives zeros and is not built.
        make: builds one: (name, channels, stride).
        channels: of the state and of the sum.
        stride: of the edge.
        partial: K of partial channels (PC-DARTS: Xu et al. 2020, section 3.2): the operations read the first 1/K of the
            channels, the others pass, at stride 2 by their 2x2 maxima, and all are shuffled. 1: off.
    """

    def __init__(
        self,
        names: Sequence[str],
        make: Callable[[str, int, int], nn.Module],
        channels: int,
        *,
        stride: int = 1,
        partial: int = 1,
    ) -> None:
        super().__init__()
        if channels % partial:
            raise SpaceError(f"{channels} channels cannot be divided into {partial} parts; use a multiple of {partial}")
        self.names, self.stride, self.partial = tuple(names), stride, partial
        self.width = channels // partial  # what the operations read
        built = {name: make(name, self.width, stride) for name in self.names if name != NONE}
        self.operations = nn.ModuleDict(built)

    def forward(
        self, features: FeatureMap, weights: Float[Tensor, " options"] | None = None
    ) -> Float[Tensor, "batch channels height width"]:
        """Return the sum under `weights`; without them, that of all operations (a child has one)."""
        read, rest = self.divided(features)
        mixed: Tensor | None = None
        for place, name in enumerate(self.names):
            if name != NONE:
                output = self.output(name, read)
                term = output if weights is None else weights[place] * output
                mixed = term if mixed is None else mixed + term
        return self.joined(self._zeros(read) if mixed is None else mixed, rest)

    def single(self, features: FeatureMap, name: str) -> Float[Tensor, "batch channels height width"]:
        """Return what one operation gives: shared weights run one of several."""
        read, rest = self.divided(features)
        return self.joined(self._zeros(read) if name == NONE else self.output(name, read), rest)

    def divided(self, features: FeatureMap) -> tuple[FeatureMap, FeatureMap | None]:
        """Return the channels that operations read, and the others, if there are others."""
        return (features, None) if self.partial == 1 else features.parts(self.width)

    def joined(self, mixed: Tensor, rest: FeatureMap | None) -> Tensor:
        """Join what operations give with the channels that pass."""
        if rest is None:
            return mixed
        return shuffled(concatenate([mixed, self._passed(rest)], training=self.training), self.partial)

    def output(self, name: str, features: FeatureMap) -> Tensor:
        """Return what an operation gives of the channels that it reads."""
        return apply_once(self.operations[name], features, (name, self.stride, self.width))

    def shares(self, name: str) -> bool:
        """Return whether all edges of this kind give the same of a state: the operation has no tensors."""
        operation = self.operations[name]
        return next(chain(operation.parameters(), operation.buffers()), None) is None

    def _zeros(self, read: FeatureMap) -> Tensor:
        """Return zeros: a product, so that what only zeros read has a gradient of zero, as in the official code."""
        return 0.0 * read.tensor[:, :, :: self.stride, :: self.stride]

    def _passed(self, rest: FeatureMap) -> Tensor:
        if self.stride == 1:
            return rest.tensor
        return rest.once("maxima", lambda: functional.max_pool2d(rest.tensor, self.stride, ceil_mode=True))
