"""A trained classifier: used from Python, saved, and exported."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from archwright.data.decode import preprocess_image
from archwright.data.images import ImageData, Preprocessing
from archwright.data.tree import tree
from archwright.errors import ConfigError, DataWarning, RunError
from archwright.modalities.model_file import TrainedNetwork
from archwright.report.escape import for_terminal
from archwright.space import Task

if TYPE_CHECKING:
    from archwright.export.onnx_runtime import Session

BATCH = 256
CALIBRATED = 256  # training images by whose activations 8 bits are calibrated


def record_of(correct: Bool[Tensor, " n"]) -> dict[str, Any]:
    """Return the record of a test, image by image."""
    return {
        "accuracy": correct.double().mean().item(),
        "correct": "".join("1" if right else "0" for right in correct.tolist()),
    }


@dataclass(frozen=True)
class Prediction:
    """The class of one image, and the probability of each class."""

    label: str
    probabilities: tuple[float, ...]

    @property
    def probability(self) -> float:
        """That of `label`."""
        return max(self.probabilities)


@dataclass(frozen=True, eq=False)
class TrainedModel(TrainedNetwork):
    """A trained classifier: also class names and preprocessing."""

    kind: ClassVar[str] = "classifier"
    classes: tuple[str, ...]
    preprocessing: Preprocessing

    @property
    def task(self) -> Task:
        size = self.preprocessing
        return Task(size.channels, size.height, size.width, len(self.classes))

    def described(self) -> dict[str, Any]:
        return {"classes": list(self.classes), "preprocessing": self.preprocessing.to_json()}

    @staticmethod
    def parsed(described: dict[str, Any]) -> dict[str, Any]:
        classes = tuple(str(name) for name in described["classes"])
        return {"classes": classes, "preprocessing": Preprocessing.from_json(described["preprocessing"])}

    def export(
        self, folder: Path, *, formats: Sequence[str] = ("source", "pt2"), data: ImageData | None = None
    ) -> dict[str, Path]:
        from archwright.export import export

        if data is not None:
            self._require(data)
        return export(
            self.network,
            folder,
            classes=self.classes,
            preprocessing=self.preprocessing,
            architecture=self.architecture,
            formats=formats,
            calibration=None if data is None else lambda session: self._inputs(data),
        )

    def _inputs(self, data: ImageData) -> list[dict[str, Any]]:
        """Return training images as an exported file takes them; the training part is in random order."""
        return [{"images": part.float().numpy()} for part in torch.split(data.train.x[:CALIBRATED], CALIBRATED // 8)]

    def _require(self, data: ImageData) -> None:
        """Raise ConfigError if these are not images that the model sorts."""
        ours, theirs = (
            f"{t.channels}x{t.height}x{t.width} images of {t.classes} classes" for t in (self.task, data.task)
        )
        if ours != theirs:
            raise ConfigError(f"the model takes {ours}, and {data.name} has {theirs}")
        if data.classes != self.classes:
            raise ConfigError(f"{data.name} has other classes than the model, or in another order")

    def tested(self, session: Session, data: ImageData) -> dict[str, Any]:
        self._require(data)
        part, hits = data.validation, []
        for x, y in zip(torch.split(part.x, BATCH), torch.split(part.y, BATCH), strict=True):
            (logits,) = session({"images": x.float().numpy()})
            hits.append(torch.from_numpy(logits).argmax(1) == y)
        return record_of(torch.cat(hits))

    def logits(self, x: Tensor) -> Float[Tensor, "batch classes"]:
        """Return the logits of raw images [batch, channels, height, width]."""
        device = next(self.network.parameters()).device
        with torch.no_grad():
            pieces = [self.network(self.preprocessing(part.to(device))) for part in torch.split(x, BATCH)]
        return torch.cat(pieces)

    def predict(self, images: Sequence[Any] | Tensor) -> list[Prediction]:
        """Classify images: a raw tensor in the units of the training part, or paths and PIL images.

        Raises:
            DataError: if an image cannot be read, or is in other units for certain; where it may be, that is a
                `DataWarning`.
        """
        if not isinstance(images, Tensor):
            images = torch.stack([preprocess_image(image, self.preprocessing) for image in images])
        elif (units := self.preprocessing.units) and (remark := units.remark(images, "the images")):
            warnings.warn(remark, DataWarning, stacklevel=2)
        probabilities = self.logits(images).softmax(dim=1).tolist()
        return [Prediction(self.classes[row.index(max(row))], tuple(row)) for row in probabilities]

    def answers(self, inputs: Sequence[Path], *, tokens: int, seed: int) -> Iterator[tuple[dict[str, Any], str]]:
        """Classify image files, and all images in folders; what else lies there is a `DataWarning` with its count."""
        paths = [image for path in inputs for image in (_images_in(path) if path.is_dir() else [path])]
        for begin in range(0, len(paths), BATCH):
            part = paths[begin : begin + BATCH]
            for path, found in zip(part, self.predict(part), strict=True):
                probabilities = dict(zip(self.classes, found.probabilities, strict=True))
                figures = {"image": str(path), "class": found.label, "probabilities": probabilities}
                yield figures, for_terminal(f"{path}  {found.label}  {found.probability:.1%}")


def _images_in(folder: Path) -> list[Path]:
    lying = tree(folder)
    if not lying.images:
        raise RunError(f"{folder}: there are no images in this folder")
    for note in lying.unused():
        warnings.warn(f"{folder}: {note}", DataWarning, stacklevel=2)
    return lying.paths(lying.images)
