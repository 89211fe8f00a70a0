"""What a tested network gets wrong, as a test records it and as a page shows it."""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

WORST, CONFUSED = 24, 400  # examples, and pairs of classes, that are kept
THUMBNAIL = 96  # pixels


@dataclass(frozen=True)
class Mistake:
    """An example that the network is sure of and wrong about: a `picture` (a data URI), or the `text` before it."""

    truth: str
    said: str
    confidence: float
    picture: str = ""
    text: str = ""


@dataclass(frozen=True)
class Mistakes:
    """`confused` has (truth, prediction, how many) of the pairs of classes confused most, `right` is by class."""

    worst: Sequence[Mistake] = ()
    classes: Sequence[str] = ()
    right: Sequence[int] = ()
    confused: Sequence[tuple[int, int, int]] = ()
    noun: str = "images"

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def most_confident(predicted: Tensor, truth: Tensor, confidence: Tensor) -> list[tuple[int, int, float]]:
    """Return (position, prediction, confidence) of the wrong predictions that are surest, equal ones by position."""
    wrong = (predicted != truth).nonzero().flatten()
    order = confidence[wrong].sort(descending=True, stable=True).indices[:WORST]
    kept = wrong[order]
    return [(int(i), int(predicted[i]), round(float(confidence[i]), 6)) for i in kept]


def confused(predicted: Tensor, truth: Tensor) -> list[tuple[int, int, int]]:
    """Return (truth, prediction, how many) of wrong predictions, the most frequent ones."""
    wrong = predicted != truth
    pairs = Counter(zip(truth[wrong].tolist(), predicted[wrong].tolist(), strict=True))
    return [(*pair, count) for pair, count in sorted(pairs.items(), key=lambda item: (-item[1], item[0]))[:CONFUSED]]


def data_uri(image: Tensor) -> str:
    """Return an image [channels, height, width] as a small PNG in a data URI; floats are spread over black to white."""
    import numpy as np
    from PIL import Image

    values = image[:3] if image.shape[0] >= 3 else image[:1]
    if values.is_floating_point():
        low, high = values.min(), values.max()
        values = (255 * (values - low) / (high - low).clamp(min=1e-12)).byte()
    pixels = np.ascontiguousarray(values.permute(1, 2, 0).numpy())
    picture = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    picture.thumbnail((THUMBNAIL, THUMBNAIL))
    written = io.BytesIO()
    picture.save(written, "PNG")
    return "data:image/png;base64," + base64.b64encode(written.getvalue()).decode()
