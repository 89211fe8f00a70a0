"""Networks of stages (`archwright.spaces.stages.Stages`): their blocks by kind, and the first layer set from data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from archwright.errors import SpaceError, offered
from archwright.nets.feature_map import subsample
from archwright.nets.network import Drawn, Images, Logits, Network, initialise
from archwright.nets.ops import Convolution
from archwright.nets.wiring import StageSpec
from archwright.space import Architecture, Task

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": partial(nn.ReLU, inplace=True),  # what it overwrites, a norm or a sum, nothing else reads
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "hardswish": nn.Hardswish,
}
SMALLEST = 4  # pixels: maps with a shorter side are not halved
NEAR_IDENTITY = 0.1  # of a branch that ends in an activation: at 0 a ReLU has no gradient
REGULARISER = 5e-4  # of the eigenvalues (Jordan 2024, airbench94.py)


class Subsample(nn.Module):
    """Takes every other pixel of every other row."""

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Tensor:
        return subsample(x, (0,), stride=2, training=self.training)[0]


class Widen(nn.Module):
    """Appends channels of zeros: the shortcut without parameters (He et al. 2016a, option A)."""

    def __init__(self, more: int) -> None:
        super().__init__()
        self.more = more

    def forward(self, x: Float[Tensor, "batch inputs height width"]) -> Float[Tensor, "batch outputs height width"]:
        return functional.pad(x, (0, 0, 0, 0, 0, self.more))


class Excitation(nn.Module):
    """Scales each channel by a function of all channels' means (Hu et al. 2018), through a quarter of the width."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inside = max(channels // 4, 4)
        self.squeeze, self.expand = nn.Linear(channels, inside), nn.Linear(inside, channels)

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch channels height width"]:
        scales = torch.sigmoid(self.expand(functional.relu(self.squeeze(x.mean(dim=(2, 3))))))
        return x * scales[:, :, None, None]


class Branch(nn.Sequential):
    """Convolutions with their norms and activations."""


class Stage(nn.Sequential):
    """The blocks of a stage, after a pool or a convolution if it has one."""


class Block(nn.Module):
    """after(branch + shortcut) of before(x).

    Where a pre-activated block changes the width, branch and shortcut read the same activation, as WideResNet's.
    """

    def __init__(self, inputs: int, branch: Branch, stage: StageSpec, halving: str, order: str) -> None:
        super().__init__()
        shared = 2 if order == "before" and inputs != stage.width else 0
        self.before, self.branch = branch[:shared], branch[shared:]
        self.shortcut = shortcut(inputs, stage.width, halving, order)
        self.after = ACTIVATIONS[stage.activation]() if order == "after" else nn.Identity()
        self._start = NEAR_IDENTITY if order == "inside" else 0.0

    def forward(self, x: Float[Tensor, "batch inputs height width"]) -> Tensor:
        x = self.before(x)
        joined: Tensor = self.after(self.branch(x) + self.shortcut(x))
        return joined

    def near_identity(self) -> None:
        """Start the branch's last norm, or convolution where no norm follows it, at 0 or near it."""
        weighted = [m for m in self.branch.children() if isinstance(m, (nn.BatchNorm2d, nn.Conv2d))]
        nn.init.constant_(weighted[-1].weight, self._start)


def shortcut(inputs: int, outputs: int, halving: str, order: str) -> nn.Sequential:
    """Build what brings a block's input to the shape of its output; nothing where it has it."""
    made = nn.Sequential()
    if halving == "stride":
        # Subsampled, not strided: the backward pass of that corrupts memory (`nets.ops.FactorizedReduction`).
        made.add_module("pool", Subsample())
    elif halving != "none":
        made.add_module("pool", pool(halving))
    if order == "after" and outputs > inputs:
        made.add_module("widen", Widen(outputs - inputs))
    elif outputs != inputs:
        made.add_module("conv", Convolution(inputs, outputs, (1, 1), (1, 1)))
        if order != "before":
            made.add_module("norm", nn.BatchNorm2d(outputs))
    return made


def pool(halving: str) -> nn.Module:
    """Build a pool over 2x2 pixels, of odd sides fewer at the end; "late-max" is "max"."""
    kind = nn.MaxPool2d if halving.endswith("max") else nn.AvgPool2d
    return kind(2, ceil_mode=True)


Conv: TypeAlias = "tuple[int, int, int, str, int]"  # inputs, outputs, kernel, halving, groups


def chain(
    convolutions: Sequence[Conv], stage: StageSpec, order: str, *, excited: int = -1, linear: bool = False
) -> Branch:
    """Build convolutions with norm and activation after each, or before it; one is `excited`.

    `linear` leaves out the last activation, where activations follow.
    """
    made = Branch()
    last = len(convolutions) - 1
    for index, (inputs, outputs, kernel, halving, groups) in enumerate(convolutions):
        stride = 2 if halving == "stride" else 1
        conv = Convolution(inputs, outputs, (kernel, kernel), (stride, stride), groups=groups)
        layers = {"conv": conv, **({"pool": pool(halving)} if halving.startswith("late-") else {})}
        normed: dict[str, nn.Module] = {"norm": nn.BatchNorm2d(inputs if order == "before" else outputs)}
        if order == "before" or not linear or index < last:
            normed["act"] = ACTIVATIONS[stage.activation]()
        parts = {**normed, **layers} if order == "before" else {**layers, **normed}
        if stage.excite and index == excited % len(convolutions):
            parts["excite"] = Excitation(outputs)
        for name, layer in parts.items():
            made.add_module(f"{name}{index}", layer)
    return made


def plain(inputs: int, stage: StageSpec, halving: str, order: str) -> nn.Module:
    """Build a convolution."""
    return chain([(inputs, stage.width, stage.kernel, halving, 1)], stage, order)


def residual(inputs: int, stage: StageSpec, halving: str, order: str) -> nn.Module:
    """Build two convolutions and a shortcut."""
    wide, kernel = stage.width, stage.kernel
    convolutions: list[Conv] = [(inputs, wide, kernel, halving, 1), (wide, wide, kernel, "none", 1)]
    return Block(inputs, chain(convolutions, stage, order, linear=order == "after"), stage, halving, order)


def bottleneck(inputs: int, stage: StageSpec, halving: str, order: str) -> nn.Module:
    """Build three convolutions, the second at a quarter of the width, and a shortcut (He et al. 2016a)."""
    wide, inside = stage.width, max(stage.width // 4, 1)
    convolutions: list[Conv] = [(inputs, inside, 1, "none", 1), (inside, inside, stage.kernel, halving, 1)]
    convolutions.append((inside, wide, 1, "none", 1))
    return Block(inputs, chain(convolutions, stage, order, linear=order == "after"), stage, halving, order)


def inverted(inputs: int, stage: StageSpec, halving: str, order: str, *, expansion: int) -> nn.Module:
    """Build a depthwise convolution between two of 1x1, and a shortcut where the shape stays (Sandler et al. 2018)."""
    inside = expansion * inputs
    convolutions = [(inputs, inside, 1, "none", 1)] if expansion > 1 else []
    convolutions += [(inside, inside, stage.kernel, halving, inside), (inside, stage.width, 1, "none", 1)]
    # The last one is linear in any order (their section 3.2), and so is the sum.
    branch = chain(convolutions, stage, order, excited=-2, linear=True)
    if inputs != stage.width or halving != "none":
        return branch
    return Block(inputs, branch, stage, halving, "before" if order == "before" else "linear")


# By kind: (inputs, stage, halving, order) -> one block.
BLOCKS: dict[str, Callable[[int, StageSpec, str, str], nn.Module]] = {
    "plain": plain,
    "residual": residual,
    "bottleneck": bottleneck,
    **{f"inverted-{expansion}": partial(inverted, expansion=expansion) for expansion in (1, 2, 3, 4, 6)},
}


def build_stage(inputs: int, stage: StageSpec, order: str, *, halved: bool) -> Stage:
    """Build a stage; `halved` is false where the map is too small for it."""
    kind, halving = stage.kind.removeprefix("conv-"), stage.halving if halved else "none"
    if halving == "stride" and stage.kernel == 1:
        halving = "average"  # a stride would drop three pixels of four; see also `shortcut`
    for name, known in ((kind, BLOCKS), (stage.activation, ACTIVATIONS)):
        if name not in known:
            raise SpaceError(f"{name!r} is not a part of a stage; {offered(name, sorted(known))}")
    made = Stage()
    if halving in ("max", "average"):
        made.add_module("pool", pool(halving))
        halving = "none"
    if kind != stage.kind:
        made.add_module("entry", plain(inputs, stage, halving, order))
        inputs, halving = stage.width, "none"
    for number in range(stage.blocks):
        made.add_module(f"block{number}", BLOCKS[kind](inputs, stage, halving, order))
        inputs, halving = stage.width, "none"
    return made


class StagesNetwork(Network):
    """Stem, stages, pooling and classifier; see `archwright.spaces.stages.Stages` for the arguments."""

    def __init__(
        self,
        stages: Sequence[StageSpec],
        task: Task,
        *,
        stem: int,
        order: str,
        head: str,
        stem_stride: int,
        dropout: float,
        whiten: bool,
        zero_init: bool,
        mirror: bool,
    ) -> None:
        super().__init__()
        self._head, self._mirror = head, mirror
        activation, side = ACTIVATIONS[stages[0].activation], min(task.height, task.width)
        if whiten:
            kernel, padding, filters = max(2, stem_stride), 0, 2 * task.channels * max(2, stem_stride) ** 2
        else:
            kernel, padding, filters = (5, 2, stem) if stem_stride == 4 else (3, 1, stem)
        self.stem = nn.Sequential()
        self.stem.add_module("first", nn.Conv2d(task.channels, filters, kernel, stem_stride, padding, bias=False))
        if whiten:
            self.first.requires_grad_(False)
            self.stem.add_module("act0", activation())
            self.stem.add_module("conv", Convolution(filters, stem, (1, 1), (1, 1)))
        if order != "before":
            self.stem.extend([nn.BatchNorm2d(stem), activation()])
        side = (side + 2 * padding - kernel) // stem_stride + 1
        self.stages, channels = nn.Sequential(), stem
        for stage in stages:
            halved = stage.halving != "none" and side >= SMALLEST
            self.stages.append(build_stage(channels, stage, order, halved=halved))
            side, channels = (side + halved) // (1 + halved), stage.width
        if order == "before":  # pre-activated networks begin with a bare convolution and end with an activation
            self.stages.append(nn.Sequential(nn.BatchNorm2d(channels), ACTIVATIONS[stages[-1].activation]()))
        self.dropout = nn.Dropout(dropout)
        self.classify = nn.Linear(channels, task.classes)
        initialise(self)
        for module in self.modules() if zero_init else ():
            if isinstance(module, Block):
                module.near_identity()

    @property
    def first(self) -> nn.Conv2d:
        """The first convolution."""
        first: nn.Conv2d = self.stem.first  # type: ignore[assignment]
        return first

    def drawn(self) -> Iterator[Drawn]:
        yield "network", "stem", self.stem
        yield from (("network", str(number), stage) for number, stage in enumerate(self.stages, start=1))
        yield "network", "classifier", self.classify

    def with_auxiliary(self, x: Images, architecture: Architecture | None = None) -> tuple[Logits, None]:
        mirrored = self._mirror and not self.training
        if mirrored:
            x = torch.cat([x, x.flip(3)])
        x = self.stages(self.stem(x))
        pooled = x.amax(dim=(2, 3)) if self._head == "max" else x.mean(dim=(2, 3))
        logits = self.classify(self.dropout(pooled))
        return logits.unflatten(0, (2, -1)).mean(0) if mirrored else logits, None

    @torch.no_grad()
    def whiten(self, images: Images) -> None:
        """Set the first filters to the principal components of preprocessed images' patches, scaled to variance 1, and
        to their negatives (Jordan 2024, airbench94.py). The same images give the same filters.

        Raises SpaceError if the network has no such layer (`Stages.whiten`).
        """
        weight, kernel = self.first.weight, self.first.kernel_size
        if weight.requires_grad:
            raise SpaceError("the network's first convolution is trained; build it with whiten=True")
        size = weight[0].numel()
        moments, count = torch.zeros(size, size, dtype=torch.float64, device=images.device), 0
        for part in torch.split(images, 256):
            patches = functional.unfold(part.double(), kernel).transpose(1, 2).flatten(0, 1)
            moments, count = moments + patches.T @ patches, count + len(patches)
        values, vectors = torch.linalg.eigh(moments / count)
        largest = vectors.gather(0, vectors.abs().argmax(0, keepdim=True))  # fixes the sign of each
        rows = (vectors * largest.sign() / (values + REGULARISER).sqrt()).T.flip(0)  # the first one varies most
        weight.copy_(torch.cat([rows, -rows]).reshape(weight.shape))
