"""The convolutional space of NAS (Zoph & Le 2017, section 3): layers written one after the other, and skips."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from archwright.graph import Edge, Graph, Node
from archwright.space import Architecture, Choice, Links, Open, Option, Program, Space, Task
from archwright.spaces.settings import check_fields, only, settings

if TYPE_CHECKING:
    from torch import nn

    from archwright.nets.wiring import LayerSpec
# What is asked of a layer of each type, in the paper's order.
TOKENS = {
    "conv": ("height", "width", "stride_height", "stride_width", "filters", "norm"),
    "pool": ("size", "stride_height", "stride_width"),
    "norm": (),
}


@dataclass(frozen=True)
class NasConv(Space):
    """Layers of convolution, BatchNorm and ReLU, each reading any of the layers before it (skip connections).

    Asked per layer, in the paper's order: filter height, filter width, stride height and width (if there are several
    strides), number of filters, then the anchor point: a set of earlier layers. With more than one of `types`, the type
    of the layer comes first; the learning rate of the child, if it is asked for, before everything.

    The paper's rules: a layer without inputs reads the image; outputs that nobody reads are concatenated for the
    classifier; maps that differ in size are zero-padded to the largest (evenly: where is not stated). Several inputs
    are concatenated in depth.

    Depth grows: proposal number n has `first_layers` + `more_layers` * (n // `every`) layers, up to `layers`; the
    policy is one throughout, because the vocabularies stay the same. No weights are shared: every child is trained.

    Args:
        layers: the most that are written; v2 of the paper found 20.
        first_layers, more_layers, every: how that number is reached; `every` counts proposals.
        filter_heights, filter_widths, filter_counts: what a convolution may have. Sides are odd.
        strides: of one value: not asked.
        skips: ask for inputs; otherwise every layer reads the one before.
        types: of layers: "conv", "pool" (maximum over a square), "norm" (BatchNorm alone).
        pool_sizes: sides of a "pool" layer's square.
        choose_norm: ask of each convolution whether BatchNorm follows; otherwise it does.
        learning_rates: of the child's training; none: not asked.
        block: convolutions that one written layer stands for, densely connected (3 in v3 of the paper, which has 39).
        pool_after: written layers after which every map so far is halved by a 2x2 maximum (two in v3).
        more_filters: added to every convolution of a delivered network (v3 with "more filters": 40).
        dropout: before the classifier.
    """

    name: ClassVar[str] = "nas-conv"
    reads: ClassVar[tuple[str, ...]] = (
        *("layers", "filter_heights", "filter_widths", "filter_counts", "strides", "skips", "types", "pool_sizes"),
        *("choose_norm", "learning_rates"),
    )

    layers: int = 20  # 6 + 2 * (12,799 // 1,600) = 20
    first_layers: int = 6  # Zoph & Le 2017, section 4.1
    more_layers: int = 2  # the same
    every: int = 1600  # the same
    filter_heights: tuple[int, ...] = (1, 3, 5, 7)  # the same
    filter_widths: tuple[int, ...] = (1, 3, 5, 7)  # the same
    filter_counts: tuple[int, ...] = (24, 36, 48, 64)  # the same
    strides: tuple[int, ...] = (1,)  # the same; the experiment that predicts strides has (1, 2, 3)
    skips: bool = True
    types: tuple[str, ...] = ("conv",)
    pool_sizes: tuple[int, ...] = (3,)
    choose_norm: bool = False
    learning_rates: tuple[float, ...] = ()
    block: int = 1
    pool_after: tuple[int, ...] = ()
    more_filters: int = 0
    dropout: float = 0.0

    def __post_init__(self) -> None:
        different = ("filter_heights", "filter_widths", "filter_counts", "strides", "types", "pool_sizes")
        check_fields(self, positive=("layers", "first_layers", "every", "block"), different=different)
        self.require("more_layers", self.more_layers >= 0, "zero or more")
        for name in ("filter_heights", "filter_widths", "pool_sizes"):
            self.require(name, all(v >= 1 and v % 2 == 1 for v in getattr(self, name)), "odd numbers from 1 up")
        for name in ("filter_counts", "strides"):
            self.require(name, all(v >= 1 for v in getattr(self, name)), "numbers from 1 up")
        self.require("types", set(self.types) <= set(TOKENS), f"some of {', '.join(TOKENS)}")
        for name in ("learning_rates", "pool_after"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
            values = getattr(self, name)
            self.require(name, all(v > 0 for v in values), "greater than zero")
            self.require(name, len(set(values)) == len(values), "values that differ")

    @property
    def vocabularies(self) -> Mapping[str, tuple[Option, ...]]:
        words: dict[str, tuple[Option, ...]] = {}
        if "conv" in self.types:
            words |= {"height": self.filter_heights, "width": self.filter_widths, "filters": self.filter_counts}
            if self.choose_norm:
                words["norm"] = (True, False)
        if len(self.strides) > 1:
            words |= {"stride_height": self.strides, "stride_width": self.strides}
        if "pool" in self.types:
            words["pool"] = self.pool_sizes
        if len(self.types) > 1:
            words["type"] = self.types
        if self.learning_rates:
            words["learning_rate"] = self.learning_rates
        return words

    def grown(self, asked: int) -> NasConv:
        """Return the space as deep as proposal number `asked` is written (Zoph & Le 2017, section 4.1)."""
        layers = min(self.layers, self.first_layers + self.more_layers * (asked // self.every))
        return self if layers == self.layers else dataclasses.replace(self, layers=layers)

    def decide(self) -> Program:
        words = self.vocabularies  # what it lacks is not asked
        if self.learning_rates:
            yield Choice("learning_rate", self.learning_rates, vocabulary="learning_rate")
        anchors: tuple[str, ...] = ()
        for layer in range(1, self.layers + 1):
            kind = self.types[0]
            if len(self.types) > 1:
                kind = yield Choice(f"{layer}/type", self.types, vocabulary="type")
            for token in TOKENS[str(kind)]:
                vocabulary = "pool" if token == "size" else token
                if vocabulary in words:
                    yield Choice(f"{layer}/{token}", words[vocabulary], vocabulary=vocabulary)
            if self.skips:
                yield Links(f"{layer}/inputs", among=anchors, anchor=str(layer))
                anchors = (*anchors, str(layer))

    def layers_of(self, architecture: Architecture) -> tuple[LayerSpec, ...]:
        """Describe each layer."""
        answers: dict[str, Any] = dict(architecture.answers)
        depth = int(dict(architecture.fields)["layers"])
        return tuple(self._layer(answers, number) for number in range(1, depth + 1))

    def _layer(self, answers: Mapping[str, Any], number: int) -> LayerSpec:
        from archwright.nets.wiring import LayerSpec

        kind = answers.get(f"{number}/type", self.types[0])
        size = answers.get(f"{number}/size", 1)
        alone = self.strides[0] if len(self.strides) == 1 and kind != "norm" else 1
        before = (str(number - 1),) if number > 1 else ()
        return LayerSpec(
            kind,
            answers.get(f"{number}/height", size),
            answers.get(f"{number}/width", size),
            (answers.get(f"{number}/stride_height", alone), answers.get(f"{number}/stride_width", alone)),
            answers.get(f"{number}/filters", 0),
            answers.get(f"{number}/norm", True),
            tuple(int(name) - 1 for name in answers.get(f"{number}/inputs", before)),
        )

    def recipe(self, architecture: Architecture) -> Mapping[str, Any]:
        """Return the learning rate, if the architecture has one."""
        return {"learning_rate": architecture["learning_rate"]} if self.learning_rates else {}

    def network(self, open: Open, task: Task) -> nn.Module:
        from archwright.nets.layered import Layered

        layers = self.layers_of(only(self, open))
        return Layered(layers, task, **settings(self, "block", "pool_after", "more_filters", "dropout"))

    def graphs(self, architecture: Architecture) -> tuple[Graph, ...]:
        from archwright.nets.wiring import loose_layers

        layers = self.layers_of(architecture)
        nodes, edges = [Node("image", "image", "input")], []
        for number, layer in enumerate(layers, start=1):
            nodes.append(Node(str(number), _label(layer)))
            edges += [Edge(str(source + 1), str(number)) for source in layer.inputs] or [Edge("image", str(number))]
        nodes.append(Node("output", "concat", "output"))
        edges += [Edge(str(number + 1), "output") for number in loose_layers(layers)]
        return (Graph("network", tuple(nodes), tuple(edges)),)


def _label(layer: LayerSpec) -> str:
    if layer.kind == "norm":
        return "norm"
    stride = "" if layer.stride == (1, 1) else f" /{layer.stride[0]}x{layer.stride[1]}"
    filters = f" {layer.filters}" if layer.kind == "conv" else ""
    plain = "" if layer.normalised else " plain"
    return f"{'conv' if layer.kind == 'conv' else 'max'} {layer.height}x{layer.width}{filters}{stride}{plain}"
