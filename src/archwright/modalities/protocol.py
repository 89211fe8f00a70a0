"""What a run asks about its data, whichever kind it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeAlias

import torch
from torch import Tensor

from archwright.data.images import ImageData
from archwright.data.text import TextData
from archwright.errors import ConfigError
from archwright.modalities.mistakes import Mistakes
from archwright.modalities.model_file import TrainedNetwork
from archwright.modalities.wording import Wording
from archwright.report.plots import Estimate
from archwright.training.parts import Part
from archwright.training.training_data import TrainingSource

if TYPE_CHECKING:
    from archwright.export.program import Program
    from archwright.space import Architecture, Space
    from archwright.training.recipe import Recipe

Data: TypeAlias = ImageData | TextData
Batch: TypeAlias = tuple[Tensor, Tensor]


class Scoring(Protocol):
    """Minibatches of the validation part. `metrics` names what a score has; `size` is what is in a minibatch."""

    metrics: tuple[str, ...]
    size: int

    def whole(self, *seeds: int) -> list[Any]:
        """Return the names of all minibatches of full size, shuffled by these seeds; `batch` takes one."""

    def batch(self, name: Any) -> Batch:
        """Return the minibatch of that name."""

    def score(self, network: Any, architecture: Architecture, batch: Batch) -> Mapping[str, float]:
        """Return the metrics of an architecture on a minibatch, with a network in evaluation mode."""

    def mean(self, scores: Sequence[Mapping[str, float]]) -> Mapping[str, float]:
        """Return the metrics over several minibatches."""


class Modality(TrainingSource, Protocol):
    """Loaded data, and all that depends on its kind.

    `metric` is what a network is judged by ("accuracy", "perplexity"), `wording` how its values are written, `label`
    stands before the words of a test. `objective` and `objective_from_scratch` name the usual ones, of shared weights
    and of trained children.
    """

    data: Any
    name: ClassVar[str]
    holds: ClassVar[type]  # of the loaded data
    model: ClassVar[type[TrainedNetwork]]
    metric: ClassVar[str]
    larger_is_better: ClassVar[bool]
    label: ClassVar[str]
    objective: ClassVar[str]
    objective_from_scratch: ClassVar[str]

    def __init__(self, data: Any) -> None: ...

    @property
    def wording(self) -> Wording:
        """How values of the metric are written."""

    @staticmethod
    def recognises(source: Any) -> bool:
        """Return whether a source shows that it is of this kind."""

    @staticmethod
    def load(source: Any, *, seed: int, **options: Any) -> Data:
        """Load the data."""

    @staticmethod
    def task_like(task: Any, *, image_size: int | None, channels: int | None, classes: int | None) -> Any:
        """Return a task (None: a usual one) with what is given changed."""

    @staticmethod
    def shown_size(network: Any, space: Space, task: Any) -> tuple[dict[str, Any], str]:
        """Return the sizes of a network as plain data and as a line of text."""

    def describe(self) -> tuple[dict[str, Any], list[str]]:
        """Return what was understood of the data, as plain data and as lines of text."""

    def contract(self) -> str:
        """Return in words what a model of this data takes: the range of pixels, the tokens."""

    def remarks(self) -> dict[str, list[str]]:
        """Return what was done with the data ("notes") and what may be wrong with it ("warnings"), in sentences."""
        return {"notes": list(self.data.notes), "warnings": list(self.data.warnings)}

    def per_step(self, recipe: Recipe) -> int:
        """Return how many images, or tokens, are in a training step."""

    def per_look(self, recipe: Recipe) -> float:
        """Return how many images, or tokens, validation reads in the time of a training step's forward pass."""
        return self.per_step(recipe)

    def scoring(self, recipe: Recipe, size: int, device: torch.device, *, channels_last: bool) -> Scoring:
        """Return the validation part in minibatches of `size`."""

    def halves(self, seed: int) -> tuple[TrainingSource, TrainingSource]:
        """Return what weights and what soft weights are trained on in a gradient search."""

    def residual(self, parameters: int, *, stem_stride: int = 1, dropout: float = 0.0) -> Any:
        """Return a hand-made residual network of about so many parameters."""
        raise ConfigError(f"a residual network is for images, and {self.data.name} is {self.name}")

    def sort_key(self, record: Mapping[str, Any]) -> tuple[float, float]:
        """Return a sort key for a trained candidate's record, by metric, then by loss; larger is better."""
        score = record[f"validation_{self.metric}"]
        return score if self.larger_is_better else -score, -record["validation_loss"]

    @staticmethod
    def multiply_adds(network: Any, task: Any) -> int:
        """Count the multiply-adds of one image, or of one token."""

    @staticmethod
    def noise(network: Any, task: Any, count: int) -> tuple[Any, ...]:
        """Return the arguments of a pass over `count` random examples, drawn by torch's generator, in its precision."""

    def size(self, network: Any) -> dict[str, int]:
        """Return the multiply-adds of one evaluation."""
        return {"multiply_adds": self.multiply_adds(network, self.data.task)}

    def program(self, network: Any, batch: int) -> Program:
        """Return a network as what a runtime is given, with inputs of so many images, or texts, one step each."""

    def validation_interval(self, score: float) -> tuple[float, float] | None:
        """Return the 95 % interval of a score on the validation part, where it follows from the score."""
        return None

    def test(self, network: Any, recipe: Recipe, device: str, part: str = "test") -> dict[str, Any]:
        """Use the test part, or another, and return the record of it."""

    def figures(self, test: Mapping[str, Any]) -> dict[str, Any]:
        """Return a test's part of a result: the metric, its 95 % interval, and how much was tested."""

    def difference(self, ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> tuple[float, float, float]:
        """Return ours minus theirs in the metric (of characters, in bits) and its 95 % interval, from two tests."""

    def validated(self, record: Mapping[str, Any]) -> str:
        """Return the validation of a trained candidate in words."""

    def estimate(self, label: str, figures: Mapping[str, Any], *, found: bool = False) -> Estimate:
        """Return a line of the comparison plot, in the numbers that the words have."""
        values = figures[f"test_{self.metric}"], *figures["test_interval"]
        value, low, high = map(self.wording.number, values)
        return Estimate(label, value, low, high, found=found)

    def tested(self, figures: Mapping[str, Any]) -> str:
        """Return how much was tested in words."""

    def details(self, figures: Mapping[str, Any]) -> list[str]:
        """Return more lines for the summary."""
        return []

    def report_sections(self, figures: Mapping[str, Any]) -> list[str]:
        """Return more lines of Markdown for the report."""
        return []

    def mistakes(self, test: Mapping[str, Any]) -> Mistakes:
        """Return what a test of the test part got wrong, with the examples; empty for records that did not keep it."""
        return Mistakes()

    def parts(self, network: Any) -> list[Part]:
        """Return what the nodes of a network's drawing cost; nothing for networks that do not say."""
        return []

    def save(self, network: Any, architecture: Architecture, space: Space, folder: Path) -> None:
        """Write a trained model."""


def data_lines(modality: Modality) -> list[str]:
    """Return what every run says of its data: the split, what a model takes, notes and warnings."""
    remarks = modality.remarks()
    return [
        f"data: {modality.data.split}",
        f"model input: {modality.contract()}",
        *(f"note: {note}" for note in remarks["notes"]),
        *(f"warning: {warning}" for warning in remarks["warnings"]),
    ]


def data_facts(modality: Modality) -> dict[str, Any]:
    """Return what a result says of its data, beside the split: `model_input`, `data_notes` and `data_warnings`."""
    remarks = {f"data_{kind}": sentences for kind, sentences in modality.remarks().items()}
    return {"model_input": modality.contract(), **remarks}


def verdict(modality: Modality, low: float, high: float) -> str:
    """Return the verdict over a random search of the same time, from the interval of the difference to it."""
    if low <= 0 <= high:
        return "on this test part the search cannot be told from random search"
    better = "better" if (low > 0) == modality.larger_is_better else "worse"
    return f"the search found a {better} network than random search in the same time"
