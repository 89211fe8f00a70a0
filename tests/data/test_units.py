"""The range of pixels: found from the training part, and what does not fit it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from archwright.data.sources import load
from archwright.data.units import Units
from archwright.errors import DataError


@pytest.mark.parametrize(
    ("low", "high", "units"),
    [
        (0, 255, Units(0, 255)),
        (3, 200, Units(0, 255)),
        (0, 16, Units(0, 16)),
        (0, 1, Units(0, 1)),
        (0, 0.3, Units(0, 1)),
        (0, 0, Units(0, 1)),
        (0, 4000, Units(0, 4095)),
        (0, 60_000, Units(0, 65535)),
        (-1.5, 2, Units(-1.5, 2)),
    ],
)
def test_the_range_is_found_from_the_values(low: float, high: float, units: Units) -> None:
    assert Units.of_values(low, high) == units
    assert Units.from_json(units.to_json()) == units


@pytest.mark.parametrize(
    ("units", "low", "high", "remark"),
    [
        (Units(0, 255), 0, 255, None),
        (Units(0, 255), 0, 100, None),
        (Units(0, 255), 0, 1, "all so dark"),
        (Units(0, 255), 0, 300, "same units"),
        (Units(0, 255), 0, 4095, DataError),
        (Units(0, 1), 0, 255, DataError),
        (Units(0, 16), 0, 255, DataError),
        (Units(0, 16), 0, 30, "same units"),
        (Units(0, 4095), 0, 255, "all so dark"),
        (Units(-2, 2), 0, 255, DataError),
        (Units(-2, 2), -3, 2.5, "same units"),
        (Units(0, 255), float("nan"), 3, DataError),
    ],
)
def test_what_does_not_fit_is_an_error_or_a_warning(units: Units, low: float, high: float, remark: Any) -> None:
    x = torch.tensor([low, high]).view(1, 1, 1, 2)
    if remark is DataError:
        with pytest.raises(DataError, match=r"^these: values are"):
            units.remark(x, "these")
    else:
        said = units.remark(x, "these")
        assert (said is None) if remark is None else (said is not None and remark in said)


def digits(scale: float, count: int, dtype: Any = np.float64) -> Any:
    x = np.random.default_rng(count).integers(0, 17, (count, 8, 8)) / 16 * scale
    x[:, 0, 0] = scale
    return x.astype(dtype), np.arange(count) % 2


def test_the_model_keeps_the_range_of_the_training_part() -> None:
    for scale, dtype in ((16, np.float64), (16, np.uint8), (1, np.float32), (255, np.uint8), (4095, np.uint16)):
        preprocessing = load(digits(scale, 40, dtype)).preprocessing
        assert preprocessing.units == Units(0, scale)
        assert preprocessing.file_scale == scale / 255
    source = load(digits(16, 40))
    assert load(source, limit=4).preprocessing.units == Units(0, 16)


def test_parts_in_different_ranges_are_noticed() -> None:
    with pytest.raises(DataError, match="the test part: values are 0 to 255, and the training part's range is 0 to 1"):
        load((digits(1, 40), digits(255, 20)))
    data = load((digits(255, 40), digits(1, 20)))
    assert data.warnings[0].startswith("the test part: values are 0 to 1, and the training part's range is 0 to 255")
    assert load((digits(255, 40), digits(255, 20))).reader_warnings == ()
