"""In which units pixels are: what black and white are in the training part, and so what a model takes later."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from jaxtyping import Num
from torch import Tensor

from archwright.errors import DataError

WHITES = (1.0, 255.0, 1023.0, 4095.0, 16383.0, 65535.0)  # of floats, and of 8, 10, 12, 14 and 16 bits
BOUNDS = (1.0, 255.0)  # whites that image files have; the deeper ones are concluded from the values
SLACK = 0.01  # of the range: resizing may overshoot
FAR = {True: 0.5, False: 4.0}  # ranges beyond white, of files or not, where values are in other units for certain
DIM = 16  # a whole set of images below this part of white is probably in another unit


@dataclass(frozen=True)
class Units:
    """The contract of a model with the images it is given: the values of black and white.

    Where no usual white fits the training part, `low` and `high` are its lowest and highest value (`low` 0 if none is
    negative). `deep_scale` brings the values of image files of more than 8 bits to these units; it is not 1 where such
    files were trained on among files of 8 bits.
    """

    low: float
    high: float
    deep_scale: float = 1.0

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, (self.low, self.high, self.deep_scale))) or self.low > self.high:
            raise DataError(f"pixels from {self.low} to {self.high}, scale {self.deep_scale}, are no range")

    @staticmethod
    def of_values(low: float, high: float) -> Units:
        """Return the units in which the values of a training part reach from `low` to `high`."""
        if low < 0:
            return Units(low, high)
        usual = [white for white in WHITES if white / 2 < high <= white]
        return Units(0.0, usual[0] if usual else max(high, 1.0))

    @property
    def bounded(self) -> bool:
        """Whether image files of 8 bits have this range, or it is 0 to 1."""
        return self.low == 0 and self.high in BOUNDS

    @property
    def file_scale(self) -> float | None:
        """What brings the bytes of an image file, 0 to 255, to these units; None where black is not 0."""
        return self.high / 255 if self.low == 0 else None

    @property
    def range(self) -> str:
        """The range in words."""
        return f"{self.low:g} to {self.high:g}"

    def words(self) -> str:
        """Return what is known of the range, and what it means for image files."""
        if self.low < 0:
            return f"{self.range}, in units of their own, which image files do not have"
        if self.bounded:
            files = ", as in image files" if self.high == 255 else "; the 0 to 255 of image files is brought to it"
            return f"{self.range} (black to white){files}"
        white = "white" if self.high in WHITES else "the highest training value, taken for white"
        return f"{self.range} ({white}); image files of 8 bits do not have it, their white counts as {self.high:g}"

    def remark(self, x: Num[Tensor, "*images channels height width"], what: str) -> str | None:
        """Return a warning about values that may be in other units.

        Raises:
            DataError: if they are in other units for certain. `what` names them.
        """
        if not x.numel():
            return None
        low, high, width = float(x.min()), float(x.max()), self.high - self.low
        beyond = max(self.low - low, high - self.high) / (width or 1.0)
        said = f"{what}: values are {low:g} to {high:g}, and the training part's range is {self.range}"
        if not beyond <= FAR[self.bounded]:
            raise DataError(f"{said}; bring them to that range")
        if beyond > SLACK:
            return f"{said}; are they in the same units?"
        if low < high and high - self.low <= width / DIM:
            return f"{said}: are they in other units, or all so dark?"
        return None

    def to_json(self) -> dict[str, float]:
        """Return plain data."""
        return asdict(self)

    @staticmethod
    def from_json(data: Any) -> Units:
        """Read what `to_json` wrote; anything else raises one of KeyError, TypeError, ValueError or DataError."""
        return Units(*(float(data[name]) for name in ("low", "high", "deep_scale")))
