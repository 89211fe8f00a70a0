"""Language models as people build them by hand, and cells that the search composes."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from archwright.graph import Edge, Graph, Node
from archwright.space import Architecture, Choice, Open, Option, Program, Space, TextTask
from archwright.spaces.known_language import RACING, TREE, known
from archwright.spaces.nas_recurrent import NasRecurrent
from archwright.spaces.settings import check_fields, fitting, only

if TYPE_CHECKING:
    from archwright.nets.language import LanguageModel
# What is asked of the model and of its training: names of questions, and the fields that hold their options.
MODEL = {"layers": "depths", "units": "widths", "tied": "ties"}
DROPOUTS = ("input", "output", "hidden", "words")
TRAINING = {"optimizer": "optimizers", "rate": "rates", "batch": "batches", "length": "lengths"}
UNORDERED = ("cell", "tied", "optimizer")
# PyTorch's: the steps of `sgd` are plain, with clipped gradients (Zaremba 2014); Adam's rate is a ten-thousandth.
OPTIMIZERS: Mapping[str, Mapping[str, Any]] = {
    "sgd": {"optimizer": "sgd", "momentum": 0.0, "nesterov": False, "clip_norm": 0.25},
    "adam": {"optimizer": "adam", "momentum": 0.9, "nesterov": False, "clip_norm": 1.0},
}
ADAM = 1e-4


@dataclass(frozen=True)
class Recurrent(Space):
    """Layers of recurrent cells between an embedding and a classifier, and of training what people tune by hand.

    Asked: the kind of cell; of a tree what `NasRecurrent` asks; the number of layers; units of each, and of the
    embedding; whether the classifier's matrix is the embedding's (Inan et al. 2017; Press & Wolf 2017); four dropouts;
    training (see `recipe`). No weights are shared.

    Dropouts: `input` of what goes into a layer, `output` of what goes to the classifier (Zaremba 2014, with one mask a
    sequence: Gal 2015), `hidden` of the matrix that reads h (DropConnect, Merity et al. 2018: the cells stay fast),
    `words` of the vocabulary (Gal 2015).

    Args:
        cells: "lstm", "gru" (PyTorch's), "tree" (NAS's: NASCell is one).
        base: leaves of a tree.
        depths: numbers of layers.
        widths: units of a layer, and of the embedding.
        ties: whether the classifier's matrix is the embedding's.
        dropouts: shares that are dropped.
        training: ask for the four that follow.
        optimizers: "sgd" or "adam".
        rates: peak learning rates of SGD for a mean loss; Adam's are a ten-thousandth.
        batches: rows of text.
        lengths: tokens that a gradient goes back.
        init: weights are uniform in [-init, init] / sqrt(units): Zaremba's 0.1, 0.05 and 0.04 for 200, 650 and 1500.
        remembers: tokens of the text just read that the model remembers outside training (a continuous cache: Grave et
            al. 2017). How much they count is fitted on the validation part at the end of training.
    """

    name: ClassVar[str] = "recurrent"
    data: ClassVar[str] = "text"
    reference_name: ClassVar[str | None] = "LSTM"
    reads: ClassVar[tuple[str, ...]] = (
        *("cells", "base", "dropouts", "training"),
        *MODEL.values(),
        *TRAINING.values(),
    )
    delivered: ClassVar[Mapping[str, Any]] = {"remembers": 500}  # Grave et al. 2017, section 5, on Penn Treebank

    cells: tuple[str, ...] = ("lstm", "gru", TREE)
    base: int = 8  # Zoph & Le 2017, section 4.2
    depths: tuple[int, ...] = (1, 2, 3, 4)
    widths: tuple[int, ...] = (*(32, 48, 64, 96, 128, 160, 200, 256, 320, 400, 512, 650, 800, 1024, 1280, 1500),)
    ties: tuple[bool, ...] = (True, False)
    dropouts: tuple[float, ...] = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.65)
    training: bool = True
    optimizers: tuple[str, ...] = ("sgd", "adam")
    rates: tuple[float, ...] = (2.5, 5.0, 10.0, 20.0, 40.0, 80.0)
    batches: tuple[int, ...] = (5, 10, 20, 40, 80)
    lengths: tuple[int, ...] = (20, 35, 70, 140)
    init: float = 1.4
    remembers: int = 0

    def __post_init__(self) -> None:
        lists = ("cells", "dropouts", *MODEL.values(), *TRAINING.values())
        check_fields(self, positive=(), different=lists)
        for name, own in (("cells", ("lstm", "gru", TREE)), ("optimizers", tuple(OPTIMIZERS))):
            self.require(name, set(getattr(self, name)) <= set(own), f"some of {', '.join(own)}")
        for name in ("depths", "widths", "batches", "lengths"):
            self.require(name, all(v >= 1 for v in getattr(self, name)), "numbers from 1 up")
        self.require("dropouts", all(0 <= v < 1 for v in self.dropouts), "from 0 to below 1")
        for name in ("rates", "init"):
            values = getattr(self, name)
            self.require(name, all(0 < v < math.inf for v in (values if name == "rates" else [values])), "above zero")
        self.require("remembers", self.remembers >= 0, "zero or more")
        _ = self._trees  # a base that is wrong is an error now

    @property
    def _trees(self) -> NasRecurrent:
        return NasRecurrent(base=self.base)

    @property
    def vocabularies(self) -> Mapping[str, tuple[Option, ...]]:
        fields = {"cell": "cells", **MODEL, "dropout": "dropouts", **(TRAINING if self.training else {})}
        words = {word: getattr(self, name) for word, name in fields.items()}
        return {**words, **(self._trees.vocabularies if TREE in self.cells else {})}

    @property
    def forwards(self) -> int:
        return 2 if self.remembers else 1

    def decide(self) -> Program:
        words = self.vocabularies
        cell = yield Choice("cell", words["cell"], vocabulary="cell")
        if cell == TREE:
            yield from self._trees.decide()
        for name in (*MODEL, *DROPOUTS, *(TRAINING if self.training else ())):
            word = "dropout" if name in DROPOUTS else name
            yield Choice(name, words[word], vocabulary=word, ordered=name not in UNORDERED)

    def recipe(self, architecture: Architecture) -> Mapping[str, Any]:
        """Return optimizer, its rate, rows and length of what the architecture says of training."""
        if not self.training:
            return {}
        answers: dict[str, Any] = dict(architecture.answers)
        scale = ADAM if answers["optimizer"] == "adam" else 1.0
        own = {name: answers[name] for name in ("batch", "length")}
        return {**OPTIMIZERS[answers["optimizer"]], **own, "learning_rate": answers["rate"] * scale}

    def known(self, size: float, recipe: Any = None, examples: int | None = None) -> Mapping[str, Architecture]:
        given: dict[str, Any] = {}
        if recipe is not None:
            given = {"batch": recipe.batch, "length": recipe.length}
            given["read"] = None if examples is None else recipe.epochs / examples
        return fitting(RACING, functools.partial(known, space=self, width=size, **given))

    def network(self, open: Open, task: TextTask) -> LanguageModel:
        from archwright.nets.language import LanguageModel
        from archwright.nets.recurrent import GruCell, LstmCell, TreeCell

        architecture = only(self, open)
        answers: dict[str, Any] = dict(architecture.answers)
        kinds: dict[str, Any] = {"lstm": LstmCell, "gru": GruCell}
        if answers["cell"] == TREE:
            kinds[TREE] = functools.partial(TreeCell, self._trees.tree(architecture))
        return LanguageModel(
            functools.partial(kinds[answers["cell"]], hidden_dropout=answers["hidden"]),
            task.vocabulary,
            answers["units"],
            answers["layers"],
            tied=answers["tied"],
            embedding_dropout=answers["words"],
            input_dropout=answers["input"],
            recurrent_dropout=0.0,
            output_dropout=answers["output"],
            init=self.init / math.sqrt(answers["units"]),
            remembers=self.remembers,
        )

    def reference(self, task: TextTask) -> LanguageModel:
        """Build an LSTM of 200 units, to compare with."""
        return self.network(Open.only(self, known("lstm", self, width=0.25)), task)

    def graphs(self, architecture: Architecture) -> tuple[Graph, ...]:
        answers: dict[str, Any] = dict(architecture.answers)
        layer = f"{answers['cell']} {answers['units']}"
        nodes = [Node("token", "input", "input"), Node("embedding", f"{answers['units']} units")]
        nodes += [Node(str(number), layer, "operation") for number in range(1, answers["layers"] + 1)]
        nodes.append(Node("classifier", "tied to the embedding" if answers["tied"] else "own matrix", "output"))
        edges = tuple(Edge(a.name, b.name) for a, b in itertools.pairwise(nodes))
        trees = self._trees.graphs(architecture) if answers["cell"] == TREE else ()
        return (Graph("network", tuple(nodes), edges), *trees)
