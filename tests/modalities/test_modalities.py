"""One object per run knows what kind of data there is."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from archwright.errors import ConfigError, DataError
from archwright.modalities import MODALITIES, modality, modality_class, read
from archwright.modalities.images.modality import Images
from archwright.modalities.protocol import Modality, verdict
from archwright.modalities.text.modality import Text
from archwright.spaces import SPACES
from archwright.training.measure import parameters
from archwright.training.recipe import Recipe
from small_images import noise_data
from small_text import text_data

BOTH: list[Modality] = [Images(noise_data()), Text(text_data())]


def test_every_registered_modality_is_what_its_data_makes() -> None:
    for name, kind in MODALITIES.items():
        cls = modality_class(name)
        assert (cls.name, cls.metric) == (name, kind.metric)
    assert {space.data for space in SPACES.values()} <= set(MODALITIES)
    for given in BOTH:
        made = modality(given.data)
        assert type(made) is type(given) is modality_class(made.name)
        assert modality(made) is made
    with pytest.raises(ConfigError, match="dict is not loaded data"):
        modality({})  # type: ignore[arg-type]


def test_a_source_that_shows_no_kind_is_of_the_kind_wanted(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    for part in ("a", "b"):
        (folder / f"{part}.txt").write_text("x y " * 200)
    with pytest.raises(DataError, match=r"no images|no class folders|no train"):
        read(folder, seed=0)
    with pytest.raises(DataError, match=r"expected one \.txt file for train"):
        read(folder, seed=0, wanted="text")
    with pytest.raises(ConfigError, match="level is for text, and the data is digits"):
        read("digits", seed=0, wanted="text", level="words")
    with pytest.raises(ConfigError, match="layout is for images, and the data is topics"):
        read("topics", seed=0, layout="NHW", image_size=None)


def test_only_images_have_a_residual_network_to_compare_with() -> None:
    images, text = BOTH
    assert parameters(images.residual(5000)) == pytest.approx(5000, rel=0.3)
    with pytest.raises(ConfigError, match=r"residual network is for images, and .* is text"):
        text.residual(5000)


def test_validation_in_full_minibatches_has_no_example_twice() -> None:
    for given in BOTH:
        scoring = given.scoring(Recipe(length=5), 4, torch.device("cpu"), channels_last=False)
        names = [tuple(torch.as_tensor(name).flatten().tolist()) for name in scoring.whole(0, 1)]
        flat = [part for name in names for part in name]
        assert len(set(flat)) == len(flat) > 1
        assert names == [tuple(torch.as_tensor(name).flatten().tolist()) for name in scoring.whole(0, 1)]


def test_more_accuracy_and_less_perplexity_are_better() -> None:
    images, text = BOTH
    assert [verdict(each, 0.1, 0.2).split()[4] for each in BOTH] == ["better", "worse"]
    assert "cannot be told" in verdict(images, -0.1, 0.2)
    assert images.wording.words_of_difference(0.0123, -0.001, 0.02) == "+1.23 points, 95 % interval -0.10 to +2.00"
    assert images.wording.words_of_interval(0.5, 0.625) == "95 % interval 50.00% to 62.50%"
    records = [{"validation_accuracy": a, "validation_perplexity": 1 / a, "validation_loss": 1.0} for a in (0.1, 0.9)]
    for given in (images, text):
        assert max(records, key=given.sort_key) is records[1]
