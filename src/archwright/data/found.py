"""The result of a reader: parts by name, not yet checked against each other, labelled with numbers or split."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from torch import Tensor

from archwright.data.units import Units

Progress: TypeAlias = Callable[[int, int], None]
Labels: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"
Size: TypeAlias = tuple[int, int]  # height and width


@dataclass(frozen=True, eq=False)
class Part:
    """One part of a source. `x`: [n, channels, height, width]; `y`: int64 or text [n]; `called`: its own name."""

    x: Tensor
    y: Labels
    called: str


@dataclass(frozen=True, eq=False)
class Found:
    """Parts under "train", "validation" and "test"; without a split in the source, all is under "train".

    `classes` names the labels 0, 1, ... where the source does; `notes` are sentences about what was converted or not
    used, `warnings` about what may be wrong. `units` are those of image files; None: the values say them.
    """

    parts: dict[str, Part]
    classes: tuple[str, ...] | None = None
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    units: Units | None = None
