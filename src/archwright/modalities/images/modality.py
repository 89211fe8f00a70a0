"""Images with classes, as a run sees them: judged by accuracy, compared image by image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from archwright.data.images import ImageData
from archwright.data.text import is_text
from archwright.errors import ConfigError
from archwright.modalities.images.batches import ImageScoring, ImageTrainingData
from archwright.modalities.images.model import TrainedModel, record_of
from archwright.modalities.mistakes import Mistake, Mistakes, confused, data_uri, most_confident
from archwright.modalities.protocol import Modality
from archwright.modalities.wording import Wording
from archwright.report.escape import for_markdown
from archwright.report.statistics import paired_difference, wilson
from archwright.space import Architecture, Space, Task
from archwright.training.accuracy import evaluate_accuracy
from archwright.training.measure import multiply_adds, parameters
from archwright.training.parts import Part, parts_of_image
from archwright.training.randomness import Stream, stream

if TYPE_CHECKING:
    from archwright.export.program import Program
    from archwright.nets.residual import Residual
    from archwright.training.recipe import Recipe

NOISE_SIDE = 32  # pixels at most: a network's feature maps fit into memory, however large its images are
NOT_MIRRORED = (
    "these do not look like photographs whose mirror images have the same class: the small preset does not mirror them "
    "without --final_recipe.flip true"
)
MOST_CLASSES = 20  # more are in `report.md` only


@dataclass(frozen=True, eq=False)
class Images(Modality):
    """Images for classification."""

    data: ImageData

    name: ClassVar[str] = "images"
    holds: ClassVar[type] = ImageData
    model = TrainedModel
    metric: ClassVar[str] = "accuracy"
    larger_is_better: ClassVar[bool] = True
    label: ClassVar[str] = "test accuracy"
    objective: ClassVar[str] = "accuracy"
    objective_from_scratch: ClassVar[str] = "accuracy"
    wording = Wording("accuracy, %", lambda share: 100 * share, times=100, mark="%", difference="points")

    @staticmethod
    def recognises(source: Any) -> bool:
        """Return whether a source is digits, arrays in memory, or a file or folder that may have images."""
        if is_text(source):
            return False
        if not isinstance(source, (str, Path)) or str(source) == "digits":
            return True
        path = Path(source)
        if not path.is_dir():
            return path.exists()
        return any(inside.is_dir() or inside.suffix != ".txt" for inside in path.iterdir())  # else "no images"

    @staticmethod
    def load(source: Any, *, seed: int, **options: Any) -> ImageData:
        from archwright.data.sources import load

        return load(source, seed=seed, **options)

    @staticmethod
    def task_like(task: Task | None, **changes: int | None) -> Task:
        """Return a task with the size, channels or classes that are given; the usual one is 3x32x32 and 10 classes."""
        for name, value in changes.items():
            if value is not None and value < 1:
                raise ConfigError(f"--{name.replace('_', '-')} is {value}; it must be at least 1")
        task, size = task or Task(3, 32, 32, 10), changes["image_size"]
        channels, classes = changes["channels"] or task.channels, changes["classes"] or task.classes
        return Task(channels, size or task.height, size or task.width, classes)

    @staticmethod
    def shown_size(network: Any, space: Any, task: Task) -> tuple[dict[str, Any], str]:
        shape = task.channels, task.height, task.width
        count, adds = parameters(network), multiply_adds(network.eval(), task)
        facts = {"input": list(shape), "classes": task.classes, "parameters": count, "multiply_adds": adds}
        sizes = "".join(f", {name} {getattr(space, name)}" for name in ("filters", "repeats") if hasattr(space, name))
        return facts, f"{count:,} parameters, {adds:,} multiply-adds at {'x'.join(map(str, shape))}{sizes}"

    def describe(self) -> tuple[dict[str, Any], list[str]]:
        from archwright.data.describe import as_lines, describe

        description = describe(self.data)
        return description, as_lines(description)

    def remarks(self) -> dict[str, list[str]]:
        found = super().remarks()
        if self.data.task.channels == 3 and not self.data.mirrored_alike:
            found["notes"].append(NOT_MIRRORED)
        return found

    def contract(self) -> str:
        from archwright.data.describe import pixels_of

        return f"pixels {pixels_of(self.data)}"

    def per_step(self, recipe: Recipe) -> int:
        return recipe.batch

    def training_data(
        self, model: Any, recipe: Recipe, *, seed: int, device: torch.device, channels_last: bool = True
    ) -> ImageTrainingData:
        return ImageTrainingData(model, self.data, recipe, seed=seed, device=device, channels_last=channels_last)

    def scoring(self, recipe: Recipe, size: int, device: torch.device, *, channels_last: bool) -> ImageScoring:
        return ImageScoring(self.data, size, device, channels_last=channels_last)

    def halves(self, seed: int) -> tuple[Images, Images]:
        """Return two random halves of the training part (DARTS 2019, section 3.1)."""
        count = len(self.data.train)
        if count < 4:
            raise ConfigError(f"{count} training images are too few to be halved; a gradient search needs at least 4")
        order = torch.from_numpy(stream(Stream.HALVES, seed).permutation(count))
        first, second = (self.data.train[half.sort().values] for half in (order[: count // 2], order[count // 2 :]))
        return Images(replace(self.data, train=first)), Images(replace(self.data, train=second))

    def residual(self, parameters: int, *, stem_stride: int = 1, dropout: float = 0.0) -> Residual:
        from archwright.nets.residual import residual_network

        return residual_network(self.data.task, parameters, stem_stride=stem_stride, dropout=dropout)

    @staticmethod
    def multiply_adds(network: Any, task: Task) -> int:
        return multiply_adds(network, task)

    @staticmethod
    def noise(network: Any, task: Task, count: int) -> tuple[Tensor]:
        height, width = (min(NOISE_SIDE, side) for side in (task.height, task.width))
        return (torch.randn(count, task.channels, height, width).to(next(network.parameters()).dtype),)

    def program(self, network: Any, batch: int) -> Program:
        from archwright.export.program import Program

        task = self.data.task
        source = torch.Generator().manual_seed(0)
        images = torch.rand(batch, task.channels, task.height, task.width, generator=source)
        return Program(network, {"images": images}, ("logits",), {})

    def validation_interval(self, score: float) -> tuple[float, float]:
        count = len(self.data.validation)
        return wilson(round(score * count), count)

    def test(self, network: Any, recipe: Recipe, device: str, part: str = "test") -> dict[str, Any]:
        score = evaluate_accuracy(network, self.data.parts[part], self.data.preprocessing, device=device)
        record = record_of(score.correct)
        if part == "test":
            answers = score.predicted, self.data.test.y.cpu()
            record |= {"confused": confused(*answers), "worst": most_confident(*answers, score.confidence)}
        return record

    def figures(self, test: Mapping[str, Any]) -> dict[str, Any]:
        """Return accuracy with Wilson's interval, and by class."""
        correct, labels = _bits(test), self.data.test.y.numpy()
        by_class = {name: correct[labels == index] for index, name in enumerate(self.data.classes)}
        return {
            "test_accuracy": float(correct.mean()),
            "test_interval": list(wilson(int(correct.sum()), len(correct))),
            "test_images": len(correct),
            "per_class": {
                name: {"accuracy": float(ours.mean()) if len(ours) else None, "images": len(ours)}
                for name, ours in by_class.items()
            },
        }

    def difference(self, ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> tuple[float, float, float]:
        return paired_difference(_bits(ours), _bits(theirs))

    def validated(self, record: Mapping[str, Any]) -> str:
        return f"{record['validation_accuracy']:.2%} of validation images"

    def tested(self, figures: Mapping[str, Any]) -> str:
        return f"{figures['test_images']} images"

    def details(self, figures: Mapping[str, Any]) -> list[str]:
        """Return the accuracy of each class; of the ten worst if there are many."""
        known = {
            name: found["accuracy"] for name, found in figures["per_class"].items() if found["accuracy"] is not None
        }
        label, listed = "per class", list(known)
        if len(known) > MOST_CLASSES:
            label, listed = "worst classes", sorted(known, key=known.__getitem__)[:10]
        words = [f"{name} {known[name]:.1%}" for name in listed]
        return [f"{'' if i else label:<17}{', '.join(words[i : i + 5])}" for i in range(0, len(words), 5)]

    def report_sections(self, figures: Mapping[str, Any]) -> list[str]:
        lines = ["## Accuracy by class", "", "| class | accuracy | test images |", "|---|---|---|"]
        for name, found in figures["per_class"].items():
            accuracy = "" if found["accuracy"] is None else f"{found['accuracy']:.2%}"
            lines.append(f"| {for_markdown(name)} | {accuracy} | {found['images']} |")
        return [*lines, ""]

    def mistakes(self, test: Mapping[str, Any]) -> Mistakes:
        if "worst" not in test:
            return Mistakes()
        correct, names, part = _bits(test), self.data.classes, self.data.test
        labels = part.y.numpy()
        worst = [
            Mistake(names[labels[i]], names[said], confidence, picture=data_uri(part.x[i]))
            for i, said, confidence in test["worst"]
        ]
        right = [int(correct[labels == index].sum()) for index in range(len(names))]
        return Mistakes(worst, names, right, [tuple(pair) for pair in test["confused"]])

    def parts(self, network: Any) -> list[Part]:
        drawn = getattr(network, "drawn", None)
        return [] if drawn is None else parts_of_image(network, drawn(), self.data.task)

    def save(self, network: Any, architecture: Architecture, space: Space, folder: Path) -> None:
        TrainedModel(network, architecture, space, self.data.classes, self.data.preprocessing).save(folder)


def _bits(record: Mapping[str, Any]) -> np.ndarray:
    return np.array([bit == "1" for bit in record["correct"]])
