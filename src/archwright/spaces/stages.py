"""Networks of stages, as people build them by hand and as RegNet's space has them (Radosavovic et al. 2020)."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from archwright.graph import Edge, Graph, Node
from archwright.space import Architecture, Choice, Decision, Open, Option, Program, Space, Task
from archwright.spaces.known import RACING, known
from archwright.spaces.settings import check_fields, fitting, only, settings

if TYPE_CHECKING:
    from torch import nn

    from archwright.nets.wiring import StageSpec
# What is asked of each stage, and of training: vocabularies, and the fields that hold their options.
STAGE = {
    **{"width": "widths", "kind": "kinds", "blocks": "blocks", "halving": "halvings", "kernel": "kernels"},
    **{"excite": "excitations", "activation": "activations"},
}
TRAINING = {
    **{"rate": "rates", "weight_decay": "weight_decays", "batch": "batches", "smoothing": "smoothings"},
    "augment": "augments",
}
ORDERED = ("width", "blocks", "kernel", "rate", "weight_decay", "batch", "smoothing", "augment")
WHOLE = {"order": "orders", "head": "heads"}
ORDERS = ("after", "before", "inside")
HALVINGS = ("none", "stride", "max", "average", "late-max", "late-average")
HEADS = ("average", "max")


@dataclass(frozen=True)
class Stages(Space):
    """A stem, then stages of equal blocks, as many as the architecture says, and of training what people tune by hand.

    Asked: the stem's width; order; the head's pooling; training (see `recipe`); the number of stages; of each stage its
    width, kind and number of blocks, halving, kernel, squeeze-and-excitation (Hu et al. 2018), activation.

    A map whose shorter side is less than 4 pixels is not halved any more, whatever the stage says; odd sides round up.
    No weights are shared.

    Args:
        most_stages: stages are 1 to so many; MobileNetV2 has 8.
        widths: of the stem and of stages.
        kinds: "plain": convolutions. "residual": two convolutions and a shortcut (He et al. 2016a). "bottleneck": 1x1
            to a quarter of the width, a convolution, 1x1. "inverted-T": 1x1 to T times the width, a depthwise
            convolution, 1x1 (MobileNetV2); of T = 1 without the first. After "conv-" the width is changed and the map
            halved by a convolution, and blocks keep both; otherwise the first block does it.
        blocks: of a stage.
        halvings: "none", by "stride" of the first convolution, by a 2x2 pool ("max", "average") before it, or after
            it and before its norm ("late-max", "late-average").
        kernels: sides of a block's convolutions.
        excitations: whether blocks have squeeze-and-excitation.
        activations: names in `archwright.nets.stages.ACTIVATIONS`; the stem has the first stage's.
        orders: where BatchNorm and activation stand in blocks. "after": the activation follows the addition (He et al.
            2016a). "before": both precede each convolution (He et al. 2016b). "inside": both follow each convolution,
            and nothing the addition (Page 2018).
        heads: pooling of the last map.
        training: ask for the five that follow.
        rates: peak learning rates for a batch of 128; of others they are in proportion.
        weight_decays: of training.
        batches: images of a step.
        smoothings: of labels.
        augments: share of the recipe's shift and cutout.
        stem_stride: 1, 2 or 4.
        dropout: before the classifier.
        whiten: the network begins with frozen filters that `StagesNetwork.whiten` sets from data.
        mirror: outside training the logits are the mean of those of an image and of its mirror image (as Krizhevsky et
            al. 2012 average; Jordan 2024). It takes twice the time of one.
        zero_init: blocks with a shortcut begin as the identity, or near it (Goyal et al. 2017, section 5.1).
    """

    name: ClassVar[str] = "stages"
    ways: ClassVar[Mapping[str, Mapping[str, Any]]] = {"mirror": {"mirror": True}}
    reads: ClassVar[tuple[str, ...]] = ("most_stages", "training", *STAGE.values(), *WHOLE.values(), *TRAINING.values())

    most_stages: int = 8
    widths: tuple[int, ...] = (
        *(8, 12, 16, 24, 32, 48, 64, 96, 128, 160, 192, 256, 320, 384, 512, 640, 768, 1024, 1280),
    )
    kinds: tuple[str, ...] = (
        *("plain", "residual", "conv-residual", "bottleneck", "inverted-1", "inverted-2", "inverted-4", "inverted-6"),
    )
    blocks: tuple[int, ...] = (1, 2, 3, 4, 6)
    halvings: tuple[str, ...] = HALVINGS
    kernels: tuple[int, ...] = (1, 3, 5, 7)
    excitations: tuple[bool, ...] = (False, True)
    activations: tuple[str, ...] = ("relu", "gelu", "silu", "hardswish")
    orders: tuple[str, ...] = ORDERS
    heads: tuple[str, ...] = HEADS
    training: bool = True
    rates: tuple[float, ...] = (0.0125, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
    weight_decays: tuple[float, ...] = (1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2)
    batches: tuple[int, ...] = (32, 64, 128, 256, 512)
    smoothings: tuple[float, ...] = (0.0, 0.1, 0.2)
    augments: tuple[float, ...] = (0.0, 0.5, 1.0)
    stem_stride: int = 1
    dropout: float = 0.0
    whiten: bool = False
    zero_init: bool = False
    mirror: bool = False

    def __post_init__(self) -> None:
        lists = {**STAGE, **WHOLE, **TRAINING}.values()
        check_fields(self, positive=("most_stages",), different=tuple(lists))
        for name in ("widths", "blocks", "batches"):
            self.require(name, all(v >= 1 for v in getattr(self, name)), "numbers from 1 up")
        self.require("kernels", all(v >= 1 and v % 2 == 1 for v in self.kernels), "odd numbers from 1 up")
        for name, own in (("orders", ORDERS), ("halvings", HALVINGS), ("heads", HEADS)):
            self.require(name, set(getattr(self, name)) <= set(own), f"some of {', '.join(own)}")
        self.require("rates", all(0 < v < math.inf for v in self.rates), "greater than zero")
        for name in ("weight_decays", "smoothings", "augments"):
            self.require(name, all(0 <= v <= 1 for v in getattr(self, name)), "from 0 to 1")

    @property
    def vocabularies(self) -> Mapping[str, tuple[Option, ...]]:
        fields = {**STAGE, **WHOLE, **(TRAINING if self.training else {})}
        words = {word: getattr(self, field) for word, field in fields.items()}
        return {**words, "stages": tuple(range(1, self.most_stages + 1))}

    @property
    def forwards(self) -> int:
        return 1 + self.mirror

    def decide(self) -> Program:
        words = self.vocabularies
        yield Choice("stem", words["width"], vocabulary="width", ordered=True)
        for name in (*WHOLE, *(TRAINING if self.training else ())):
            yield Choice(name, words[name], vocabulary=name, ordered=name in ORDERED)
        # No other answer is looked at, so that the space is counted in one pass for each number of stages.
        stages = yield Choice("stages", words["stages"], vocabulary="stages", ordered=True)
        for number in range(1, stages + 1):
            for name in STAGE:
                like = f"{number - 1}/{name}"
                yield Choice(f"{number}/{name}", words[name], vocabulary=name, ordered=name in ORDERED, like=like)

    def stages_of(self, architecture: Architecture) -> tuple[StageSpec, ...]:
        """Describe each stage."""
        from archwright.nets.wiring import StageSpec

        answers: dict[str, Any] = dict(architecture.answers)
        numbers = range(1, answers["stages"] + 1)
        return tuple(StageSpec(**{name: answers[f"{number}/{name}"] for name in STAGE}) for number in numbers)

    def known(self, size: float, recipe: Any = None, examples: int | None = None) -> Mapping[str, Architecture]:
        given: dict[str, Any] = {}
        if recipe is not None:
            names = {
                "weight_decay": "weight_decay",
                "batch": "batch",
                "smoothing": "label_smoothing",
                "augment": "augment",
            }
            given = {"rate": recipe.learning_rate * 128 / recipe.batch}
            given |= {name: getattr(recipe, field) for name, field in names.items()}
        return fitting(RACING, functools.partial(known, space=self, width=size, **given))

    def recipe(self, architecture: Architecture) -> Mapping[str, Any]:
        """Return the learning rate at the architecture's batch, and what else of training it says."""
        if not self.training:
            return {}
        answers: dict[str, Any] = dict(architecture.answers)
        return {
            "learning_rate": answers["rate"] * answers["batch"] / 128,
            "label_smoothing": answers["smoothing"],
            **{name: answers[name] for name in ("weight_decay", "batch", "augment")},
        }

    def features(self, architecture: Architecture) -> Mapping[str, Mapping[Any, float]]:
        """Return the stages by their place from the end, with log2 of widths, and log2 of the size and of the work.

        A logarithm is a member that often, so that two architectures differ by the difference.
        """
        stages = self.stages_of(architecture)
        ends = {-place: stage for place, stage in enumerate(reversed(stages), start=1)}
        side, size, work = 1.0, 1.0, 1.0
        for stage in stages:
            side *= 1 if stage.halving == "none" else 0.5
            weights = _weights(stage)
            size, work = size + weights, work + weights * side**2
        return {
            "kinds from the end": {(place, stage.kind): 1 for place, stage in ends.items()},
            "widths from the end": {place: 2 * round(math.log2(stage.width)) for place, stage in ends.items()},
            "magnitude": {"weights": round(math.log2(size)), "multiply-adds": round(math.log2(work))},
        }

    def role(self, question: Decision) -> str:
        """Say that kinds are operations."""
        return "operation" if isinstance(question, Choice) and question.vocabulary == "kind" else "setting"

    def network(self, open: Open, task: Task) -> nn.Module:
        from archwright.nets.stages import StagesNetwork

        architecture = only(self, open)
        whole = {name: architecture[name] for name in ("stem", *WHOLE)}
        return StagesNetwork(
            self.stages_of(architecture),
            task,
            **whole,  # type: ignore[arg-type]
            **settings(self, "stem_stride", "dropout", "whiten", "zero_init", "mirror"),
        )

    def graphs(self, architecture: Architecture) -> tuple[Graph, ...]:
        stages = self.stages_of(architecture)
        stem = f"conv {architecture['stem']}, {stages[0].activation}"
        nodes = [Node("image", "image", "input"), Node("stem", stem)]
        nodes += [Node(str(number), _label(stage)) for number, stage in enumerate(stages, start=1)]
        nodes += [Node("pool", f"{architecture['head']} of the map"), Node("classifier", "classifier", "output")]
        edges = tuple(Edge(a.name, b.name) for a, b in itertools.pairwise(nodes))
        return (Graph(f"network, activations {architecture['order']}", tuple(nodes), edges),)


def _weights(stage: StageSpec) -> float:
    """Return about how many weights a stage has, as if its first block read its own width."""
    square, inside = stage.kernel**2, stage.kind.rpartition("-")[2]
    own = {"plain": square, "bottleneck": 0.5 + square / 16, "conv-residual": square / stage.blocks + 2 * square}
    block = 2 * int(inside) if inside.isdecimal() else own.get(stage.kind, 2 * square)
    return stage.width**2 * stage.blocks * block


def _label(stage: StageSpec) -> str:
    (_, entry, kind), (_, late, how) = stage.kind.rpartition("conv-"), stage.halving.rpartition("late-")
    times = f"{stage.blocks} x " if stage.blocks > 1 else ""
    parts = [f"{entry and 'conv, '}{times}{kind} {stage.width}", f"{stage.kernel}x{stage.kernel}", stage.activation]
    parts += ["excited"] * stage.excite
    parts += [f"halved {late and 'late '}by {how}"] * (how != "none")
    return ", ".join(parts)
