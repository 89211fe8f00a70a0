"""Networks of sentences (`archwright.spaces.grammar`), rule by rule, or with what is known as one module (`fused`).

Fused are im2col, linear as a convolution; softmax of dot, matmul as `scaled_dot_product_attention`; and equal branches:
a module computes all of them at once, on groups of features. So `group(channels)` of a convolution is a depthwise one,
and `clone(8)` of attention is multi-head attention. Parameters have the same names; those of branches computed together
begin with an entry for each branch, which rule by rule has them as `each.0`, `each.1`... Kernels have another shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from archwright.errors import SpaceError
from archwright.nets.grammar_layers import (
    LAYERS,
    Clones,
    GroupedLinear,
    GroupedNorm,
    Join,
    JoinGroups,
    Part,
    Rows,
    ToMap,
    ToRows,
    Turn,
    Windows,
    divided,
    linear,
)
from archwright.nets.network import Images, Logits, Network
from archwright.sentences.fitting import after, cell_shape
from archwright.sentences.rules import COMPUTATIONS, ROUTES, resolved, split
from archwright.sentences.sentence import Sentence
from archwright.sentences.shapes import MAP, Shape
from archwright.space import Architecture, Task

WEIGHED = (nn.Conv2d, nn.Linear, GroupedLinear, nn.BatchNorm2d, nn.LayerNorm, GroupedNorm)


class Routing(nn.Module):
    """Brings its input to another form, computes, and brings that back."""

    def __init__(self, enter: nn.Module, inner: nn.Module, leave: nn.Module) -> None:
        super().__init__()
        self.enter, self.inner, self.leave = enter, inner, leave

    def forward(self, x: Tensor) -> Tensor:
        routed: Tensor = self.leave(self.inner(self.enter(x)))
        return routed


class Branching(nn.Module):
    """Branches of the same input, joined."""

    def __init__(self, parts: Sequence[nn.Module], join: nn.Module) -> None:
        super().__init__()
        self.parts, self.join = nn.ModuleList(parts), join

    def forward(self, x: Tensor) -> Tensor:
        joined: Tensor = self.join(*[part(x) for part in self.parts])
        return joined


class Attention(Branching):
    """softmax(a b^T / sqrt(features)) c of three branches a, b, c, as one function."""

    def __init__(self, parts: Sequence[nn.Module], join: Join, groups: int, features: Sequence[int]) -> None:
        super().__init__(parts, join)
        self.groups, self.features = groups, features  # of a, b and c

    def forward(self, x: Rows) -> Rows:
        compared: Any = self.parts[0]
        read = *compared[0].parts, self.parts[1]
        # [batch, groups, positions, features]: the function is slower, or falls back, without a dimension of heads
        q, k, v = (
            divided(part(x), 2, (self.groups, f)).transpose(1, 2) for part, f in zip(read, self.features, strict=True)
        )
        attended: Tensor = functional.scaled_dot_product_attention(q, k, v)
        return attended.transpose(1, 2).flatten(2)


class Together(nn.Module):
    """Equal branches, computed together by a module that works on groups."""

    def __init__(self, clones: nn.Module, each: nn.Module, join: nn.Module) -> None:
        super().__init__()
        self.clones, self.each, self.join = clones, each, join

    def forward(self, x: Tensor) -> Tensor:
        joined: Tensor = self.join(self.each(self.clones(x)))
        return joined


class OneByOne(nn.Module):
    """Equal branches, computed one by one: of the same input, or each of its part of the features."""

    def __init__(self, each: Sequence[nn.Module], parts: Sequence[nn.Module], join: nn.Module) -> None:
        super().__init__()
        self.each, self.parts, self.join = nn.ModuleList(each), nn.ModuleList(parts), join

    def forward(self, x: Tensor) -> Tensor:
        joined: Tensor = self.join(*[each(part(x)) for each, part in zip(self.each, self.parts, strict=True)])
        return joined


class Recurrence(nn.Module):
    """Goes through a sequence with a cell that is given a position and the last state, zeros at first."""

    def __init__(self, cell: nn.Module, join: Join, positions: int, state: int) -> None:
        super().__init__()
        self.cell, self.join, self.positions, self.state = cell, join, positions, state

    def forward(self, x: Rows) -> Rows:
        state = x.new_zeros((x.shape[0], 1, self.state))
        states = []
        for position in range(self.positions):
            state = self.cell(self.join(x.narrow(1, position, 1), state))
            states.append(state)
        return torch.cat(states, 1)


def is_attention(sentence: Sentence) -> bool:
    """Return whether a branching is matmul of softmax of dot, of two branches each."""
    if sentence.rule != "branching" or sentence.parts[0] != CLONE or sentence.parts[-1].rule != "matmul":
        return False
    compared = sentence.parts[1]
    if len(sentence.inner) != 2 or compared.rule != "sequential" or len(compared.parts) != 2:
        return False
    scores, softmax = compared.parts
    if softmax.rule != "softmax" or scores.rule != "branching" or len(scores.inner) != 2:
        return False
    return scores.parts[0] == CLONE and scores.parts[-1].rule == "dot"


CLONE = Sentence("clone", (2,))


def reads_clones(sentence: Sentence) -> bool:
    """Return whether a sentence begins with linear maps, which read an input for several branches without copies."""
    if sentence.rule in ("sequential", "repeat", "routing"):
        return reads_clones(sentence.inner[0])
    cloned = sentence.rule == "branching" and sentence.parts[0].rule == "clone"
    return sentence.rule == "linear" or (cloned and all(map(reads_clones, sentence.inner)))


IDENTITY = Sentence("identity")


def ends_with(sentence: Sentence) -> str:
    """Return the last rule that computes."""
    if sentence.rule in ("sequential", "repeat", "routing"):
        return ends_with(sentence.inner[-1])
    return sentence.rule


class Builder:
    """Builds modules of sentences.

    `groups` branches are computed together. The input has `given` groups: as many, or fewer, each for several branches,
    where `reads_clones`. `quiet` are the last layers of residual branches, with what their weights begin multiplied by.
    """

    def __init__(self, fused: bool) -> None:
        self.fused = fused
        self.quiet: list[tuple[Any, float]] = []

    def build(self, sentence: Sentence, shape: Shape, groups: int = 1, given: int = 1) -> nn.Module:
        """Build the module for inputs of this shape in each group."""
        if sentence.rule in COMPUTATIONS:
            return self._computation(sentence, shape, groups, given)
        builder = getattr(self, f"_{sentence.rule}")
        built: nn.Module = builder(sentence, shape, groups, given)
        return built

    def _computation(self, sentence: Sentence, shape: Shape, groups: int, given: int) -> nn.Module:
        if sentence.rule == "linear":
            return linear(shape, after(sentence, shape).features, groups, given)
        return (COMPUTATIONS[sentence.rule].build or LAYERS[sentence.rule])(shape, groups)

    def _sequential(self, sentence: Sentence, shape: Shape, groups: int, given: int) -> nn.Module:
        times = int(sentence.settings[0]) if sentence.settings else 1
        built = nn.Sequential()
        for part in sentence.parts * times:
            built.append(self.build(part, shape, groups, given))
            shape, given = after(part, shape), groups
        return built

    _repeat = _sequential

    def _routing(self, sentence: Sentence, shape: Shape, groups: int, given: int) -> nn.Module:
        enter, inner, leave = sentence.parts
        entered = ROUTES[enter.rule].after(shape, *enter.settings)
        assert entered is not None
        made = after(inner, entered)
        end = {"col2im": ToMap(made) if leave.rule == "col2im" else None, "permute": Turn(groups, made)}.get(leave.rule)
        if enter.rule == "im2col" and self.fused and (read := self._convolution(sentence, shape, groups, given)):
            return read
        if enter.rule == "im2col":
            begin: nn.Module = ToRows() if enter.settings == (1, 1) else Windows(*map(int, enter.settings))
        else:
            begin = Turn(given, shape) if enter.rule == "permute" else nn.Identity()
        return Routing(begin, self.build(inner, entered, groups, given), end or nn.Identity())

    def _convolution(self, sentence: Sentence, shape: Shape, groups: int, given: int) -> nn.Module | None:
        """Build a routing of windows whose part begins with a linear map; None for any other."""
        enter, inner, leave = sentence.parts
        parts = inner.parts if inner.rule == "sequential" else (inner,)
        if parts[0].rule != "linear":
            return None
        kernel, stride = map(int, enter.settings)
        entered = ROUTES["im2col"].after(shape, kernel, stride)
        assert entered is not None
        windows = after(parts[0], entered)
        around = (kernel - 1) // 2 if kernel % 2 else 0
        conv = nn.Conv2d(given * shape.features, groups * windows.features, kernel, stride, around, groups=given)
        if len(parts) == 1:
            return Routing(nn.Identity(), conv, nn.Identity() if leave.rule == "col2im" else ToRows())
        layers: dict[str, nn.Module] = {"0": conv, "rows": ToRows()}
        made = windows
        for number, part in enumerate(parts[1:], start=1):
            layers[str(number)] = self.build(part, made, groups, groups)
            made = after(part, made)
        return Routing(nn.Identity(), _named(layers), ToMap(made) if leave.rule == "col2im" else nn.Identity())

    def _branching(self, sentence: Sentence, shape: Shape, groups: int, given: int) -> nn.Module:
        first, join = sentence.parts[0], sentence.parts[-1].rule
        found = split(first.rule, first.settings[0], shape)
        assert found is not None
        (count, own), inner = found, sentence.inner
        shapes = [after(part, own) for part in inner]
        if len(inner) == count:
            return self._different(sentence, shape, own, shapes, groups, given)
        grouped = first.rule == "group"
        if self.fused and join in ("add", "multiply", "concat"):
            more = groups * count
            spread = not grouped and not reads_clones(inner[0])
            clones = Clones(given, more // given, shape) if spread else nn.Identity()
            each = self.build(inner[0], own, more, more if grouped or spread else given)
            return Together(clones, each, JoinGroups(join, count, groups, shapes[0]))
        parts = [Part(groups, count, n, own) if grouped else nn.Identity() for n in range(count)]
        copies = [self.build(inner[0], own, groups, given) for _ in range(count)]
        return OneByOne(copies, parts, Join(join, shapes * count, groups))

    def _different(
        self, sentence: Sentence, shape: Shape, own: Shape, shapes: list[Shape], groups: int, given: int
    ) -> nn.Module:
        inner, join = sentence.inner, Join(sentence.parts[-1].rule, shapes, groups)
        if sentence.parts[0].rule == "clone":
            built = [self.build(part, own, groups, given) for part in inner]
            if join.how == "add" and IDENTITY in inner:
                self._calm([(part, module) for part, module in zip(inner, built, strict=True) if part != IDENTITY])
            if self.fused and is_attention(sentence):
                read = [after(part, own).features for part in (*inner[0].parts[0].inner, inner[1])]
                return Attention(built, join, groups, read)
            return Branching(built, join)
        parts = [
            _named({"part": Part(groups, len(inner), n, own), "0": self.build(part, own, groups, groups)})
            for n, part in enumerate(inner)
        ]
        return Branching(parts, join)

    def _calm(self, branches: Sequence[tuple[Sentence, nn.Module]]) -> None:
        """Let branches beside an identity begin at zero (Goyal et al. 2017), or near it.

        What ends in an activation does not begin at zero: there a ReLU has no gradient.
        """
        for part, branch in branches:
            if layers := [module for module in branch.modules() if isinstance(module, WEIGHED)]:
                self.quiet.append((layers[-1], 0.0 if ends_with(part) in ("linear", "norm") else 0.1))

    def _recurrence(self, sentence: Sentence, shape: Shape, groups: int, given: int) -> nn.Module:
        width = resolved(shape, sentence.settings[0])
        assert width is not None
        cell = self.build(sentence.parts[0], cell_shape(shape, width), groups, groups)
        read = [shape.with_features(shape.features), shape.with_features(width)]
        join = Join("concat", [Shape(s.form, s.features, 1) for s in read], groups)
        return Recurrence(cell, join, shape.positions, groups * width)


def _named(modules: dict[str, nn.Module]) -> nn.Sequential:
    made = nn.Sequential()
    for name, module in modules.items():
        made.add_module(name, module)
    return made


def initialise(network: nn.Module, quiet: Sequence[tuple[Any, float]] = ()) -> None:
    """Start maps' kernels by their fan in (He et al. 2015), linear maps of sequences at half that variance.

    `quiet` layers have so much of that.
    """
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear, GroupedLinear)):
            gain = 2.0 if isinstance(module, nn.Conv2d) else 1.0  # a norm or softmax reads a sequence
            nn.init.normal_(module.weight, std=(gain / module.weight[0].numel()) ** 0.5)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    with torch.no_grad():
        for layer, factor in quiet:
            layer.weight.mul_(factor)


class GrammarNetwork(Network):
    """A sentence, the mean over positions, and a classifier."""

    def __init__(self, sentence: Sentence, task: Task, *, fused: bool, dropout: float) -> None:
        super().__init__()
        shape = Shape.map(task.channels, task.height, task.width)
        try:
            made = after(sentence, shape)
        except SpaceError as error:
            raise SpaceError(f"for images of {task.channels} x {task.height} x {task.width}: {error}") from None
        builder = Builder(fused)
        self.body = builder.build(sentence, shape)
        self.mean = (2, 3) if made.form == MAP else (1,)
        self.dropout = nn.Dropout(dropout)
        self.classify = nn.Linear(made.features, task.classes)
        initialise(self, builder.quiet)

    def with_auxiliary(self, x: Images, architecture: Architecture | None = None) -> tuple[Logits, None]:
        return self.classify(self.dropout(self.body(x).mean(self.mean))), None
