"""The space of sentences: a program that composes an operation, rule by rule, and offers only what fits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

from archwright.graph import Graph
from archwright.sentences.fitting import measured
from archwright.sentences.library import parse
from archwright.sentences.operations import Operation, operations
from archwright.sentences.rules import COMPOSED, COMPUTATIONS, FRACTIONS, JOINS, LEAVES
from archwright.sentences.sentence import Sentence
from archwright.sentences.shapes import Limits, Shape
from archwright.space import Architecture, Open, Option, Program, Seed, Space, Task, checked
from archwright.spaces.grammar.composing import ENDS, LEAVE, SETTINGS, Composer, answered
from archwright.spaces.grammar.drawing import drawn
from archwright.spaces.grammar.starters import STARTERS, starter
from archwright.spaces.grammar.trees import all_nodes, crossed, difference, magnitudes, tree_features, varied
from archwright.spaces.settings import check_fields, fitting, only, settings

if TYPE_CHECKING:
    from torch import nn

RULES = (*COMPUTATIONS, *COMPOSED)
# Groups of few features and long recurrences take more time than their work says. Known networks have 16 branches.
FAST = {"branches": 16, "steps": 64}


@dataclass(frozen=True)
class Grammar(Space):
    """A network is one sentence of a grammar, then a mean and a classifier (after einspace, Ericsson et al. 2024).

    Asked, from the outside in: the rule of each part; with it how many parts, how branches begin and are joined, how a
    routing begins and ends, a width. Only what fits the shape at that place is offered, so every answer is a network
    that builds and runs; and only what leaves room to end within the limits. No weights are shared.

    A sentence is composed for images of `channels` x `height` x `width`; its network is built for the data at hand.

    Args:
        channels: of the images.
        height: of the images, in pixels.
        width: of the images, in pixels.
        rules: of the parts; "identity" must be one.
        widths: of a linear map, and of a recurrent state, beside those relative to what comes in.
        splits: how a branching begins. With more than two branches all have one sentence, with weights of their own.
        joins: how a branching ends.
        enters: how a routing begins: im2col(kernel, stride), permute, identity.
        most_parts: a sequence has 2 to so many.
        repetitions: how often a part that keeps its shape may be repeated.
        deepest: rules inside each other.
        operations: rules in a sentence.
        parameters: without the classifier.
        multiply_adds: for one image, without the classifier.
        values: numbers for one image between two operations.
        least_work: as good as all sentences do so much work for one image: a multiply-add is one, and a number that an
            operation writes is 16 (`sentences.shapes.WRITING`); the time of a step is in proportion.
        most_work: and so much at most.
        branches: that branchings inside each other have together, without those of single channels.
        steps: positions that recurrences go through, repeats included.
        fused: networks compute what is known together (convolutions, attention, equal branches), not rule by rule.
        dropout: before the classifier.
    """

    name: ClassVar[str] = "grammar"
    aligned: ClassVar[bool] = False  # a name is a place in a tree
    reads: ClassVar[tuple[str, ...]] = (
        *("channels", "height", "width", "rules", "widths", "splits", "joins", "enters", "most_parts", "repetitions"),
        *("deepest", "operations", "parameters", "multiply_adds", "values", "branches", "steps"),
        *("least_work", "most_work"),
    )

    channels: int = 3
    height: int = 32
    width: int = 32
    rules: tuple[str, ...] = RULES
    widths: tuple[int, ...] = (8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
    splits: tuple[str, ...] = (
        *("clone(2)", "clone(4)", "clone(8)", "group(2)", "group(4)", "group(8)", "group(channels)"),
    )
    joins: tuple[str, ...] = tuple(JOINS)
    enters: tuple[str, ...] = (
        *("identity", "permute", "im2col(1, 1)", "im2col(1, 2)", "im2col(2, 2)", "im2col(3, 1)", "im2col(3, 2)"),
        *("im2col(4, 4)", "im2col(5, 1)", "im2col(5, 2)", "im2col(7, 1)", "im2col(8, 8)"),
    )
    most_parts: int = 8
    repetitions: tuple[int, ...] = (2, 3, 4, 6, 8)
    deepest: int = 12
    operations: int = 300
    parameters: int = 20_000_000
    multiply_adds: int = 1_000_000_000
    values: int = 2**20
    least_work: int = 0
    most_work: int = 10**12
    branches: int = 64
    steps: int = 256
    fused: bool = True
    dropout: float = 0.0

    def __post_init__(self) -> None:
        sizes = ("channels", "height", "width", "deepest", "operations")
        positive = (*sizes, "parameters", "multiply_adds", "values", "most_work")
        lists = ("rules", "widths", "splits", "joins", "enters", "repetitions")
        check_fields(self, positive=positive, different=lists)
        self.require(
            "rules", "identity" in self.rules and {*self.rules} <= {*COMPUTATIONS, *COMPOSED}, f"some of {RULES}"
        )
        self.require("joins", {*self.joins} <= {*JOINS}, f"some of {(*JOINS,)}")
        self.require("most_parts", self.most_parts >= 2, "2 at least")
        for name, first in (("splits", ("clone", "group")), ("enters", (*LEAVES,))):
            wrong = [word for word in getattr(self, name) if parse(word).rule not in first]
            self.require(name, not wrong, f"some of {', '.join(first)}, with their settings")

    @property
    def vocabularies(self) -> Mapping[str, tuple[Option, ...]]:
        return {
            "rule": self.rules,
            "width": (*FRACTIONS, *self.widths),
            "split": self.splits,
            "join": self.joins,
            "enter": self.enters,
            "leave": LEAVE,
            "parts": tuple(range(2, self.most_parts + 1)),
            "repeats": self.repetitions,
        }

    @property
    def input(self) -> Shape:
        """The shape of an image."""
        return Shape.map(self.channels, self.height, self.width)

    @property
    def limits(self) -> Limits:
        """What a sentence may cost at most."""
        return Limits(self.parameters, self.multiply_adds, self.operations, self.most_work)

    def decide(self) -> Program:
        yield from Composer(self).program()

    def sentence(self, architecture: Architecture) -> Sentence:
        """Return the sentence that an architecture's answers write down."""
        return written_by(architecture.answers)

    def architecture(self, sentence: Sentence, before: Sentence | None = None) -> Architecture:
        """Return the architecture of a sentence; `SpaceError` or `UnknownOption` where this space does not have it.

        `before`: a sentence of the space, of which it is a variation: what is the same is not read again.
        """
        measured(sentence, self.input)  # its errors name the part
        answers: dict[str, Any] = {}

        def note(part: Sentence, at: str) -> None:
            answers[at] = part.rule
            if part.rule in SETTINGS:
                answers[f"{at}/{SETTINGS[part.rule]}"] = part.settings[0]
            elif part.rule in ENDS:
                for name, end in zip(ENDS[part.rule], (part.parts[0], part.parts[-1]), strict=True):
                    answers[f"{at}/{name}"] = str(end)
            elif part.rule == "sequential":
                answers[f"{at}/parts"] = len(part.parts)
            for number, inner in enumerate(part.inner):
                note(inner, f"{at}.{number}")

        note(sentence, "0")
        changed = () if before is None else difference(before, sentence)
        asked = answered(
            Composer(self, answers, changed=changed).program(),
            lambda question: checked(question, answers.get(question.name)),
        )
        return Architecture(self.name, tuple(self.fields.items()), tuple(asked))

    def known(self, size: float, recipe: Any = None, examples: int | None = None) -> Mapping[str, Architecture]:
        return fitting(STARTERS, lambda name: self.architecture(starter(name, self, size)))

    def near(self, known: Sequence[Architecture], times: float) -> Grammar:
        """Return the space of sentences of about as much work as known ones, and of no more weights and memory."""
        costs = [measured(self.sentence(one), self.input)[1] for one in known]
        if not costs:
            return self
        most = {
            name: int(times * max(getattr(cost, name) for cost in costs)) for name in ("parameters", "multiply_adds")
        }
        parts = (part for one in known for part in all_nodes(self.sentence(one), self.input))
        largest = max(max(part.before.size, part.after.size) * part.copies for part in parts)
        limits = {
            name: min(limit, getattr(self, name))
            for name, limit in {**most, **FAST, "values": int(times * largest)}.items()
        }
        work = [cost.work for cost in costs]
        most_work = min(self.most_work, int(times * max(work)))
        least = min(int(min(work) / times), int(min(most_work, limits["multiply_adds"]) / times**2))
        return replace(self, **limits, most_work=most_work, least_work=max(self.least_work, least))

    def network(self, open: Open, task: Task) -> nn.Module:
        from archwright.nets.grammar import GrammarNetwork

        return GrammarNetwork(self.sentence(only(self, open)), task, **settings(self, "fused", "dropout"))

    def composed(self, architecture: Architecture) -> list[Operation]:
        return operations(self.sentence(architecture), self.input)

    def varied(self, architecture: Architecture, seed: Seed) -> Architecture:
        return varied(self, architecture, seed)

    def crossed(self, one: Architecture, other: Architecture, seed: Seed) -> Architecture | None:
        return crossed(self, one, other, seed)

    def features(self, architecture: Architecture) -> Mapping[str, Mapping[Any, float]]:
        return tree_features(self.sentence(architecture))

    def magnitudes(self, architecture: Architecture) -> Mapping[str, float]:
        return magnitudes(self.sentence(architecture), self.input)

    def graphs(self, architecture: Architecture) -> tuple[Graph, ...]:
        return drawn(self.sentence(architecture), self.input)


@lru_cache(maxsize=4096)
def written_by(written: tuple[tuple[str, Any], ...]) -> Sentence:
    """Return the sentence that answers write down."""
    answers: dict[str, Any] = dict(written)

    def read(at: str) -> Sentence:
        rule = answers[at]
        inner = [read(f"{at}.{n}") for n in range(_count(answers, at, rule))]
        if rule in ENDS:
            first, last = (parse(answers[f"{at}/{name}"]) for name in ENDS[rule])
            return Sentence(rule, (), (first, *inner, last))
        own = SETTINGS.get(rule)
        return Sentence(rule, () if own is None else (answers[f"{at}/{own}"],), tuple(inner))

    return read("0")


def _count(answers: Mapping[str, Any], at: str, rule: str) -> int:
    """Return how many sentences a rule has inside."""
    if rule == "sequential":
        return int(answers[f"{at}/parts"])
    if rule == "branching":
        return 2 if parse(answers[f"{at}/split"]).settings[0] == 2 else 1
    return int(rule in COMPOSED)
