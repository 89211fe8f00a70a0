"""ENAS's macro networks (Pham et al. 2018, section 2.3): a chain of layers, one operation each, with skip connections.

States are numbered: 0 is the stem's output, k the output of layer k. Layer k reads state k - 1, and any of those before
it as skips.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeAlias

from torch import Tensor, nn

from archwright.errors import SpaceError, offered
from archwright.nets.cell import Joined
from archwright.nets.feature_map import FeatureMap, apply
from archwright.nets.network import Drawn, Images, Logits, Network, initialise, stem, wired
from archwright.nets.ops import OPERATIONS, FactorizedReduction, Pointwise, Separable, operation
from archwright.space import Architecture, Task

# For each layer, its operation and the states it skips to; and what is open of a layer.
Wiring: TypeAlias = "tuple[tuple[str, tuple[int, ...]], ...]"
LayerOptions: TypeAlias = "tuple[tuple[str, ...], tuple[int, ...]]"


class ConvNorm(nn.Sequential):
    """(ReLU,) convolution without bias, BatchNorm."""

    after_relu = True

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, kernel, padding=kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(channels)


# What differs from the cells' operations of the same name: here a separable convolution is applied once (C3).
LAYER_OPERATIONS: dict[str, Callable[[int], nn.Module]] = {
    "conv_3x3": lambda channels: ConvNorm(channels, 3),
    "conv_5x5": lambda channels: ConvNorm(channels, 5),
    "sep_3x3": lambda channels: Separable(channels, channels, 1, 3, repeats=1),
    "sep_5x5": lambda channels: Separable(channels, channels, 1, 5, repeats=1),
}


def layer_operation(name: str, channels: int) -> nn.Module:
    """Build an operation by name; any of `archwright.nets.ops.OPERATIONS` will do too."""
    if name in LAYER_OPERATIONS:
        return LAYER_OPERATIONS[name](channels)
    if name not in OPERATIONS:
        known = sorted({*LAYER_OPERATIONS, *OPERATIONS})
        raise SpaceError(f"{name!r} is not an operation; {offered(name, known)}")
    return operation(name, channels, 1)


class MacroLayer(nn.Module):
    """(ReLU,) 1x1 convolution, BatchNorm, the operation; then its output and the skips are joined to `channels`.

    The join is ReLU, 1x1 convolution, BatchNorm over the concatenation (ENAS 2018, appendix B). As in the official
    final network, every layer but the first has one, with or without skips.
    """

    def __init__(self, options: LayerOptions, channels: int, *, number: int) -> None:
        super().__init__()
        self.number = number
        operations, skips = options
        self.before = nn.ModuleDict({name: Pointwise(channels, channels) for name in operations})
        self.operations = nn.ModuleDict({name: layer_operation(name, channels) for name in operations})
        self.join = Joined((*skips, number), channels) if number > 1 else None

    def forward(self, states: Mapping[int, FeatureMap], name: str, skips: Sequence[int]) -> Tensor:
        x = apply(self.before[name], states[self.number - 1])
        x = apply(self.operations[name], FeatureMap(x))
        if self.join is None:
            return x
        joined: Tensor = self.join([*(states[skip].tensor for skip in skips), x], (*skips, self.number))
        return joined


class MacroNetwork(Network):
    """Stem, layers, and after the layers in `halve_after` a factorised reduction of every state that is still read.

    `options` tell what is open of each layer, `fixed` is a child's wiring, `wire` reads an architecture's. `double`: a
    reduction doubles the channels (official final network; in its search they stay).
    """

    def __init__(
        self,
        options: Sequence[LayerOptions],
        fixed: Wiring | None,
        wire: Callable[[Architecture], Wiring],
        task: Task,
        *,
        filters: int,
        stem_stride: int,
        halve_after: Sequence[int],
        double: bool,
        dropout: float,
    ) -> None:
        super().__init__()
        self._wire, self._fixed = wire, fixed
        self.stem = stem(task.channels, filters, stem_stride)
        self.layers, self.reductions = nn.ModuleList(), nn.ModuleDict()
        open_skips = [skips for _, skips in options]
        channels = filters
        for number, layer in enumerate(options, start=1):
            self.layers.append(MacroLayer(layer, channels, number=number))
            if number in halve_after:
                wider = 2 * channels if double else channels
                self.reductions[str(number)] = nn.ModuleDict(
                    {str(state): FactorizedReduction(channels, wider) for state in still_read(open_skips, number)}
                )
                channels = wider
        self.dropout = nn.Dropout(dropout)
        self.classify = nn.Linear(channels, task.classes, bias=False)  # no bias (C3)
        initialise(self)

    def drawn(self) -> Iterator[Drawn]:
        yield "network", "0", self.stem
        yield from (("network", str(number), layer) for number, layer in enumerate(self.layers, start=1))
        yield "network", "output", self.classify

    def with_auxiliary(self, x: Images, architecture: Architecture | None = None) -> tuple[Logits, None]:
        wiring = wired(self._fixed, self._wire, architecture)
        skips = [layer_skips for _, layer_skips in wiring]
        states = {0: FeatureMap(self.stem(x))}
        for number, (layer, (name, chosen)) in enumerate(zip(self.layers, wiring, strict=True), start=1):
            states[number] = FeatureMap(layer(states, name, chosen))
            states = {state: states[state] for state in still_read(skips, number)}
            if str(number) in self.reductions:
                reductions: nn.ModuleDict = self.reductions[str(number)]  # type: ignore[assignment]
                states = {state: FeatureMap(reductions[str(state)](kept.tensor)) for state, kept in states.items()}
        pooled = states[len(wiring)].tensor.mean(dim=(2, 3))  # without a ReLU (C3)
        return self.classify(self.dropout(pooled)), None


def still_read(skips: Sequence[Sequence[int]], number: int) -> list[int]:
    """Return the states that layers after `number` read, in order; `skips` of all layers."""
    later = {state for layer in skips[number:] for state in layer if state < number}
    return sorted(later | {number})
