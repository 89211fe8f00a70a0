"""What differs between kinds of data at the end of a run: how a network is scored, compared, worded and kept."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from archwright.report.plots import Estimate
from archwright.report.statistics import mean_interval, paired_difference, wilson
from archwright.training.accuracy import evaluate_accuracy
from archwright.training.measure import multiply_adds
from archwright.training.perplexity import LARGEST_LOSS, evaluate_perplexity, perplexity

if TYPE_CHECKING:
    from archwright.data.images import ImageData
    from archwright.data.text import TextData
    from archwright.space import Architecture, Space

LN2 = math.log(2)
BLOCKS = 100  # of test text: tokens near each other are not independent, blocks nearly are
MOST_CLASSES = 20  # more are told in `report.md` only


class Subject(Protocol):
    """One kind of data. `metric` is what a network is judged by ("accuracy", "perplexity"), `label` stands before the
    words of a test, `measure` is what pictures show, `scale` times the estimates."""

    metric: str
    label: str
    measure: str
    scale: float

    def rank(self, record: dict[str, Any]) -> tuple[float, float]:
        """Of a trained candidate's record: the better, the larger."""

    def size(self, network: Any) -> dict[str, int]:
        """What one evaluation costs."""

    def test(self, network: Any, device: str) -> dict[str, Any]:
        """Use the test part: the record of it."""

    def figures(self, test: dict[str, Any]) -> dict[str, Any]:
        """What a result says of a test: the metric, its 95 % interval, and how much was tested."""

    def difference(self, ours: dict[str, Any], theirs: dict[str, Any]) -> tuple[float, float, float]:
        """Ours minus theirs in the metric (of characters, in bits), and its 95 % interval, of two tests."""

    def better(self, low: float, high: float) -> int:
        """1 if an interval of `difference` says ours is better, -1 if worse, 0 if it cannot be told."""

    def words(self, value: float) -> str:
        """A value of the metric."""

    def words_of_interval(self, low: float, high: float) -> str:
        """The 95 % interval of a value."""

    def words_of_difference(self, difference: float, low: float, high: float) -> str:
        """A difference and its interval."""

    def validated(self, record: dict[str, Any]) -> str:
        """What validation said of a trained candidate."""

    def estimate(self, label: str, figures: dict[str, Any], *, found: bool = False) -> Estimate:
        """A line of the comparison plot."""

    def details(self, figures: dict[str, Any]) -> list[str]:
        """More lines for the summary."""

    def save(self, network: Any, architecture: Architecture | None, space: Space, folder: Path) -> None:
        """Write the trained model."""


class ImageSubject:
    """Classification: accuracy."""

    metric = "accuracy"
    label = "test accuracy"
    measure = "accuracy, %"
    scale = 100.0

    def __init__(self, data: ImageData) -> None:
        self._data = data

    def rank(self, record: dict[str, Any]) -> tuple[float, float]:
        """Validation accuracy, then validation loss."""
        return record["validation_accuracy"], -record["validation_loss"]

    def size(self, network: Any) -> dict[str, int]:
        """Multiply-adds of one image."""
        return {"multiply_adds": multiply_adds(network, self._data.task)}

    def test(self, network: Any, device: str) -> dict[str, Any]:
        """Accuracy, and image by image whether it was right."""
        score = evaluate_accuracy(network, self._data.test, self._data.preprocessing, device=device)
        bits = "".join("1" if right else "0" for right in score.correct.tolist())
        return {"accuracy": score.accuracy, "correct": bits}

    def figures(self, test: dict[str, Any]) -> dict[str, Any]:
        """Accuracy with Wilson's interval, and by class."""
        correct = _bits(test)
        return {
            "test_accuracy": float(correct.mean()),
            "test_interval": list(wilson(int(correct.sum()), len(correct))),
            "test_images": len(correct),
            "per_class": self._per_class(correct),
        }

    def _per_class(self, correct: np.ndarray) -> dict[str, dict[str, float | None]]:
        labels = self._data.test.y.numpy()
        found: dict[str, dict[str, float | None]] = {}
        for index, name in enumerate(self._data.classes):
            ours = correct[labels == index]
            found[name] = {"accuracy": float(ours.mean()) if len(ours) else None, "images": len(ours)}
        return found

    def difference(self, ours: dict[str, Any], theirs: dict[str, Any]) -> tuple[float, float, float]:
        """Paired by image."""
        return paired_difference(_bits(ours), _bits(theirs))

    def better(self, low: float, high: float) -> int:
        """More is better."""
        return 1 if low > 0 else -1 if high < 0 else 0

    def words(self, value: float) -> str:
        """Per cent."""
        return f"{value:.2%}"

    def words_of_interval(self, low: float, high: float) -> str:
        """Per cent."""
        return f"95 % interval {low:.2%} to {high:.2%}"

    def words_of_difference(self, difference: float, low: float, high: float) -> str:
        """Points."""
        return f"{difference * 100:+.2f} points, 95 % interval {low * 100:+.2f} to {high * 100:+.2f}"

    def validated(self, record: dict[str, Any]) -> str:
        """Of the validation images."""
        return f"{record['validation_accuracy']:.2%} of validation images"

    def estimate(self, label: str, figures: dict[str, Any], *, found: bool = False) -> Estimate:
        """Accuracy and interval."""
        low, high = figures["test_interval"]
        return Estimate(label, figures["test_accuracy"], low, high, found=found)

    def details(self, figures: dict[str, Any]) -> list[str]:
        """Accuracy of each class; of many classes, of the ten worst."""
        classes = figures["per_class"].items()
        known = [(name, found["accuracy"]) for name, found in classes if found["accuracy"] is not None]
        label = "per class"
        if len(known) > MOST_CLASSES:
            known = sorted(known, key=lambda item: item[1])[:10]
            label = "worst classes"
        words = [f"{name} {accuracy:.1%}" for name, accuracy in known]
        rows = [", ".join(words[i : i + 5]) for i in range(0, len(words), 5)]
        return [f"{label if not i else '':<17}{row}" for i, row in enumerate(rows)]

    def save(self, network: Any, architecture: Architecture | None, space: Space, folder: Path) -> None:
        """See `archwright.runs.model`."""
        from archwright.runs.model import TrainedModel

        assert architecture is not None
        TrainedModel(network, architecture, space, self._data.classes, self._data.preprocessing).save(folder)


class TextSubject:
    """Language models: perplexity of a word, or bits of a character; less is better."""

    metric = "perplexity"
    label = "test"
    scale = 1.0

    def __init__(self, data: TextData, length: int) -> None:
        self._data, self._length = data, length
        self._characters = data.level == "characters"
        self.measure = "bits a character" if self._characters else "perplexity"

    def rank(self, record: dict[str, Any]) -> tuple[float, float]:
        """Validation loss."""
        return -record["validation_loss"], 0.0

    def size(self, network: Any) -> dict[str, int]:
        """Multiply-adds of one token: every matrix once."""
        matrices = sum(p.numel() for name, p in network.named_parameters() if p.dim() == 2 and "embedding" not in name)
        tied = network.classify.weight is network.embedding.weight
        return {"multiply_adds": matrices + (network.embedding.weight.numel() if tied else 0)}

    def test(self, network: Any, device: str) -> dict[str, Any]:
        """Loss, and that of each of 100 blocks of the text."""
        score = evaluate_perplexity(network, self._data.test.to(device), length=self._length)
        blocks = [float(block.double().mean()) for block in score.losses.tensor_split(BLOCKS)]
        return {"perplexity": score.perplexity, "loss": score.loss, "blocks": blocks, "tokens": len(score.losses)}

    def figures(self, test: dict[str, Any]) -> dict[str, Any]:
        """Perplexity and bits of a token, with the interval over blocks."""
        mean, low, high = mean_interval(test["blocks"])
        shift = test["loss"] - mean  # blocks differ in length by a token
        return {
            "test_perplexity": test["perplexity"],
            "test_interval": [perplexity(low + shift), perplexity(high + shift)],
            "test_bits": test["loss"] / LN2,
            "test_tokens": test["tokens"],
        }

    def difference(self, ours: dict[str, Any], theirs: dict[str, Any]) -> tuple[float, float, float]:
        """Paired by block of text."""
        mean, low, high = mean_interval(np.array(ours["blocks"]) - np.array(theirs["blocks"]))
        difference = ours["loss"] - theirs["loss"]
        if self._characters:
            shift = difference - mean  # blocks differ in length by a token
            return difference / LN2, (low + shift) / LN2, (high + shift) / LN2
        base = theirs["perplexity"]
        most = LARGEST_LOSS - math.log(base)
        low, high = (base * math.expm1(min(bound, most)) for bound in (low, high))
        return ours["perplexity"] - base, low, high

    def better(self, low: float, high: float) -> int:
        """Less is better."""
        return 1 if high < 0 else -1 if low > 0 else 0

    def words(self, value: float) -> str:
        """With the unit."""
        return f"{self._shown(value)} bits a character" if self._characters else f"perplexity {_short(value)} a word"

    def words_of_interval(self, low: float, high: float) -> str:
        """Without the unit."""
        return f"95 % interval {self._shown(low)} to {self._shown(high)}"

    def _shown(self, value: float) -> str:
        return f"{math.log2(value):.3f}" if self._characters else _short(value)

    def words_of_difference(self, difference: float, low: float, high: float) -> str:
        """In perplexity, or in bits."""
        if self._characters:
            return f"{difference:+.3f} bits, 95 % interval {low:+.3f} to {high:+.3f}"
        between = f"{_short(low, '+')} to {_short(high, '+')}"
        return f"{_short(difference, '+')} in perplexity, 95 % interval {between}"

    def validated(self, record: dict[str, Any]) -> str:
        """Of the validation part."""
        return f"validation {self.words(perplexity(record['validation_loss']))}"

    def estimate(self, label: str, figures: dict[str, Any], *, found: bool = False) -> Estimate:
        """What is measured, and its interval."""
        values = [figures["test_perplexity"], *figures["test_interval"]]
        value, low, high = (math.log2(value) for value in values) if self._characters else values
        return Estimate(label, value, low, high, found=found)

    def details(self, figures: dict[str, Any]) -> list[str]:
        """Nothing more."""
        return []

    def save(self, network: Any, architecture: Architecture | None, space: Space, folder: Path) -> None:
        """See `archwright.runs.language_model`."""
        from archwright.runs.language_model import TrainedLanguageModel

        assert architecture is not None
        TrainedLanguageModel(network, architecture, space, self._data.vocabulary, self._data.level).save(folder)


def subject(data: ImageData | TextData, length: int) -> Subject:
    """The subject of the data; `length` is what a recipe says of text."""
    from archwright.data.text import TextData

    return TextSubject(data, length) if isinstance(data, TextData) else ImageSubject(data)


def better_of(subject: Subject, low: float, high: float) -> str:
    """The verdict over a random search of the same time."""
    verdicts: Sequence[str] = (
        "on this test part the search cannot be told from random search",
        "the search found a better network than random search in the same time",
        "the search found a worse network than random search in the same time",
    )
    return verdicts[subject.better(low, high)]


def _short(number: float, sign: str = "") -> str:
    """Two decimals; of what diverged, three digits instead of hundreds."""
    return f"{number:{sign}.2f}" if abs(number) < 1e6 else f"{number:{sign}.3g}"


def _bits(record: dict[str, Any]) -> np.ndarray:
    return np.array([bit == "1" for bit in record["correct"]])
