"""A trained model as files: weights as safetensors, everything else as JSON. Loading one runs no code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from archwright.data.decode import preprocess_image
from archwright.data.images import Preprocessing
from archwright.errors import RunError
from archwright.nets.network import without_auxiliary
from archwright.runs.plan import space_from_json, space_to_json
from archwright.runs.weights import put_weights, read_model, write_model
from archwright.space import Architecture, Open, Space, Task

KIND = "classifier"
BATCH = 256


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
class TrainedModel:
    """A network with what is needed to use it: architecture, class names, preprocessing."""

    network: nn.Module
    architecture: Architecture
    space: Space
    classes: tuple[str, ...]
    preprocessing: Preprocessing

    def save(self, folder: Path) -> None:
        """Write `weights.safetensors` and `model.json`."""
        described = {
            "kind": KIND,
            "architecture": self.architecture.to_json(),
            "space": space_to_json(self.space),
            "classes": list(self.classes),
            "preprocessing": self.preprocessing.to_json(),
        }
        write_model(folder, described, self.network)

    @staticmethod
    def load(folder: str | Path, *, space: str | None = None, device: str = "cpu") -> TrainedModel:
        """Read what `save` wrote. `space` names the file of a space that does not come with archwright."""
        folder = Path(folder)
        described, weights = read_model(folder, KIND)
        try:
            architecture = Architecture.from_json(described["architecture"])
            built = space_from_json(described["space"], space).for_architecture(architecture)
            preprocessing = Preprocessing.from_json(described["preprocessing"])
            classes = tuple(str(name) for name in described["classes"])
        except (KeyError, TypeError, AttributeError) as error:
            raise RunError(f"{folder / 'model.json'} is damaged: {error!r}") from None
        task = Task(preprocessing.channels, preprocessing.height, preprocessing.width, len(classes))
        network = without_auxiliary(built.network(Open.only(built, architecture), task))
        put_weights(folder, network, weights)
        return TrainedModel(network.to(device).eval(), architecture, built, classes, preprocessing)

    def export(self, folder: Path, *, formats: Sequence[str] = ("source", "pt2")) -> dict[str, Path]:
        """Write files that need no archwright. See `archwright.export.export`."""
        from archwright.export import export

        return export(
            self.network,
            folder,
            classes=self.classes,
            preprocessing=self.preprocessing,
            architecture=self.architecture,
            formats=formats,
        )

    def logits(self, x: Tensor) -> Float[Tensor, "batch classes"]:
        """Of raw images [batch, channels, height, width]."""
        device = next(self.network.parameters()).device
        with torch.no_grad():
            pieces = [self.network(self.preprocessing(part.to(device))) for part in torch.split(x, BATCH)]
        return torch.cat(pieces)

    def predict(self, images: Sequence[Any] | Tensor) -> list[Prediction]:
        """Classify images: a raw tensor, or paths and PIL images."""
        if isinstance(images, Tensor):
            x = images
        else:
            x = torch.stack([preprocess_image(image, self.preprocessing) for image in images])
        probabilities = self.logits(x).softmax(dim=1).tolist()
        return [Prediction(self.classes[row.index(max(row))], tuple(row)) for row in probabilities]
