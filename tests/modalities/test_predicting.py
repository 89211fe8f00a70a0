"""Predicting with a trained classifier: the range of pixels that it was trained on holds for what it is given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from archwright.data.images import Preprocessing
from archwright.data.sources import load
from archwright.errors import DataError, DataWarning
from archwright.modalities.images.model import TrainedModel
from archwright.space import sample
from archwright.spaces.enas_micro import EnasMicro

SPACE = EnasMicro(nodes=1)


def model_of(preprocessing: Preprocessing) -> TrainedModel:
    """A network that says how bright an image is: "dark" below the mean of the training images, "light" above."""
    size = preprocessing.channels * preprocessing.height * preprocessing.width
    linear = nn.Linear(size, 2)
    with torch.no_grad():
        linear.weight[0], linear.weight[1] = -1.0, 1.0
        linear.bias.zero_()
    network = nn.Sequential(nn.Flatten(), linear)
    return TrainedModel(network, sample(SPACE, 0), SPACE, ("dark", "light"), preprocessing)


def of_arrays(white: float) -> TrainedModel:
    """Trained on grey arrays of 0 to `white`."""
    x = np.linspace(0, white, 60)[:, None, None].repeat(5, 1).repeat(5, 2)
    return model_of(load((x, np.arange(60) // 30)).preprocessing)


def classified(model: TrainedModel, *paths: Path) -> list[tuple[str, str]]:
    return [(Path(found["image"]).name, found["class"]) for found, _ in model.answers(paths, tokens=0, seed=0)]


@pytest.fixture
def greys(tmp_path: Path) -> list[Path]:
    """Image files of 8 bits from black to white."""
    paths = [tmp_path / f"{value:03}.png" for value in (0, 60, 200, 255)]
    for path in paths:
        Image.new("L", (5, 5), int(path.stem)).save(path)
    return paths


EXPECTED = ["dark", "dark", "light", "light"]


def test_image_files_are_brought_to_the_range_of_the_arrays_that_were_trained_on(greys: list[Path]) -> None:
    for white in (255, 1):
        assert [label for _, label in classified(of_arrays(white), *greys)] == EXPECTED
    for white in (16, 4095):
        with pytest.warns(DataWarning, match=f"trained on pixels of 0 to {white}"):
            assert [label for _, label in classified(of_arrays(white), *greys)] == EXPECTED


def test_arrays_in_other_units_are_refused_or_warned_of() -> None:
    images: Any = torch.linspace(0, 255, 4).view(4, 1, 1, 1).expand(4, 1, 5, 5)
    assert [found.label for found in of_arrays(255).predict(images)] == EXPECTED
    with pytest.raises(DataError, match="the images: values are 0 to 255, and the training part's range is 0 to 16"):
        of_arrays(16).predict(images)
    with pytest.warns(DataWarning, match="are they in other units"):
        of_arrays(255).predict(images / 255)


def test_a_model_keeps_its_range_in_its_file_and_one_without_still_loads(tmp_path: Path) -> None:
    stored = of_arrays(16).described()
    assert TrainedModel.parsed(stored)["preprocessing"].units.high == 16
    del stored["preprocessing"]["units"]
    assert TrainedModel.parsed(stored)["preprocessing"].units is None


def test_all_images_below_a_folder_are_classified_and_the_rest_is_said(greys: list[Path]) -> None:
    folder = greys[0].parent
    (folder / "class").mkdir()
    greys[0].rename(folder / "class" / "begins-like-one")
    (folder / "class" / ".ipynb_checkpoints").mkdir()
    greys[1].rename(folder / "class" / ".ipynb_checkpoints" / greys[1].name)
    (folder / "Thumbs.db").write_text("junk")
    with pytest.warns(DataWarning) as said:
        found = classified(of_arrays(255), folder)
    assert found == [("200.png", "light"), ("255.png", "light"), ("begins-like-one", "dark")]
    assert [str(warning.message).partition(": ")[2] for warning in said] == [
        "not used: 1 files that are no images (1 .db)",
        "not used: 1 folders (.ipynb_checkpoints)",
    ]
